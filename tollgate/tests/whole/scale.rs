//! What a large installation costs: no more at the start and at rest than an empty one, and little for the first call of
//! a tenant that nobody has asked for.
//!
//! `cargo xtask scale` measures the same with as many tenants as it is told.

use std::time::{Duration, Instant};

use store::{BaseUrlBy, Change, NewCredential, NewGatewayKey, NewTenant, Store};
use testkit::client;
use testkit::database::{TestDatabase, execute};
use testkit::load::Caller;
use testkit::process::Serving;
use testkit::vendor::{Play, Vendor};
use vault::Secret;
use vault::gateway_key::{KeyKind, generate};

use crate::world::{World, completion, request};

const TENANTS: &str = "TOLLGATE_TEST_SCALE_TENANTS";
const KEYS_PER_TENANT: usize = 10;
/// Tenants that are called, whose rows are made by the program's own ways.
const CALLED: usize = 200;
const STARTS: usize = 11;
/// Beside what is allowed as a ratio: what a busy machine does to a start of some milliseconds.
const NOISE: Duration = Duration::from_millis(50);

/// The same, of what it does itself, which depends on no other.
const LITTLE: Duration = Duration::from_millis(5);

/// What was measured of one installation.
struct Figures {
    start: Duration,
    /// What that took of a processor.
    worked: Duration,
    memory_kib: u64,
}

