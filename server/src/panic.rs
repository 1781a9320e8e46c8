//! A panic costs one call: its client is told that the gateway failed, and nothing else notices.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dialect::refusal::{Code, Refusal};
use futures_util::FutureExt as _;

/// Does something that may panic.
///
/// What it was working on belongs to its call alone and is dropped with it; what calls share is whole at any time.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| internal())
}

/// The same of something that waits. No `async fn`: that would have room for the work twice, before and while it is done.
pub(crate) fn caught_in<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Refusal>> {
    let caught = AssertUnwindSafe(work).catch_unwind();
    caught.map(|done| done.map_err(|_| internal()))
}

fn internal() -> Refusal {
    Refusal::new(Code::Internal, "The gateway failed on this call.")
}
