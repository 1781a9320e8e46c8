//! What these tests begin with: tenants that have signed in, a Google for them, and a gateway that runs the program.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::client::{self, Answer, Open};
use testkit::code_assist::CodeAssist;
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

use crate::sdk::setting;
use crate::world::PROGRAM;

/// One installation with one Google.
pub(super) struct Desk {
    pub(super) google: CodeAssist,
    pub(super) serving: Serving,
    pub(super) installation: Installation,
    pub(super) database: TestDatabase,
    /// Of each tenant, in the order of the tokens.
    pub(super) keys: Vec<String>,
}

pub(super) const MODEL: &str = "gemini-cli/gemini-2.5-flash";
pub(super) const FINE: &str = "ya29.fine-1";
/// An expiry that no test lives to see.
pub(super) const LASTING_MS: i64 = 4_102_444_800_000;
const CLIENT: &str = "client-of-tests";

impl Desk {
    /// With a tenant for each of these access tokens; none where the program is not installed.
    pub(super) fn of(tokens: &[&str]) -> Option<Self> {
        Self::with(tokens, |installation| installation)
    }

    pub(super) fn with(tokens: &[&str], settings: impl FnOnce(Installation) -> Installation) -> Option<Self> {
        Self::on(TestDatabase::sqlite(), tokens, settings)
    }

    pub(super) fn on(
        database: TestDatabase,
        tokens: &[&str],
        settings: impl FnOnce(Installation) -> Installation,
    ) -> Option<Self> {
        let script = script()?;
        let google = CodeAssist::start();
        let installation = settings(installed(&script, &database, &google));
        installation.ask(&["migrate"]);
        let keys = tokens.iter().enumerate().map(|(number, token)| {
            let tenant = format!("tenant-{number}");
            installation.ask(&["tenant", "create", &tenant]);
            sign_in(&installation, &tenant, token, &google.base_url());
            let key = installation.ask(&["key", "create", "--tenant", &tenant, "--name", "tests"]);
            key["secret"].as_str().unwrap().to_owned()
        });
        let keys = keys.collect();
        Some(Self {
            serving: installation.serve(),
            google,
            database,
            installation,
            keys,
        })
    }

    /// Asks as the first tenant.
    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        self.open(path, body).finish()
    }

    pub(super) fn open(&self, path: &str, body: &Value) -> Open {
        client::open_post(
            &self.serving.endpoint(path),
            &self.keys[0],
            body.to_string().as_bytes(),
        )
    }

    /// A streamed answer that has begun, and that Google goes on with no more.
    pub(super) fn hanging(&self, prompt: &str) -> Open {
        let mut body = chat(&format!("{prompt} ((play hang=1))"));
        body["stream"] = json!(true);
        let mut open = self.open("/v1/chat/completions", &body);
        assert!(!open.read().is_empty());
        open
    }

    /// Asks for a chat completion as the first tenant.
    pub(super) fn chat(&self, prompt: &str) -> Answer {
        self.post("/v1/chat/completions", &chat(prompt))
    }
}

/// So that all calls of a tenant have the same process.
pub(super) fn one_process(installation: Installation) -> Installation {
    installation.set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
}

pub(super) fn chat(prompt: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": prompt}]})
}

/// Where the program is, or that it is not there.
pub(super) fn script() -> Option<PathBuf> {
    let folder = setting("TOLLGATE_TEST_AGENTS")?;
    Some(PathBuf::from(folder).join("node_modules/@google/gemini-cli/bundle/gemini.js"))
}

/// A gateway with the program.
pub(super) fn installed(script: &Path, database: &TestDatabase, google: &CodeAssist) -> Installation {
    Installation::new(PROGRAM, database.url())
        .set("TOLLGATE_GEMINI_CLI", &script.display().to_string())
        // It reaches nothing but what it is told to: everything else is asked of this proxy, which refuses.
        .set("TOLLGATE_GEMINI_CLI_PROXY", &google.base_url())
}

/// Gives a tenant a login, as the program's own file has it.
pub(super) fn sign_in(installation: &Installation, tenant: &str, token: &str, base_url: &str) {
    let login = json!({
        "access_token": token, "refresh_token": "1//never-used", "token_type": "Bearer",
        "scope": "https://www.googleapis.com/auth/cloud-platform", "expiry_date": LASTING_MS,
    });
    add(installation, tenant, &login, base_url);
}

/// Gives a tenant a login by the client of the operator's own.
pub(super) fn sign_in_by_own_client(
    installation: &Installation,
    tenant: &str,
    (token, refresh_token): (&str, &str),
    expiry_date: i64,
    base_url: &str,
) {
    let login = json!({
        "kind": "own_client", "client_id": CLIENT, "access_token": token, "refresh_token": refresh_token,
        "token_type": "Bearer", "expiry_date": expiry_date,
    });
    add(installation, tenant, &login, base_url);
}

/// The settings of that client, with the testkit's Google in Google's place.
pub(super) fn own_client(installation: Installation, google: &CodeAssist) -> Installation {
    installation
        .set("GOOGLE_CLIENT_ID", CLIENT)
        .set("GOOGLE_CLIENT_SECRET", "GOCSPX-of-tests")
        .set("TOLLGATE_GOOGLE_TOKEN_URL", &google.token_url())
        .set(
            "TOLLGATE_GOOGLE_USERINFO_URL",
            &format!("{}/oauth2/v2/userinfo", google.base_url()),
        )
}

fn add(installation: &Installation, tenant: &str, login: &Value, base_url: &str) {
    let add = [
        "credential",
        "add",
        "--tenant",
        tenant,
        "--provider",
        "gemini-cli",
        "--base-url",
        base_url,
        "--agree",
    ];
    installation.ask_with(&add, &login.to_string());
}
