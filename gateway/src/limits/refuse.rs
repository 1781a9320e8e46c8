//! What a caller is told whose limit does not let a call through.

use dialect::refusal::{Code, Refusal};
use policy::lease::{Denied, DeniedWhy};
use policy::limit::{Cap, Limit, Period, Subject, Unit};

use super::rates::seconds;

const RETRY_S: u64 = 1;

/// Names the limit, its window, and when it frees.
pub(crate) fn refuse(denied: &Denied) -> Refusal {
    let limit = &denied.limit;
    let named = named(limit);
    match denied.why {
        DeniedWhy::NeverFits if limit.cap == Cap::Units(0) => Refusal::new(
            Code::LimitReached,
            format!("{named} is 0: no call is let through."),
        ),
        DeniedWhy::NeverFits => {
            let wanted = shown(limit.unit, denied.wanted);
            let message = format!("{named} can never let this call through, which may use {wanted}.");
            Refusal::new(Code::LimitTooSmall, message)
        }
        DeniedWhy::Exhausted | DeniedWhy::Waiting if limit.unit == Unit::Concurrent => {
            let message = format!("{named} is reached: other calls have to end first.");
            Refusal::new(Code::LimitReached, message).retry_after(RETRY_S)
        }
        // Of a rolling minute the oldest part frees when the part under way ends.
        DeniedWhy::Exhausted => {
            let ends = denied.window.zip(denied.now_ms);
            let frees_s = ends.map_or(RETRY_S, |(window, now_ms)| {
                seconds(window.end_ms.saturating_sub(now_ms)).max(RETRY_S)
            });
            let message = format!("{named} is reached. It frees in {frees_s} s.");
            Refusal::new(Code::LimitReached, message).retry_after(frees_s)
        }
        // It was asked for, and others were faster, or gave none back in time: there may be some any moment.
        DeniedWhy::Waiting if denied.window.is_some() => {
            let message = format!("{named} has nothing left for this call at the moment.");
            Refusal::new(Code::LimitReached, message).retry_after(RETRY_S)
        }
        DeniedWhy::Boundary => {
            let message = format!("{named} is between two windows.");
            Refusal::new(Code::LimitReached, message).retry_after(RETRY_S)
        }
        // The database has not even told the time yet.
        DeniedWhy::StoreAway | DeniedWhy::Waiting => {
            let message = format!("{named} cannot be kept at the moment, so no call is let through.");
            Refusal::new(Code::LimitUnavailable, message).retry_after(RETRY_S)
        }
    }
}

/// A model without a price cannot be held to a limit on money.
pub(crate) fn unpriced(limit: &Limit, model: &str) -> Refusal {
    let message = format!(
        "{} cannot be kept for the model `{model}`, which has no price.",
        named(limit)
    );
    Refusal::new(Code::LimitUnpriced, message).param("model")
}

/// Such as: The limit of 100 requests a minute on this tenant.
fn named(limit: &Limit) -> String {
    let cap = match limit.cap {
        Cap::Units(cap) => shown(limit.unit, cap),
        Cap::Unlimited => "any use".to_owned(),
    };
    let per = match limit.period {
        Period::Minute | Period::RollingMinute => " a minute",
        Period::Day => " a day",
        Period::Month => " a month",
        Period::Always => "",
    };
    let on = match &limit.subject {
        Subject::Tenant => "this tenant".to_owned(),
        Subject::Key(_) => "this gateway key".to_owned(),
        Subject::Credential(id) => format!("credential `{id}`"),
        Subject::Model(model) => format!("the model `{model}`"),
    };
    format!("The limit of {cap}{per} on {on}")
}

fn shown(unit: Unit, units: u64) -> String {
    match unit {
        Unit::Requests => format!("{units} requests"),
        Unit::InputTokens => format!("{units} input tokens"),
        Unit::OutputTokens => format!("{units} output tokens"),
        Unit::Tokens => format!("{units} tokens"),
        Unit::NanoDollars => {
            let (dollars, nano) = (units / 1_000_000_000, units % 1_000_000_000);
            let cents = format!("{nano:09}");
            let cents = cents.trim_end_matches('0');
            if cents.is_empty() {
                format!("${dollars}")
            } else {
                format!("${dollars}.{cents}")
            }
        }
        Unit::Concurrent => format!("{units} calls at the same time"),
    }
}
