//! How a caller stands with its limits.

use std::sync::Arc;

use dialect::rates::{Rate, Rates};
use policy::lease::{Holder, Remaining};
use policy::limit::{Limit, Mode, Unit};

use super::{Limits, Need};

const MS_PER_S: i64 = 1_000;

/// The tightest limit of requests, and of tokens, among those that a call has met; `None` when there is none of either.
pub(crate) fn rates(limits: &Limits, needs: &[Need]) -> Option<Rates> {
    if needs.is_empty() {
        return None;
    }
    let now = limits.now();
    let held = limits.held();
    let holder: &Holder = held.as_ref()?;
    let of = |is_of: fn(Unit) -> bool| {
        let met = needs.iter().map(|need| &need.limit);
        let standing = met
            .filter(|limit| is_of(limit.unit) && limit.mode == Mode::Enforce)
            .filter_map(|limit: &Arc<Limit>| holder.remaining(limit, now));
        standing.min_by_key(|standing| standing.units).map(rate)
    };
    let rates = Rates {
        requests: of(|unit| unit == Unit::Requests),
        tokens: of(|unit| matches!(unit, Unit::Tokens | Unit::InputTokens | Unit::OutputTokens)),
    };
    (rates != Rates::default()).then_some(rates)
}

fn rate(standing: Remaining) -> Rate {
    let until_ms = standing.resets_at_ms.saturating_sub(standing.now_ms).max(0);
    Rate {
        limit: standing.cap,
        remaining: standing.units,
        reset_s: seconds(until_ms),
        reset_at_s: standing.resets_at_ms.div_euclid(MS_PER_S),
    }
}

/// Rounded up: whoever comes back then comes not too early.
pub(super) fn seconds(ms: i64) -> u64 {
    u64::try_from(ms.saturating_add(MS_PER_S - 1) / MS_PER_S).unwrap_or(0)
}
