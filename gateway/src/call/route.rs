//! Model name to plan, for one caller.

use dialect::refusal::{Code, Refusal};
use policy::{Plan, Rules};

use super::identify::Caller;
use crate::live::Directory;

/// Plans a call to the model of this name.
///
/// # Errors
/// `model_not_found`, with the same words for a model that no route knows and for one that the key may not use.
pub(crate) fn route(directory: &Directory, caller: &Caller, model_name: &str) -> Result<Plan, Refusal> {
    if !caller.key.models.allows(model_name) {
        return Err(not_found(model_name));
    }
    rules(directory, caller, |rules| policy::plan(model_name, rules)).ok_or_else(|| not_found(model_name))
}

/// Hands `decide` the rules that hold for this caller.
pub(crate) fn rules<T>(directory: &Directory, caller: &Caller, decide: impl FnOnce(&Rules<'_>) -> T) -> T {
    let global = directory.global();
    decide(&Rules {
        tenant: &caller.tenant.routes,
        global: &global.routes,
        built_in: directory.built_in(),
        is_provider: &|name| directory.catalog().get(name).is_some(),
    })
}

/// What is said of a model that does not exist for this caller.
pub(crate) fn not_found(model_name: &str) -> Refusal {
    Refusal::new(
        Code::ModelNotFound,
        format!("The model `{model_name}` does not exist, or this gateway key has no access to it."),
    )
    .param("model")
}