#[test]
fn what_is_stored_costs_nothing_until_it_is_asked_for() {
    let tenants = std::env::var(TENANTS).map_or(2_000, |text| text.parse().unwrap());
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    for (empty, full) in TestDatabase::each().into_iter().zip(TestDatabase::each()) {
        let kind = if empty.is_sqlite() { "SQLite" } else { "Postgres" };
        let empty = World::new(empty, &vendor);
        let full = World::new(full, &vendor);
        let filling = Instant::now();
        fill(&full, tenants);
        let keys = in_runtime(called_tenants(&full));
        println!(
            "{kind}: {tenants} tenants, {} keys, made in {:?}",
            tenants * KEYS_PER_TENANT,
            filling.elapsed()
        );
        let [empty, full_at_rest] = measure([&empty, &full]);
        let (median, p95) = first_calls(&full.installation.serve(), &keys);
        println!(
            "  start, ms        {:>8.1} with none {:>8.1}",
            ms(full_at_rest.start),
            ms(empty.start)
        );
        println!(
            "  at rest, KiB     {:>8} with none {:>8}",
            full_at_rest.memory_kib, empty.memory_kib
        );
        println!(
            "  a first call, ms {:>8.1} median    {:>8.1} p95",
            ms(median),
            ms(p95)
        );
        println!(
            "  of a processor   {:>8.1} with none {:>8.1}",
            ms(full_at_rest.worked),
            ms(empty.worked)
        );
        assert!(full_at_rest.start < empty.start.mul_f64(1.2) + NOISE);
        assert!(full_at_rest.worked < empty.worked.mul_f64(1.2) + LITTLE);
        assert!(full_at_rest.memory_kib * 10 < empty.memory_kib * 12);
        assert!(median < Duration::from_millis(20));
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The quickest start of each until it is ready, in turn, and its memory then.
fn measure(worlds: [&World; 2]) -> [Figures; 2] {
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        for (world, figures) in worlds.iter().zip(&mut figures) {
            let began = Instant::now();
            let serving = world.installation.serve();
            assert_eq!(client::get(&serving.endpoint("/readyz"), "").status, 200);
            figures.push(Figures {
                start: began.elapsed(),
                worked: serving.processor_time(),
                memory_kib: serving.resident_kib(),
            });
        }
    }
    // What others do on this machine can only add to what it takes.
    figures.map(|figures| Figures {
        start: figures.iter().map(|figures| figures.start).min().unwrap(),
        worked: figures.iter().map(|figures| figures.worked).min().unwrap(),
        memory_kib: figures.iter().map(|figures| figures.memory_kib).min().unwrap(),
    })
}

/// The median and the 95th percentile of the first call with each key.
fn first_calls(serving: &Serving, keys: &[String]) -> (Duration, Duration) {
    let mut took: Vec<Duration> = keys
        .iter()
        .map(|key| {
            let mut caller = Caller::new(serving.url(), key);
            let began = Instant::now();
            let called = caller.call(&request("custom/m", false)).unwrap();
            assert_eq!(called.status, 200);
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 95 / 100])
}

/// Rows of tenants that nobody calls: nobody could, what is sealed in them does not open.
fn fill(world: &World, tenants: usize) {
    let bytes = if world.database.is_sqlite() {
        "zeroblob(60)".to_owned()
    } else {
        format!("'\\x{}'::bytea", "00".repeat(60))
    };
    let numbers = |count: usize| {
        format!("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})")
    };
    let (each, keys) = (numbers(tenants), tenants * KEYS_PER_TENANT);
    let (id, of_key) = (
        "'ten-' || (1000000000 + i)",
        format!("'ten-' || (1000000000 + i % {tenants})"),
    );
    let each_key = numbers(keys);
    let statements = [
        format!(
            "INSERT INTO tenants (id, name, disabled, created_at_ms) {each} SELECT {id}, 'tenant-' || i, 0, 1 FROM n"
        ),
        format!(
            "INSERT INTO data_keys (scope, master_version, wrapped, created_at_ms) {each} SELECT {id}, 1, {bytes}, 1 FROM n"
        ),
        format!(
            "INSERT INTO credentials \
             (tenant_id, id, provider, name, weight, base_url_by, disabled, secret, created_at_ms) \
             {each} SELECT {id}, 'cred-' || i, 'openai', 'main', 1, 'operator', 0, {bytes}, 1 FROM n"
        ),
        format!(
            "INSERT INTO routes (scope, pattern, id, targets) {each} SELECT {id}, 'fast', 'rt-' || i, 'openai' FROM n"
        ),
        format!("INSERT INTO revisions (scope, revision) {each} SELECT {id}, 100 + i FROM n"),
        format!(
            "INSERT INTO gateway_keys (tenant_id, id, name, created_at_ms) \
             {each_key} SELECT {of_key}, 'k' || (10000000000 + i), 'key-' || i, 1 FROM n"
        ),
        format!(
            "INSERT INTO key_secrets (tenant_id, key_id, digest) \
             {each_key} SELECT {of_key}, 'k' || (10000000000 + i), {bytes} FROM n"
        ),
        format!("UPDATE revision_counter SET revision = {}", 200 + tenants),
    ];
    for statement in statements {
        execute(world.database.url(), &statement);
    }
    execute(world.database.url(), "ANALYZE");
}

/// Makes the tenants that are called, in the middle of the others; their keys.
async fn called_tenants(world: &World) -> Vec<String> {
    let store = world.open_store().await;
    let digest_key = store.digest_key().await.unwrap();
    let base_url = credential_url(&store, world).await;
    let mut keys = Vec::new();
    for number in 0..CALLED {
        let change = Change {
            actor: "test",
            at_ms: 1,
        };
        let (id, name) = (format!("ten-1{number:09}-called"), format!("called-{number}"));
        let new = NewTenant {
            id: &id,
            name: &name,
            strict: false,
        };
        store.create_tenant(&change, &new).await.unwrap();
        let key = generate(KeyKind::Gateway).unwrap();
        let new = NewGatewayKey {
            id: &key.id,
            tenant_id: &id,
            name: "only",
            models: None,
            expires_at_ms: None,
        };
        let digest = digest_key.digest(key.secret.expose());
        store.create_key(&change, &new, &digest).await.unwrap();
        let credential_id = format!("cred-called-{number}");
        let secret = Secret::new("sk-called".to_owned());
        let new = NewCredential {
            id: &credential_id,
            tenant_id: &id,
            provider: "custom",
            name: "main",
            weight: 1,
            base_url: Some(&base_url),
            base_url_by: BaseUrlBy::Operator,
            secret: Some(&secret),
        };
        store.add_credential(&change, &new).await.unwrap();
        keys.push(key.text.expose().to_owned());
    }
    store.close().await;
    keys
}

/// The vendor's, as the first tenant has it.
async fn credential_url(store: &Store, world: &World) -> String {
    let tenant = store
        .tenant_by_name_or_id(crate::world::TENANT)
        .await
        .unwrap()
        .unwrap();
    let credentials = store.list_credentials(&tenant.id).await.unwrap();
    let url = credentials
        .first()
        .and_then(|credential| credential.base_url.clone());
    url.unwrap_or_else(|| panic!("{}", world.serving.url()))
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}
