//! `tollgate route …`

use clap::Subcommand;
use gateway::live::{TenantState, built_in_routes};
use policy::{Considered, RouteTarget, Rule, Rules, Scope, Verdict, explain};
use provider::{Catalog, ProviderKind};
use serde_json::{Value, json};
use store::{NewRoute, RouteRow};
use vault::gateway_key::random_id;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::output::Form;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Leads a model name, or all that match a pattern, to targets.
    Set {
        /// A model name, or a pattern such as `gpt-*`.
        pattern: String,
        /// In the order in which they are to be tried; without MODEL, the name that was asked for.
        #[arg(long, value_name = "PROVIDER[/MODEL],…")]
        to: String,
        /// For this tenant alone, by name or id. Without, for all.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Shows the routes of a tenant or, without one, those for all.
    List {
        /// The tenant's name or id.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Removes a route by its id.
    Remove {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Says where a model name leads for a tenant, and why.
    Explain {
        model: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
}

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Set { pattern, to, tenant } => set(desk, &pattern, &to, tenant.as_deref()).await,
        Verb::List { tenant } => {
            let tenant_id = desk.tenant_id(tenant.as_deref()).await?;
            let routes = desk.store.list_routes(tenant_id.as_deref()).await?;
            let rows: Vec<Value> = routes.iter().map(shown).collect();
            desk.form.list(&["pattern", "targets", "id"], &rows)
        }
        Verb::Remove { id, tenant } => {
            let tenant_id = desk.tenant_id(tenant.as_deref()).await?;
            desk.store
                .remove_route(&desk.change(), tenant_id.as_deref(), &id)
                .await?;
            desk.form.one(&json!({"removed": id}))
        }
        Verb::Explain { model, tenant } => explained(desk, &model, &tenant).await,
    }
}

async fn set(desk: &Desk, pattern: &str, to: &str, tenant: Option<&str>) -> Result<(), Failure> {
    let catalog = catalog()?;
    for target in to.split(',').map(str::trim) {
        let target: RouteTarget = target
            .parse()
            .map_err(|error| Failure::other(format!("--to: {error}")))?;
        if catalog.get(&target.provider).is_none() {
            return Err(Failure::new(
                Kind::NotFound,
                format!("--to: there is no provider {}", target.provider),
            ));
        }
    }
    let tenant_id = desk.tenant_id(tenant).await?;
    let id = random_id("rt")?;
    let new = NewRoute {
        id: &id,
        tenant_id: tenant_id.as_deref(),
        pattern,
        targets: to,
    };
    let route = desk.store.set_route(&desk.change(), &new).await?;
    desk.form.one(&shown(&route))
}

/// Explains by the very code that plans calls, on the very state that calls see.
async fn explained(desk: &Desk, model: &str, tenant: &str) -> Result<(), Failure> {
    let catalog = catalog()?;
    let tenant = desk.tenant(tenant).await?;
    let bundle = desk.store.load_tenant(&tenant.id).await?;
    let bundle = bundle.ok_or_else(|| Failure::new(Kind::NotFound, "the tenant is gone"))?;
    let state = TenantState::build(bundle, &catalog);
    let global = desk.store.load_global().await?;
    let explanation = explain(
        model,
        &Rules {
            tenant: &state.routes,
            global: &global.routes,
            built_in: &built_in_routes(&catalog),
            is_provider: &|name| catalog.get(name).is_some(),
        },
    );
    let looked_at: Vec<Value> = explanation.considered.iter().map(considered).collect();
    let targets: Vec<Value> = explanation
        .plan
        .iter()
        .flat_map(|plan| &plan.targets)
        .map(|target| {
            json!({
                "provider": target.provider,
                "model": target.model,
                "credentials": credentials(&state, &catalog, &target.provider),
            })
        })
        .collect();
    match desk.form {
        Form::Json => desk
            .form
            .one(&json!({"model": model, "rules": looked_at, "targets": targets})),
        Form::Table | Form::Csv => {
            desk.form
                .list(&["scope", "pattern", "verdict", "why"], &looked_at)?;
            crate::output::print("")?;
            desk.form.list(&["provider", "model", "credentials"], &targets)
        }
    }
}

fn credentials(state: &TenantState, catalog: &Catalog, provider: &str) -> Vec<String> {
    if catalog
        .get(provider)
        .is_some_and(|provider| provider.kind == ProviderKind::Echo)
    {
        return vec!["none needed".to_owned()];
    }
    let named = state
        .credentials(provider)
        .iter()
        .map(|credential| credential.name.clone());
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        vec!["none: calls are refused".to_owned()]
    } else {
        named
    }
}

fn considered(considered: &Considered) -> Value {
    let (scope, id) = match &considered.rule {
        Rule::Route { id, scope } => (scope_word(*scope), Some(id)),
        Rule::NamedProvider => ("name", None),
    };
    let verdict = match considered.verdict {
        Verdict::Won => "won",
        Verdict::Outranked => "outranked",
        Verdict::NoMatch => "no match",
    };
    json!({
        "scope": scope,
        "id": id,
        "pattern": considered.pattern,
        "verdict": verdict,
        "why": considered.verdict.reason(),
    })
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Tenant => "tenant",
        Scope::Global => "all tenants",
        Scope::BuiltIn => "built in",
    }
}

fn catalog() -> Result<Catalog, Failure> {
    Catalog::built_in().map_err(|error| Failure::other(error.to_string()))
}

fn shown(route: &RouteRow) -> Value {
    json!({"id": route.id, "tenant_id": route.tenant_id, "pattern": route.pattern, "targets": route.targets})
}
