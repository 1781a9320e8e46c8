//! What is stored of tenants: rows that make no sense, secrets that do not open, keys and routes that lead to nothing.
//!
//! Each tenant is loaded as a gateway loads it, by the same code, so that what is found here is what calls meet.

use gateway::live::{LeftOut, TenantState};
use policy::Route;
use provider::{Catalog, ProviderKind};
use store::{BrokenBlob, KeyBundle, Store, StoreError};

use super::report::Report;
use crate::time::now_ms;

const ROWS: &str = "rows";
const SECRETS: &str = "secrets";
const CREDENTIALS: &str = "credentials";
const LOGINS: &str = "logins";
const ROUTES: &str = "routes";

struct Examining<'a> {
    store: &'a Store,
    catalog: Catalog,
    broken: Vec<BrokenBlob>,
    report: &'a mut Report,
}

/// Looks at all tenants.
pub(super) async fn examine(store: &Store, report: &mut Report) {
    let Ok(catalog) = Catalog::built_in() else {
        return;
    };
    let names = match store.tenant_names().await {
        Ok(names) => names,
        Err(error) => return report.problem(ROWS, error.to_string(), "restore the row from a backup"),
    };
    let mut examining = Examining {
        store,
        catalog,
        broken: Vec::new(),
        report,
    };
    examining.secrets().await;
    examining.global_routes().await;
    for (id, name) in &names {
        examining.tenant(id, name).await;
    }
    let report = examining.report;
    let count = names.len();
    for (check, what) in [
        (SECRETS, "all that is sealed opens".to_owned()),
        (ROWS, format!("those of {count} tenants make sense")),
        (
            CREDENTIALS,
            "each tenant with a key has one that can be used".to_owned(),
        ),
        (ROUTES, "each leads to a provider".to_owned()),
    ] {
        if report.is_silent(check) {
            report.ok(check, what);
        }
    }
}

