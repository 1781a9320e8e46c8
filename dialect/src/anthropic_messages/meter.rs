//! Reading usage from a whole answer that passes untranslated.

use serde::de::DeserializeOwned;

use super::usage::Counts;
use crate::json::scan_answer;
use crate::usage::Usage;

/// An answer, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let [usage] = scan_answer(body, ["usage"]).ok()?;
        let counts = usage.and_then(read::<Counts>);
        Some(Self {
            usage: counts.and_then(Counts::usage),
        })
    }
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice::<Option<T>>(json).ok()?
}
