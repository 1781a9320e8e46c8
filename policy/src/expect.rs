//! What a call is expected to use, for limits that may be passed by a little: learned of each model and key from what their
//! calls have really used.
//!
//! An average in which each new call counts one eighth, and how far calls are from it: what is expected lies two of those
//! above it, so that most calls use less. Whole numbers, of 1/16 of a token. What has not been used for the longest time is
//! forgotten when there is no room for more.

use std::collections::HashMap;
use std::sync::Arc;

/// What is learned, of at most so many pairs of model and key.
#[derive(Debug)]
pub struct Expectations {
    learned: HashMap<(Arc<str>, Arc<str>), Learned>,
    pairs_max: usize,
    /// Counts the calls that were looked at.
    turn: u64,
}

/// What a call is expected to use, or has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub nano_dollars: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Learned {
    input: Average,
    output: Average,
    dollars: Average,
    turn: u64,
}

/// An average and the distance from it, in 1/16.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    mean: u64,
    distance: u64,
    is_known: bool,
}

const PARTS: u64 = 16;
/// One new call counts one of so many.
const WEIGHT: u64 = 8;
const DISTANCES: u64 = 2;

impl Expectations {
    pub fn new(pairs_max: usize) -> Self {
        Self {
            learned: HashMap::new(),
            pairs_max: pairs_max.max(1),
            turn: 0,
        }
    }

    /// What a call of this key for this model is expected to use, and never more than it can; that, where nothing is known.
    pub fn expect(&self, model: &Arc<str>, key: &Arc<str>, most: Use) -> Use {
        let pair = (Arc::clone(model), Arc::clone(key));
        let Some(learned) = self.learned.get(&pair) else {
            return most;
        };
        Use {
            input_tokens: learned.input.likely().min(most.input_tokens),
            output_tokens: learned.output.likely().min(most.output_tokens),
            nano_dollars: learned.dollars.likely().min(most.nano_dollars),
        }
    }

    /// Whether a call of this key for this model has ended before.
    pub fn knows(&self, model: &Arc<str>, key: &Arc<str>) -> bool {
        self.learned.contains_key(&(Arc::clone(model), Arc::clone(key)))
    }

    /// Takes in what a call has used.
    pub fn learn(&mut self, model: &Arc<str>, key: &Arc<str>, used: Use) {
        self.turn += 1;
        let pair = (Arc::clone(model), Arc::clone(key));
        if self.learned.len() >= self.pairs_max && !self.learned.contains_key(&pair) {
            self.forget();
        }
        let learned = self.learned.entry(pair).or_default();
        learned.turn = self.turn;
        learned.input.take(used.input_tokens);
        learned.output.take(used.output_tokens);
        learned.dollars.take(used.nano_dollars);
    }

    pub fn len(&self) -> usize {
        self.learned.len()
    }

    pub fn is_empty(&self) -> bool {
        self.learned.is_empty()
    }

    /// Forgets the older half, so that the work of looking for it is shared by as many calls.
    fn forget(&mut self) {
        let mut turns: Vec<u64> = self.learned.values().map(|learned| learned.turn).collect();
        let middle = turns.len() / 2;
        let (_, median, _) = turns.select_nth_unstable(middle);
        let oldest_kept = *median;
        self.learned.retain(|_, learned| learned.turn > oldest_kept);
    }
}

impl Average {
    fn take(&mut self, value: u64) {
        let value = value.saturating_mul(PARTS);
        if !self.is_known {
            *self = Self {
                mean: value,
                distance: value / 2,
                is_known: true,
            };
            return;
        }
        let away = value.abs_diff(self.mean);
        self.distance = self.distance - self.distance / WEIGHT + away / WEIGHT;
        self.mean = self.mean - self.mean / WEIGHT + value / WEIGHT;
    }

    fn likely(self) -> u64 {
        let above = self.distance.saturating_mul(DISTANCES);
        self.mean.saturating_add(above).div_ceil(PARTS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: Use = Use {
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        nano_dollars: u64::MAX,
    };

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn used(tokens: u64) -> Use {
        Use {
            input_tokens: tokens,
            output_tokens: tokens * 2,
            nano_dollars: tokens * 3,
        }
    }

    #[test]
    fn nothing_known_is_expected_to_be_the_most() {
        let expectations = Expectations::new(4);
        assert_eq!(expectations.expect(&name("m"), &name("k"), used(9)), used(9));
    }

    #[test]
    fn what_is_always_the_same_is_expected_so_before_long() {
        let mut expectations = Expectations::new(4);
        let (model, key) = (name("m"), name("k"));
        expectations.learn(&model, &key, used(1_000));
        assert_eq!(expectations.expect(&model, &key, MOST).input_tokens, 2_000);
        (0..60).for_each(|_| expectations.learn(&model, &key, used(1_000)));
        let expected = expectations.expect(&model, &key, MOST);
        assert!((1_000..1_010).contains(&expected.input_tokens), "{expected:?}");
        assert!((2_000..2_020).contains(&expected.output_tokens), "{expected:?}");
        assert_eq!(expectations.expect(&model, &key, used(10)), used(10));
        assert_eq!(expectations.expect(&model, &name("other"), used(7)), used(7));
    }

    #[test]
    fn most_calls_use_no_more_than_was_expected() {
        let mut expectations = Expectations::new(4);
        let (model, key) = (name("m"), name("k"));
        // From 100 to 1,000, each as often as the others, in no order.
        let sizes = (1..2_000_u64).map(|number| 100 + number * 7_919 % 901);
        let (mut within, mut expected_in_all, mut used_in_all) = (0, 0, 0);
        for size in sizes {
            let expected = expectations.expect(&model, &key, used(10_000)).input_tokens;
            within += u64::from(size <= expected);
            expected_in_all += expected;
            used_in_all += size;
            expectations.learn(&model, &key, used(size));
        }
        assert!(within > 1_800, "{within}");
        assert!(
            expected_in_all < used_in_all * 2,
            "{expected_in_all} {used_in_all}"
        );
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_is_forgotten_first() {
        let mut expectations = Expectations::new(100);
        let model = name("m");
        let keys: Vec<Arc<str>> = (0..1_000).map(|number| name(&number.to_string())).collect();
        for key in &keys {
            expectations.learn(&model, key, used(5));
            expectations.learn(&model, &keys[0], used(5));
            assert!(expectations.len() <= 100);
        }
        let is_known = |key: &Arc<str>| expectations.expect(&model, key, MOST) != MOST;
        assert!(is_known(&keys[0]) && is_known(&keys[999]) && !is_known(&keys[1]));
    }

    proptest! {
        #[test]
        fn no_use_is_too_large_to_be_learned(uses in proptest::collection::vec(any::<u64>(), 0..50)) {
            let mut expectations = Expectations::new(2);
            let (model, key) = (name("m"), name("k"));
            let largest = uses.iter().copied().max();
            for tokens in uses {
                let used = Use { input_tokens: tokens, ..Use::default() };
                expectations.learn(&model, &key, used);
            }
            let expected = expectations.expect(&model, &key, MOST).input_tokens;
            prop_assert!(largest.is_none() || expected <= largest.unwrap_or(0).saturating_mul(3).saturating_add(1));
        }
    }
}
