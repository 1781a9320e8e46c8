use super::*;

const SEEDS: u64 = 1_000;

fn runs(wrong: Option<Wrong>, seeds: u64, faults: bool) -> Vec<(u64, Outcome)> {
    let played = |seed| (seed, run(Plan { seed, wrong, faults }));
    (0..seeds).map(played).collect()
}

#[test]
fn no_window_is_ever_over_spent_whatever_fails() {
    let outcomes = runs(None, SEEDS, true);
    let over: Vec<(u64, u64)> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.excess > 0)
        .map(|(seed, outcome)| (*seed, outcome.excess))
        .collect();
    let used: u64 = outcomes
        .iter()
        .map(|(_, outcome)| outcome.used_permille.min(1_000))
        .sum();
    let sent: u64 = outcomes.iter().map(|(_, outcome)| outcome.sent).sum();
    println!(
        "{SEEDS} seeds, {sent} calls sent, {} permille of the caps used",
        used / SEEDS
    );
    assert!(
        over.is_empty(),
        "seeds that over-spent, and by how much: {over:?}"
    );
    assert!(sent > 10_000);
}

#[test]
fn each_protocol_that_only_looks_right_is_caught() {
    let wrongs = [
        Wrong::ExpiryReturns,
        Wrong::NoAnswerGrants,
        Wrong::ReturnBeforeRemoved,
        Wrong::LateAnswerUnlabelled,
        Wrong::OwnClock,
        Wrong::LocalCounters,
    ];
    for wrong in wrongs {
        let caught = (0..SEEDS).find(|seed| {
            run(Plan {
                seed: *seed,
                wrong: Some(wrong),
                faults: true,
            })
            .excess
                > 0
        });
        println!("{wrong:?}: first caught by seed {caught:?}");
        assert!(caught.is_some(), "{wrong:?} was not caught");
    }
}

#[test]
fn without_faults_a_cap_with_demand_enough_is_used_up() {
    for (seed, outcome) in runs(None, 100, false) {
        assert_eq!(outcome.excess, 0, "seed {seed}");
        assert!(
            outcome.used_permille >= 990,
            "seed {seed}: {} permille",
            outcome.used_permille
        );
    }
}
