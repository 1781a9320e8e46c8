//! A refusal of ours where a stream can only tell a provider's fault.

use crate::neutral::{Fault, FaultKind};
use crate::refusal::{Code, Party, Refusal};

/// The fault that says what the refusal says.
pub(super) fn as_fault(refusal: &Refusal) -> Fault {
    let kind = match (refusal.code, refusal.code.party()) {
        (Code::ProviderTimeout, _) => FaultKind::Timeout,
        (Code::Overloaded | Code::ShuttingDown, _) => FaultKind::Overloaded,
        (_, Party::Caller | Party::Policy) => FaultKind::BadRequest,
        (_, Party::Provider | Party::Gateway) => FaultKind::Internal,
    };
    Fault {
        kind,
        message: refusal.message.clone(),
        param: refusal.param.as_deref().map(str::to_owned),
        code: Some(refusal.code.as_str().to_owned()),
        retry_after_ms: refusal.retry_after_s.map(|seconds| seconds.saturating_mul(1_000)),
    }
}
