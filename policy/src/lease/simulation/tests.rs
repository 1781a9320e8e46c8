use super::*;

const SEEDS: u64 = 1_000;

fn runs(wrong: Option<Wrong>, seeds: u64, faults: bool) -> impl Iterator<Item = (u64, Outcome)> {
    (0..seeds).map(move |seed| (seed, run(Plan { seed, wrong, faults })))
}

#[test]
fn no_window_is_ever_over_spent_whatever_fails() {
    let outcomes: Vec<(u64, Outcome)> = runs(None, SEEDS, true).collect();
    let over: Vec<(u64, u64)> = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.excess > 0)
        .map(|(seed, outcome)| (*seed, outcome.excess))
        .collect();
    let used: Vec<u64> = outcomes
        .iter()
        .filter_map(|(_, outcome)| outcome.used_permille)
        .collect();
    let mean = used.iter().sum::<u64>() / u64::try_from(used.len()).unwrap();
    let sent: u64 = outcomes.iter().map(|(_, outcome)| outcome.sent).sum();
    println!(
        "{SEEDS} seeds, {sent} calls sent; of the caps {mean} permille used, at least {:?}",
        used.iter().min()
    );
    assert!(
        over.is_empty(),
        "seeds that over-spent, and by how much: {over:?}"
    );
    assert!(sent > 300_000, "{sent}");
    assert!(mean >= 900, "{mean}");
}

fn is_caught(wrong: Wrong) {
    let caught = runs(Some(wrong), SEEDS, true).find(|(_, outcome)| outcome.excess > 0);
    println!("{wrong:?} is caught by {caught:?}");
    assert!(caught.is_some(), "{wrong:?} was not caught by {SEEDS} seeds");
    // Without anything that goes wrong, by nothing but the same seed, the right one is not accused.
    let seed = caught.unwrap().0;
    let right = run(Plan {
        seed,
        wrong: None,
        faults: true,
    });
    assert_eq!(right.excess, 0, "seed {seed}");
}

#[test]
fn units_that_come_back_by_time_are_caught() {
    is_caught(Wrong::ExpiryReturns);
}

#[test]
fn a_grant_that_nobody_confirmed_is_caught() {
    is_caught(Wrong::NoAnswerGrants);
}

#[test]
fn a_return_that_is_told_before_it_is_made_is_caught() {
    is_caught(Wrong::ReturnBeforeRemoved);
}

#[test]
fn an_answer_without_the_name_of_its_window_is_caught() {
    is_caught(Wrong::LateAnswerUnlabelled);
}

#[test]
fn a_clock_that_is_believed_is_caught() {
    is_caught(Wrong::OwnClock);
}

#[test]
fn counting_on_ones_own_is_caught() {
    is_caught(Wrong::LocalCounters);
}

#[test]
fn granting_before_anything_is_learned_is_caught() {
    is_caught(Wrong::NothingLearned);
}

#[test]
fn without_faults_a_cap_with_demand_enough_is_used_up() {
    for (seed, outcome) in runs(None, 100, false) {
        assert_eq!(outcome.excess, 0, "seed {seed}");
        let used = outcome.used_permille.unwrap();
        assert!(used >= 990, "seed {seed}: {used} permille");
    }
}
