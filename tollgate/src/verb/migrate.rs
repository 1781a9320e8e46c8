//! `tollgate migrate`.

use serde_json::json;

use crate::desk::open_and_migrate;
use crate::failure::Failure;
use crate::output::Form;
use crate::settings::Settings;

pub(super) async fn run(settings: &Settings, form: Form) -> Result<(), Failure> {
    let (store, migrated) = open_and_migrate(settings).await?;
    store.close().await;
    form.one(&json!({"from_schema": migrated.from, "to_schema": migrated.to}))
}
