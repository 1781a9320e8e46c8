//! Memory that nobody needs any more goes back to the system.
//!
//! The allocator keeps what was freed for a second, in case that it is needed again, and looks for what is over only when
//! somebody frees a large block. On a gateway that has become quiet nobody does, so now and then one is freed for it.

use std::hint::black_box;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(2);
/// Larger than what the allocator keeps in its lists. Nobody writes to it, so it takes no memory itself.
const BLOCK_BYTES: usize = 8 << 20;

/// Has it given back for as long as the gateway runs.
pub(super) async fn give_back() {
    let mut turns = tokio::time::interval(EVERY);
    loop {
        turns.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
    }
}
