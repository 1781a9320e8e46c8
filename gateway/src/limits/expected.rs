//! What calls are expected to use, for soft limits: learned of each model and key from what their calls have used.
//!
//! Only calls that meet a soft limit come here, so what is learned is of those; the lock is held for a look into a map.

use std::sync::{Arc, Mutex, PoisonError};

use policy::bound::Bound;
use policy::expect::{Expectations, Use};
use policy::lease::Used;

/// What is learned by all calls.
pub(crate) struct Expected(Mutex<Expectations>);

/// Of which model, by which key.
#[derive(Clone)]
pub(crate) struct Like {
    pub(crate) model: Arc<str>,
    pub(crate) key: Arc<str>,
}

const PAIRS_MAX: usize = 10_000;
/// The most of what nobody knows the most of.
const UNKNOWN: u64 = 1 << 20;

impl Default for Expected {
    fn default() -> Self {
        Self(Mutex::new(Expectations::new(PAIRS_MAX)))
    }
}

impl Expected {
    /// What a call like this will probably use, and never more than `most`; `first` where none like it has ended yet.
    pub(crate) fn of(&self, like: &Like, most: &Bound, first: Use) -> Bound {
        let at_most = Use {
            input_tokens: most.input_tokens.unwrap_or(UNKNOWN),
            output_tokens: most.output_tokens.unwrap_or(UNKNOWN),
            nano_dollars: most.nano_dollars.unwrap_or(u64::MAX),
        };
        let learned = self.lock();
        let expected = if learned.knows(&like.model, &like.key) {
            learned.expect(&like.model, &like.key, at_most)
        } else {
            Use {
                input_tokens: first.input_tokens.min(at_most.input_tokens),
                output_tokens: first.output_tokens.min(at_most.output_tokens),
                nano_dollars: first.nano_dollars.min(at_most.nano_dollars),
            }
        };
        Bound {
            input_tokens: Some(expected.input_tokens),
            output_tokens: Some(expected.output_tokens),
            nano_dollars: most.nano_dollars.map(|_| expected.nano_dollars),
            cap: None,
        }
    }

    /// Takes in what such a call has used, where that is known.
    pub(super) fn learn(&self, like: &Like, used: &Used) {
        let (Some(input_tokens), Some(output_tokens)) = (used.input_tokens, used.output_tokens) else {
            return;
        };
        // An error has used nothing, and says nothing of calls that are answered.
        if input_tokens == 0 {
            return;
        }
        let used = Use {
            input_tokens,
            output_tokens,
            nano_dollars: used.nano_dollars.unwrap_or(0),
        };
        self.lock().learn(&like.model, &like.key, used);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Expectations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
