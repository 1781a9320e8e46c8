//! A store on a fresh database, ready to be used, and short ways to fill it.

use store::{
    BaseUrlBy, Change, Credential, GatewayKey, NewCredential, NewGatewayKey, NewTenant, Store, StoreOptions,
    Tenant,
};
use testkit::database::TestDatabase;
use vault::{MasterKeys, Secret, Vault};

pub(crate) const NOW_MS: i64 = 1_800_000_000_000;
pub(crate) const CHANGE: Change<'_> = Change {
    actor: "admin:tester",
    at_ms: NOW_MS,
};

/// A store and what stands behind it.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ring: MasterKeys,
    pub(crate) database: TestDatabase,
}

impl World {
    pub(crate) async fn new(database: TestDatabase) -> Self {
        let ring = MasterKeys::generate().unwrap();
        let store = open(&database, &ring).await;
        store.migrate(NOW_MS).await.unwrap();
        store.prepare_vault(NOW_MS).await.unwrap();
        Self {
            store,
            ring,
            database,
        }
    }

    pub(crate) async fn tenant(&self, name: &str) -> Tenant {
        let new = NewTenant {
            id: &format!("ten-{name}"),
            name,
            strict: false,
        };
        self.store.create_tenant(&CHANGE, &new).await.unwrap()
    }

    pub(crate) async fn key(&self, tenant_id: &str, name: &str) -> GatewayKey {
        let new = NewGatewayKey {
            id: &format!("key-{name}"),
            tenant_id,
            name,
            models: None,
            expires_at_ms: None,
        };
        let digest = self.store.digest_key().await.unwrap().digest(name);
        self.store.create_key(&CHANGE, &new, &digest).await.unwrap()
    }

    pub(crate) async fn credential(&self, tenant_id: &str, name: &str) -> Credential {
        let secret = Secret::new(secret_of(name));
        let new = new_credential(tenant_id, name, Some(&secret));
        let id = format!("cred-{name}");
        let new = NewCredential { id: &id, ..new };
        self.store.add_credential(&CHANGE, &new).await.unwrap()
    }

    /// Does to the rows what no program of ours would.
    pub(crate) async fn tamper(&self, statement: &'static str) -> u64 {
        let pool = sqlx::AnyPool::connect(self.database.url()).await.unwrap();
        let done = sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
        done.rows_affected()
    }

    /// The same, when it may be refused.
    pub(crate) async fn tamper_result(&self, statement: &'static str) -> Result<(), sqlx::Error> {
        let pool = sqlx::AnyPool::connect(self.database.url()).await.unwrap();
        let done = sqlx::query(statement).execute(&pool).await;
        pool.close().await;
        done.map(|_| ())
    }

    /// How SQLite would answer.
    pub(crate) async fn plan(&self, statement: &'static str) -> Vec<String> {
        let pool = sqlx::AnyPool::connect(self.database.url()).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows.iter().map(|row| sqlx::Row::get(row, 3)).collect()
    }

    pub(crate) async fn count(&self, statement: &'static str) -> i64 {
        let pool = sqlx::AnyPool::connect(self.database.url()).await.unwrap();
        let count = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }
}

pub(crate) async fn open(database: &TestDatabase, ring: &MasterKeys) -> Store {
    open_with(database, Vault::new(ring.clone())).await
}

pub(crate) async fn open_with(database: &TestDatabase, vault: Vault) -> Store {
    Store::open(database.url(), vault, StoreOptions::default())
        .await
        .unwrap()
}

pub(crate) fn new_credential<'a>(
    tenant_id: &'a str,
    name: &'a str,
    secret: Option<&'a Secret>,
) -> NewCredential<'a> {
    NewCredential {
        id: name,
        tenant_id,
        provider: "openai",
        name,
        weight: 1,
        base_url: None,
        base_url_by: BaseUrlBy::Tenant,
        secret,
    }
}

pub(crate) fn secret_of(name: &str) -> String {
    format!("sk-provider-canary-{name}")
}
