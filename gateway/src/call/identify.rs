//! Gateway key to caller.

use std::sync::Arc;

use dialect::refusal::{Code, Refusal};
use policy::price::PriceBook;
use vault::gateway_key::{self, KeyKind, Presented};

use crate::live::{Directory, GatewayKey, LookupError, TenantState};

/// Who calls: a tenant, by one of its gateway keys.
pub(crate) struct Caller {
    pub tenant: Arc<TenantState>,
    pub key: Arc<GatewayKey>,
    /// What its calls cost.
    pub prices: PriceBook,
}

/// A digest that no secret has, compared with when there is no key to compare with, so that an unknown key costs the
/// same work as a wrong one.
const NO_DIGEST: [u8; 32] = [0; 32];
const RETRY_S: u64 = 1;

/// Finds the caller.
///
/// # Errors
/// One and the same refusal for an unknown, wrong, revoked or expired key and for a disabled tenant; 503 when the
/// key is not in memory and the store does not answer.
pub(crate) async fn identify(
    directory: &Directory,
    presented: Option<&str>,
    now_ms: i64,
) -> Result<Caller, Refusal> {
    let Some(text) = presented else {
        return Err(Refusal::new(
            Code::MissingApiKey,
            "No gateway key was given. Send it as `Authorization: Bearer sk-tg-…`.",
        ));
    };
    // The check letters catch a mistyped key before anything is looked up.
    let Some(Presented {
        kind: KeyKind::Gateway,
        id,
        secret,
    }) = gateway_key::parse(text)
    else {
        return Err(not_valid());
    };
    let tenant = directory
        .tenant_of_key(id)
        .await
        .map_err(|error| unavailable(&error))?;
    let found = tenant.and_then(|tenant| {
        let key = tenant.key(id).cloned()?;
        let prices = tenant.prices.with_global(Arc::clone(&directory.global().prices));
        Some(Caller { tenant, key, prices })
    });
    let Some(caller) = found else {
        directory.digest_key().verify(secret, &NO_DIGEST);
        return Err(not_valid());
    };
    if caller.key.opens(secret, directory.digest_key(), now_ms) && !caller.tenant.disabled {
        Ok(caller)
    } else {
        Err(not_valid())
    }
}

fn not_valid() -> Refusal {
    Refusal::new(Code::InvalidApiKey, "The gateway key is not valid.")
}

fn unavailable(error: &LookupError) -> Refusal {
    let message = match error {
        LookupError::Unavailable => "The gateway cannot check this key at the moment.",
        LookupError::Poison => "The gateway cannot serve this tenant at the moment.",
    };
    Refusal::new(Code::StoreUnavailable, message).retry_after(RETRY_S)
}
