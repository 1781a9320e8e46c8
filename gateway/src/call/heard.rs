//! What is known of what an attempt used: what its provider told, and, where that is nothing or not all, about as much as
//! was heard of the answer.
//!
//! A provider that told of nothing at all, as it had nothing to tell, is believed; a guess stands where it told no count.

use bytes::Bytes;
use dialect::{Dialect, Usage, tokens_of, weigh};

use crate::ledger::Outcome;

/// What was heard of an answer, to its end or until it broke off.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Heard {
    /// The last usage that the provider told.
    pub(super) told: Option<Usage>,
    /// Whether an answer that ended with an error had told by then what all of it used.
    pub(super) told_all: bool,
    /// By how many events the model said something, each of which has a token at least.
    pub(super) said_events: u64,
    /// About how many tokens that is by the length of what it said.
    pub(super) said_tokens: u64,
    /// About how many were sent; `None` where that does not show, and where nothing is to be guessed.
    pub(super) input_tokens: Option<u64>,
}

/// What goes by that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Metered {
    pub(super) usage: Option<Usage>,
    /// Whether the provider told nothing of it.
    pub(super) is_guess: bool,
    /// Whether the provider takes nothing for it, although it broke off.
    pub(super) is_free: bool,
    /// Whether the provider told all of it.
    pub(super) is_whole: bool,
}

impl From<Option<Usage>> for Heard {
    fn from(told: Option<Usage>) -> Self {
        Self {
            told,
            ..Self::default()
        }
    }
}

impl Heard {
    /// What the provider takes for a stream that is closed before its end, where that is nothing.
    pub(super) fn free() -> Metered {
        Metered {
            usage: Some(Usage::default()),
            is_guess: false,
            is_free: true,
            is_whole: false,
        }
    }

    /// The whole, or the part, of an answer to this request of a client.
    pub(super) fn of(told: Option<Usage>, said_bytes: u64, asked: (Dialect, &Bytes)) -> Self {
        Self {
            told,
            told_all: false,
            said_events: 0,
            said_tokens: tokens_of(said_bytes),
            input_tokens: told.map_or_else(|| sent_tokens(asked), |_| None),
        }
    }

    /// By how the attempt ended. Of one that broke off the provider's last word may have come before it had made anything: what
    /// was heard counts then, by its events or by its length, whichever is more.
    pub(super) fn metered(self, outcome: Outcome) -> Metered {
        let Self {
            told,
            told_all,
            said_events,
            said_tokens,
            input_tokens,
        } = self;
        let has_ended = outcome == Outcome::Ok || outcome == Outcome::ProviderError && told_all;
        let usage = told.map(|told| Usage {
            output_tokens: if has_ended {
                told.output_tokens
            } else {
                told.output_tokens.max(said_events).max(said_tokens)
            },
            ..told
        });
        let said_tokens = said_tokens.max(said_events);
        let is_heard = outcome == Outcome::Ok || said_tokens > 0;
        let guess = input_tokens.filter(|_| is_heard).map(|input_tokens| Usage {
            input_tokens,
            output_tokens: said_tokens,
            ..Usage::default()
        });
        Metered {
            usage: usage.or(guess),
            is_guess: usage.is_none() && guess.is_some(),
            is_free: false,
            is_whole: usage.is_some() && has_ended,
        }
    }
}

/// About how many tokens a client's request is.
pub(super) fn sent_tokens((dialect, body): (Dialect, &Bytes)) -> Option<u64> {
    weigh(dialect, body).tokens_about()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage {
            input_tokens,
            output_tokens,
            ..Usage::default()
        }
    }

    #[test]
    fn p51_only_what_nobody_told_is_guessed() {
        let heard = |told, said, input_tokens| Heard {
            told,
            told_all: said == 0,
            said_events: said,
            said_tokens: said / 2,
            input_tokens,
        };
        let told = |input, output| Some(usage(input, output));
        let table = [
            (heard(told(9, 5), 7, None), Outcome::Ok, told(9, 5), "told"),
            (heard(told(0, 0), 7, Some(3)), Outcome::Ok, told(0, 0), "told"),
            (heard(told(9, 1), 7, None), Outcome::Cut, told(9, 7), "in part"),
            (
                heard(told(9, 8), 7, None),
                Outcome::ClientGone,
                told(9, 8),
                "in part",
            ),
            (
                heard(told(9, 1), 7, None),
                Outcome::ProviderError,
                told(9, 7),
                "in part",
            ),
            // It has told all before its error, or with it.
            (
                heard(told(9, 4), 0, None),
                Outcome::ProviderError,
                told(9, 4),
                "told",
            ),
            (heard(None, 7, Some(3)), Outcome::Ok, told(3, 7), "guessed"),
            (heard(None, 0, Some(3)), Outcome::Ok, told(3, 0), "guessed"),
            (heard(None, 7, Some(3)), Outcome::Cut, told(3, 7), "guessed"),
            (
                heard(None, 7, Some(3)),
                Outcome::ProviderError,
                told(3, 7),
                "guessed",
            ),
            // Nothing came, or nobody can say how much was sent.
            (heard(None, 0, Some(3)), Outcome::Cut, None, "in part"),
            (heard(None, 7, None), Outcome::Ok, None, "in part"),
        ];
        for (heard, outcome, usage, how) in table {
            let metered = Metered {
                usage,
                is_guess: how == "guessed",
                is_free: false,
                is_whole: how == "told",
            };
            assert_eq!(heard.metered(outcome), metered, "{heard:?} {outcome:?}");
        }
        // Events of many tokens each, after a beginning that told of one.
        let wordy = Heard {
            said_tokens: 40,
            ..heard(told(9, 1), 7, None)
        };
        assert_eq!(wordy.metered(Outcome::ClientGone).usage, told(9, 40));
        assert_eq!(wordy.metered(Outcome::Ok).usage, told(9, 1));
    }
}
