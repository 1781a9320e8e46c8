//! What most tests begin with: a tenant with a key and a credential for a scripted vendor, and a gateway that serves.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use store::{AttemptRow, Store, StoreOptions};
use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};
use testkit::vendor::Vendor;
use vault::{MasterKeys, Vault};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");
pub(crate) const TENANT: &str = "acme";
/// What the vendor is shown. A string that occurs nowhere else.
pub(crate) const VENDOR_SECRET: &str = "sk-vendor-7Qm2ZpX0c4nary";

/// Nothing in a test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) serving: Serving,
    pub(crate) installation: Installation,
    pub(crate) key: String,
    pub(crate) database: TestDatabase,
}

impl World {
    /// With the vendor as provider `custom`, by the names `custom/…`.
    pub(crate) fn new(database: TestDatabase, vendor: &Vendor) -> Self {
        Self::with(database, &vendor.base_url(), |installation| installation)
    }

    pub(crate) fn with(
        database: TestDatabase,
        base_url: &str,
        settings: impl FnOnce(Installation) -> Installation,
    ) -> Self {
        Self::of(database, &[("custom", base_url)], settings)
    }

    /// With a credential for each of these providers, at its base URL.
    pub(crate) fn of(
        database: TestDatabase,
        providers: &[(&str, &str)],
        settings: impl FnOnce(Installation) -> Installation,
    ) -> Self {
        let installation = settings(Installation::new(PROGRAM, database.url()));
        Self::on(installation, database, providers)
    }

    /// The same, of an installation that may see its database otherwise than the tests do.
    pub(crate) fn on(installation: Installation, database: TestDatabase, providers: &[(&str, &str)]) -> Self {
        installation.ask(&["migrate"]);
        installation.ask(&["tenant", "create", TENANT]);
        let key = installation.ask(&["key", "create", "--tenant", TENANT, "--name", "tests"]);
        for (provider, base_url) in providers {
            let add = [
                "credential",
                "add",
                "--tenant",
                TENANT,
                "--provider",
                provider,
                "--name",
                "vendor",
            ];
            installation.ask_with(&[&add[..], &["--base-url", base_url]].concat(), VENDOR_SECRET);
        }
        let serving = installation.serve();
        Self {
            serving,
            key: key["secret"].as_str().unwrap().to_owned(),
            installation,
            database,
        }
    }

    /// With the vendor as a provider of each dialect, by the names `openai/…`,
    /// `anthropic/…`, `gemini/…` and `custom/…`.
    pub(crate) fn of_all(database: TestDatabase, vendor: &Vendor) -> Self {
        let base_url = vendor.base_url();
        let providers =
            ["custom", "openai", "anthropic", "gemini"].map(|provider| (provider, base_url.as_str()));
        Self::of(database, &providers, |installation| installation)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        client::post(&self.serving.endpoint(path), &self.key, body.as_bytes())
    }

    pub(crate) fn chat(&self, body: &[u8]) -> Answer {
        client::post(&self.serving.endpoint("/v1/chat/completions"), &self.key, body)
    }

    /// Limits the tenant to so many; the gateway knows of it a moment later.
    pub(crate) fn limit_requests_a_day(&self, requests: u64) {
        let tenant = format!("tenant:{TENANT}");
        let requests = requests.to_string();
        self.installation.ask(&[
            "limit",
            "set",
            "--on",
            &tenant,
            "--per",
            "day",
            "--requests",
            &requests,
        ]);
    }

    /// What the ledger holds, by call, once it holds so many.
    pub(crate) fn ledger(&self, count: usize) -> BTreeMap<String, AttemptRow> {
        self.ledger_until(|rows| rows.len() >= count)
    }

    /// The same, once it is as it should be: it is written a moment after a call has ended.
    pub(crate) fn ledger_until(
        &self,
        is_right: impl Fn(&BTreeMap<String, AttemptRow>) -> bool,
    ) -> BTreeMap<String, AttemptRow> {
        let by_call = |rows: &[AttemptRow]| {
            let rows = rows.iter().cloned();
            rows.map(|row| (row.call_id.clone(), row)).collect()
        };
        by_call(&self.attempts_until(|rows| is_right(&by_call(rows))))
    }

    /// All attempts, once they are as they should be.
    pub(crate) fn attempts_until(&self, is_right: impl Fn(&[AttemptRow]) -> bool) -> Vec<AttemptRow> {
        attempts_until(&self.installation, &self.database, is_right)
    }

    pub(crate) async fn open_store(&self) -> Store {
        open_store(&self.installation, &self.database).await
    }
}

/// All attempts of an installation, once they are as they should be.
pub(crate) fn attempts_until(
    installation: &Installation,
    database: &TestDatabase,
    is_right: impl Fn(&[AttemptRow]) -> bool,
) -> Vec<AttemptRow> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open_store(installation, database).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let rows = store.list_attempts(None, 0, 10_000).await.unwrap();
            if is_right(&rows) {
                store.close().await;
                return rows;
            }
            assert!(
                Instant::now() < deadline,
                "the ledger never became right: {rows:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

async fn open_store(installation: &Installation, database: &TestDatabase) -> Store {
    let ring = fs::read_to_string(installation.master_key_file()).unwrap();
    let vault = Vault::new(MasterKeys::parse(&ring).unwrap());
    Store::open(database.url(), vault, StoreOptions::default())
        .await
        .unwrap()
}

/// A small request for a model.
pub(crate) fn request(model: &str, stream: bool) -> Vec<u8> {
    let body =
        json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "one two three"}]});
    body.to_string().into_bytes()
}

/// A small answer of a vendor.
pub(crate) fn completion() -> String {
    json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    })
    .to_string()
}

/// One event of a stream.
pub(crate) fn chunk(content: &str, finish_reason: Option<&str>) -> Vec<u8> {
    let chunk = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}],
    });
    format!("data: {chunk}\n\n").into_bytes()
}

/// The event with nothing but usage.
pub(crate) fn usage_chunk() -> Vec<u8> {
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    format!(
        "data: {}\n\n",
        json!({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage})
    )
    .into_bytes()
}

pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";
