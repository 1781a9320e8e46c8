//! `tollgate tenant …`

use clap::{ArgAction, Subcommand};
use serde_json::{Value, json};
use store::{NewTenant, Tenant};
use vault::gateway_key::random_id;

use crate::desk::Desk;
use crate::failure::Failure;
use crate::time::instant;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Makes a tenant.
    Create {
        name: String,
        /// Refuses calls of which a part would be left out, as it has no place in the provider's dialect.
        #[arg(long)]
        strict: bool,
    },
    /// Shows all tenants.
    List,
    /// Shows one tenant.
    Show {
        /// Its name or id.
        tenant: String,
    },
    /// Changes what holds for a tenant.
    Set {
        /// Its name or id.
        tenant: String,
        /// Whether calls are refused of which a part would be left out, as it has no place in the provider's dialect.
        #[arg(long, action = ArgAction::Set, value_name = "true|false")]
        strict: bool,
    },
    /// Refuses a tenant's calls from now on; nothing of it is lost.
    Disable {
        /// Its name or id.
        tenant: String,
    },
    /// Serves a disabled tenant again.
    Enable {
        /// Its name or id.
        tenant: String,
    },
    /// Removes a tenant with its keys and credentials, and shreds its data key. What it used stays in the ledger.
    Remove {
        /// Its name or id.
        tenant: String,
        /// Says that this is meant: it cannot be taken back.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Create { name, strict } => {
            let id = random_id("ten")?;
            let new = NewTenant {
                id: &id,
                name: &name,
                strict,
            };
            let tenant = desk.store.create_tenant(&desk.change(), &new).await?;
            desk.form.one(&shown(&tenant))
        }
        Verb::List => {
            let tenants = desk.store.list_tenants().await?;
            let rows: Vec<Value> = tenants.iter().map(shown).collect();
            desk.form
                .list(&["name", "id", "disabled", "strict", "created_at"], &rows)
        }
        Verb::Show { tenant } => desk.form.one(&shown(&desk.tenant(&tenant).await?)),
        Verb::Set { tenant, strict } => set_strict(desk, &tenant, strict).await,
        Verb::Disable { tenant } => set_disabled(desk, &tenant, true).await,
        Verb::Enable { tenant } => set_disabled(desk, &tenant, false).await,
        Verb::Remove { tenant, yes } => remove(desk, &tenant, yes).await,
    }
}

async fn set_disabled(desk: &Desk, tenant: &str, disabled: bool) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    desk.store
        .set_tenant_disabled(&desk.change(), &tenant.id, disabled)
        .await?;
    desk.form.one(&shown(&Tenant { disabled, ..tenant }))
}

async fn set_strict(desk: &Desk, tenant: &str, strict: bool) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    desk.store
        .set_tenant_strict(&desk.change(), &tenant.id, strict)
        .await?;
    desk.form.one(&shown(&Tenant { strict, ..tenant }))
}

async fn remove(desk: &Desk, tenant: &str, yes: bool) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    if !yes {
        let message = format!(
            "this removes tenant {} for ever: add --yes if that is meant",
            tenant.name
        );
        return Err(Failure::other(message));
    }
    desk.store.remove_tenant(&desk.change(), &tenant.id).await?;
    desk.form.one(&json!({"removed": tenant.id, "name": tenant.name}))
}

fn shown(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id,
        "name": tenant.name,
        "disabled": tenant.disabled,
        "strict": tenant.strict,
        "created_at": instant(tenant.created_at_ms),
    })
}
