//! How many attempts one process lets through by its leases, and how seldom it asks the database for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use policy::lease::{HolderSettings, Used};
use policy::limit::{Cap, Firmness, Limit, Period, Subject, Unit};
use store::{BaseUrlBy, Change, NewCredential, NewGatewayKey, NewLimit, NewTenant, Store, StoreOptions};
use testkit::database::{self, TestDatabase};
use tokio::task::JoinSet;
use vault::{MasterKeys, Vault};

use super::{Journal, Left, Limits, Need, PATIENCE_IN_ALL, keep};
use crate::ledger::{Durability, Ledger, SpoolSettings};
use crate::vitals::Vitals;

const CHANGE: Change<'_> = Change {
    actor: "test",
    at_ms: 1,
};
const LASTS: Duration = Duration::from_secs(3);
/// As the program is built for tests, in one of some tries: others use the machine as well.
const EACH_SECOND: u64 = 5_000;
const TRIES: usize = 6;
const QUESTIONS_EACH_SECOND: u64 = 10;
const CALLERS: usize = 4;

/// A minute, a day and a month of requests, tokens and dollars, on a tenant, a key and a credential: twenty-seven.
async fn limits(store: &Store) -> Vec<Arc<Limit>> {
    let tenant = NewTenant {
        id: "ten-a",
        name: "a",
        strict: false,
    };
    store.create_tenant(&CHANGE, &tenant).await.unwrap();
    let key = NewGatewayKey {
        id: "key-a",
        tenant_id: "ten-a",
        name: "k",
        models: None,
        expires_at_ms: None,
    };
    store.create_key(&CHANGE, &key, &[7; 32]).await.unwrap();
    let credential = NewCredential {
        id: "cred-a",
        tenant_id: "ten-a",
        provider: "openai",
        name: "c",
        weight: 1,
        base_url: None,
        base_url_by: BaseUrlBy::Tenant,
        secret: None,
    };
    store.add_credential(&CHANGE, &credential).await.unwrap();
    let subjects = [
        Subject::Tenant,
        Subject::Key("key-a".into()),
        Subject::Credential("cred-a".into()),
    ];
    let mut limits = Vec::new();
    for subject in &subjects {
        for period in [Period::Minute, Period::Day, Period::Month] {
            for unit in [Unit::Requests, Unit::Tokens, Unit::NanoDollars] {
                let id = format!("lim-{}", limits.len());
                let new = NewLimit {
                    id: &id,
                    tenant_id: "ten-a",
                    subject,
                    unit,
                    period,
                    zone: "UTC",
                    cap: Cap::Units(1_000_000_000_000_000),
                    mode: None,
                    firmness: Firmness::Hard,
                    unpriced: None,
                };
                let set = store.set_limit(&CHANGE, &new).await.unwrap();
                limits.push(Arc::new(set.limit));
            }
        }
    }
    limits
}

fn needs(limits: &[Arc<Limit>]) -> Vec<Need> {
    let need = |limit: &Arc<Limit>| Need {
        limit: limit.clone(),
        units: match limit.unit {
            Unit::Tokens => 1_500,
            Unit::NanoDollars => 2_000_000,
            _ => 1,
        },
    };
    limits.iter().map(need).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_are_let_through_each_second_by_ten_questions_to_the_database() {
    let Some(database) = TestDatabase::postgres().await else {
        return;
    };
    let vault = Vault::new(MasterKeys::generate().unwrap());
    let store = Store::open(database.url(), vault, StoreOptions::default())
        .await
        .unwrap();
    store.migrate(1).await.unwrap();
    store.prepare_vault(1).await.unwrap();
    let all = limits(&store).await;
    let folder = tempfile::tempdir().unwrap();
    let spool = SpoolSettings {
        folder: folder.path().join("spool"),
        durability: Durability::Os,
        bytes_max: 1 << 30,
    };
    let vitals = Arc::<Vitals>::default();
    let (ledger, _writer) = Ledger::open(store.clone(), &spool, 16, &vitals, |_, _| {}).unwrap();
    let journal = Journal::new(ledger.units(), Some(1), Left::new(Some(1)));
    let limits = Arc::new(Limits::new("replica".into(), journal, HolderSettings::default()));
    let keeping = tokio::spawn(keep(limits.clone(), store.clone()));
    let (let_through, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (limits, all) = (limits.clone(), all.clone());
        let (let_through, refused) = (let_through.clone(), refused.clone());
        callers.spawn(async move {
            let (tenant_id, needs): (Arc<str>, _) = ("ten-a".into(), needs(&all));
            let used = Used {
                input_tokens: Some(500),
                output_tokens: Some(200),
                nano_dollars: Some(700_000),
            };
            loop {
                match limits
                    .take(&tenant_id, &needs, &mut PATIENCE_IN_ALL.to_owned())
                    .await
                {
                    Ok(taken) => {
                        taken.settle(&used);
                        let_through.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) => _ = refused.fetch_add(1, Ordering::Relaxed),
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while let_through.load(Ordering::Relaxed) < EACH_SECOND {
        assert!(Instant::now() < deadline, "it never gets going");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let url = database.url().to_owned();
    let committed = || {
        let url = url.clone();
        async move {
            let ask =
                "SELECT CAST(xact_commit AS TEXT) FROM pg_stat_database WHERE datname = current_database()";
            let asking = tokio::task::spawn_blocking(move || database::ask(&url, ask));
            asking.await.unwrap().parse::<u64>().unwrap()
        }
    };
    let mut enough = false;
    for _ in 0..TRIES {
        let (begun, asked, commits) = (Instant::now(), limits.figures.questions().0, committed().await);
        let before = let_through.load(Ordering::Relaxed);
        tokio::time::sleep(LASTS).await;
        let took = begun.elapsed();
        let each_second = |count: u64| u128::from(count) * 1_000 / took.as_millis();
        let let_through = each_second(let_through.load(Ordering::Relaxed) - before);
        let questions = each_second(limits.figures.questions().0 - asked);
        let commits = each_second(committed().await - commits);
        println!(
            "{let_through} attempts a second let through by 27 limits, {questions} questions and {commits} commits a second, \
             {} refused in all",
            refused.load(Ordering::Relaxed)
        );
        // The test's own looking counts among the commits, and Postgres may tell of those of a second before.
        let told_late = u128::from(QUESTIONS_EACH_SECOND) / u128::from(LASTS.as_secs());
        assert!(
            questions <= u128::from(QUESTIONS_EACH_SECOND)
                && commits <= u128::from(QUESTIONS_EACH_SECOND) + 1 + told_late
        );
        enough |= let_through >= u128::from(EACH_SECOND);
        if enough {
            break;
        }
    }
    callers.shutdown().await;
    keeping.abort();
    assert!(enough);
    store.close().await;
}
