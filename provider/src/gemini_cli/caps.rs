//! The caps of answers that one process can be asked for.
//!
//! What is wanted of a model stands in the settings of the process, which it reads once: with the cap among them, clients
//! that ask for another one each time would start a process each time. But a settings file may name models of its own,
//! that are another with some change, and a session may be told to take one of these. So there is one for each cap that
//! people write, and any other cap is the next one below: never more than was asked for, and at most a tenth less.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::models::MODELS;

/// More than any model says.
const MOST: u64 = 1_000_000;

/// Whether there are such models of this one: only a model that the program knows can be changed.
pub(super) fn are_there(model: &str) -> bool {
    MODELS.contains(&model)
}

/// The largest that is not more; none for no token at all, which is no cap.
pub(super) fn at_most(cap: u64) -> Option<u64> {
    let all = all();
    let next = all.partition_point(|known| *known <= cap);
    all.get(next.checked_sub(1)?).copied()
}

/// What the model with this cap is called.
pub(super) fn name(model: &str, cap: u64) -> String {
    format!("{model}-at-most-{cap}")
}

/// All of them, as a settings file has them.
pub(super) fn named(model: &str) -> Map<String, Value> {
    let one = |cap: &u64| {
        let change = json!({"generateContentConfig": {"maxOutputTokens": cap}});
        (
            name(model, *cap),
            json!({"extends": model, "modelConfig": change}),
        )
    };
    all().iter().map(one).collect()
}

/// In their order: numbers of two digits with noughts after them, powers of two, and one less than these.
fn all() -> &'static [u64] {
    static ALL: OnceLock<Vec<u64>> = OnceLock::new();
    ALL.get_or_init(|| {
        let tens = std::iter::successors(Some(1_u64), |ten| ten.checked_mul(10));
        let decimal = tens
            .take_while(|ten| *ten < MOST)
            .flat_map(|ten| (1..100).map(move |number| number * ten));
        let binary = (7..20).flat_map(|exponent| [(1 << exponent) - 1, 1 << exponent]);
        let mut all: Vec<u64> = decimal.chain(binary).filter(|cap| *cap <= MOST).collect();
        all.sort_unstable();
        all.dedup();
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_there_and_the_rest_is_a_little_less() {
        for cap in [1, 16, 77, 100, 256, 1_000, 1_024, 4_095, 8_192, 65_535, 65_536] {
            assert_eq!(at_most(cap), Some(cap));
        }
        assert_eq!(
            [at_most(0), at_most(101), at_most(3_977)],
            [None, Some(100), Some(3_900)]
        );
        assert_eq!(at_most(u64::MAX), Some(MOST));
        for cap in (1..200_000).step_by(97) {
            let taken = at_most(cap).unwrap();
            assert!(taken <= cap && cap - taken <= cap / 10, "{cap}: {taken}");
        }
        assert!(all().len() < 700, "a settings file holds them: {}", all().len());
    }
}
