//! What of its limits a call needs.

use std::sync::Arc;

use policy::bound::Bound;
use policy::limit::{Firmness, Limit, Mode, Subject, Unit, Unpriced};

use super::Need;
use crate::live::TenantState;

/// Whose call it is, with what, to what.
#[derive(Clone, Copy)]
pub(crate) struct Party<'a> {
    pub(crate) tenant: &'a TenantState,
    pub(crate) key_id: &'a str,
    pub(crate) credential_id: Option<&'a str>,
    /// What the provider calls it.
    pub(crate) model: &'a str,
}

/// What a model is thought to read at most of a request that does not show it, where nobody knows the model.
const INPUT_TOKENS_UNKNOWN: u64 = 1 << 20;

impl<'a> Party<'a> {
    /// All limits that concern the call.
    pub(crate) fn limits(self) -> impl Iterator<Item = &'a Arc<Limit>> {
        let of_credential = self
            .credential_id
            .map_or(&[][..], |id| self.tenant.limits_on_credential(id));
        let of_tenant = self.tenant.limits_on_tenant().iter();
        of_tenant
            .chain(self.tenant.limits_on_key(self.key_id))
            .chain(of_credential)
            .chain(self.tenant.limits_on_model(self.model))
    }
}

/// Whether how much the call may use has to be known: the answer needs a cap then.
pub(crate) fn are_measured(party: Party<'_>) -> bool {
    let is_measured = |limit: &&Arc<Limit>| {
        let counts = !matches!(limit.unit, Unit::Requests | Unit::Concurrent);
        counts && limit.firmness == Firmness::Hard && limit.mode == Mode::Enforce
    };
    party.limits().any(|limit| is_measured(&limit))
}

/// Whether what the call is expected to use matters.
pub(crate) fn has_soft(party: Party<'_>) -> bool {
    party.limits().any(|limit| limit.firmness == Firmness::Soft)
}

/// What the call needs of each, by what it may use at most (`bound`) and what it is expected to (`expected`).
///
/// # Errors
/// The limit on money that cannot be kept, since the model has no price.
pub(crate) fn needs(party: Party<'_>, bound: &Bound, expected: &Bound) -> Result<Vec<Need>, Arc<Limit>> {
    let need = |limit: &Arc<Limit>| {
        let of = match limit.firmness {
            Firmness::Hard => bound,
            Firmness::Soft => expected,
        };
        let input = of.input_tokens.unwrap_or(INPUT_TOKENS_UNKNOWN);
        let output = of.output_tokens.unwrap_or(0);
        let units = match limit.unit {
            Unit::Requests | Unit::Concurrent => 1,
            Unit::InputTokens => input,
            Unit::OutputTokens => output,
            Unit::Tokens => input.saturating_add(output),
            Unit::NanoDollars if passes_unpriced(limit) => of.nano_dollars.unwrap_or(0),
            Unit::NanoDollars => of.nano_dollars.ok_or_else(|| limit.clone())?,
        };
        Ok(Need {
            limit: limit.clone(),
            units,
        })
    };
    party.limits().map(need).collect()
}

/// Whether a limit on money lets a call through of which nobody knows what it can cost.
fn passes_unpriced(limit: &Limit) -> bool {
    limit.mode == Mode::Observe || limit.unpriced == Unpriced::Allow
}

/// Whether a limit is on a credential: another one may let the call through.
pub(crate) fn is_of_credential(limit: &Limit) -> bool {
    matches!(limit.subject, Subject::Credential(_))
}