impl Examining<'_> {
    async fn secrets(&mut self) {
        let sealed = match self.store.verify_sealed().await {
            Ok(sealed) => sealed,
            Err(error) => {
                return self
                    .report
                    .problem(SECRETS, error.to_string(), "restore the row from a backup");
            }
        };
        for BrokenBlob {
            table,
            row,
            tenant_id,
            why,
            ..
        } in &sealed.broken
        {
            let why = why.map_or_else(|| "its tenant has no data key".to_owned(), |why| why.to_string());
            let what = format!("row `{row}` of {table}, of tenant {tenant_id}, cannot be opened: {why}");
            let remedy = format!(
                "`tollgate credential remove {row} --tenant {tenant_id}` and add it again, or restore it from a backup"
            );
            self.report.problem(SECRETS, what, remedy);
        }
        self.broken = sealed.broken;
    }

    async fn global_routes(&mut self) {
        match self.store.load_global().await {
            Ok(global) => {
                for error in &global.broken {
                    let what = format!("{error}: it is of all tenants, and left out");
                    let remedy = "put the row right in the database, or remove it there";
                    self.report.problem(ROWS, what, remedy);
                }
                for route in &global.routes {
                    self.known_targets(route, "all tenants");
                }
            }
            Err(error) => self.unreadable("all tenants", &error),
        }
    }

    async fn tenant(&mut self, id: &str, name: &str) {
        let bundle = match self.store.load_tenant(id).await {
            Ok(Some(bundle)) => bundle,
            // Removed a moment ago.
            Ok(None) => return,
            Err(error) => return self.unreadable(&format!("tenant {name}"), &error),
        };
        let now = now_ms();
        let has_keys = !bundle.tenant.disabled && bundle.keys.iter().any(|key| is_live(key, now));
        let state = TenantState::build(bundle, &self.catalog);
        let logins = self.logins(id, name).await;
        for LeftOut { what, id, why } in &state.left_out {
            if logins.contains(id) {
                continue;
            }
            let what = format!("{what} `{id}` of tenant {name} cannot be used: {why}");
            let remedy = "remove it, and add it again as it should be";
            self.report.problem(CREDENTIALS, what, remedy);
        }
        if has_keys && state.providers().is_empty() {
            let what = format!(
                "tenant {name} has gateway keys but no credential: only the built-in `echo` answers it"
            );
            let remedy = format!("`tollgate credential add --tenant {name} --provider …`");
            self.report.warning(CREDENTIALS, what, remedy);
        }
        for route in &state.routes {
            self.known_targets(route, &format!("tenant {name}"));
            self.usable(route, &state, name);
        }
    }

    /// Logins with Google, by their credentials' ids.
    async fn logins(&mut self, tenant_id: &str, name: &str) -> Vec<String> {
        let logins = match self.store.list_google_logins(tenant_id).await {
            Ok(logins) => logins,
            Err(error) => {
                self.unreadable(&format!("tenant {name}"), &error);
                return Vec::new();
            }
        };
        let now = now_ms();
        for login in &logins {
            let whose = format!(
                "login `{}` ({}) of tenant {name}",
                login.name, login.credential_id
            );
            let said = login.last_error.as_deref().unwrap_or("nothing");
            if login.revoked_at_ms.is_some() {
                let what = format!("{whose} was ended by Google, which says: {said}");
                self.report.problem(LOGINS, what, "sign in again at /ui/gemini");
            } else if login.consent_at_ms.is_none() {
                let what = format!("{whose} is not used: nobody has agreed to the warning");
                self.report
                    .warning(LOGINS, what, "agree at /ui/gemini, or remove it");
            } else if login.expires_at_ms <= now {
                let what =
                    format!("the token of {whose} has ended, and no other has come; Google says: {said}");
                let remedy =
                    "it is renewed while `tollgate serve` runs; if it does, sign in again at /ui/gemini";
                self.report.warning(LOGINS, what, remedy);
            }
        }
        if !logins.is_empty() && self.report.is_silent(LOGINS) {
            self.report.ok(LOGINS, "those with Google so far are good");
        }
        logins.into_iter().map(|login| login.credential_id).collect()
    }

    /// A row that nobody can read takes its tenant out of service. One whose secret does not open was told already.
    fn unreadable(&mut self, whose: &str, error: &StoreError) {
        let (what, remedy) = match error {
            StoreError::Poison { row, .. } if self.broken.iter().any(|blob| blob.row == *row) => return,
            StoreError::Poison { .. } => (
                format!("{error}: {whose} is out of service"),
                "put the row right in the database, or remove it there".to_owned(),
            ),
            _ => (format!("{whose}: {error}"), "try again".to_owned()),
        };
        self.report.problem(ROWS, what, remedy);
    }

    fn known_targets(&mut self, route: &Route, whose: &str) {
        for target in &route.targets {
            if self.catalog.get(&target.provider).is_none() {
                let what = format!(
                    "{} of {whose} names the provider {}, which does not exist",
                    called(route),
                    target.provider
                );
                self.report.problem(ROUTES, what, corrected(route));
            }
        }
    }

    /// Whether a call by this route finds anybody to send it to.
    fn usable(&mut self, route: &Route, state: &TenantState, name: &str) {
        let is_usable = |target: &policy::RouteTarget| {
            self.catalog.get(&target.provider).is_some_and(|provider| {
                provider.kind == ProviderKind::Echo || !state.credentials(&provider.name).is_empty()
            })
        };
        if !route.targets.iter().any(is_usable) {
            let what = format!(
                "{} of tenant {name} leads to nothing: no target has a credential that can be used",
                called(route)
            );
            self.report
                .warning(ROUTES, what, format!("add a credential, or {}", corrected(route)));
        }
    }
}

fn is_live(key: &KeyBundle, now_ms: i64) -> bool {
    key.key.revoked_at_ms.is_none() && key.key.expires_at_ms.is_none_or(|at_ms| now_ms < at_ms)
}

fn called(route: &Route) -> String {
    format!("route `{}` ({})", route.pattern.as_str(), route.id)
}

fn corrected(route: &Route) -> String {
    format!(
        "`tollgate route set '{}' --to …` or `tollgate route remove {}`",
        route.pattern.as_str(),
        route.id
    )
}
