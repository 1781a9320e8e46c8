//! Recordings of real vendors, as the official SDKs see them through the gateway: text, pieces, tools, thoughts, ends, usage
//! and errors are what the recording says, at every kind of provider, and what was told once comes back as it was.
//!
//! [`table`] says which recording stands for which step, [`told`] reads what it tells, [`plan`] makes of that what the vendors
//! play and the scripts of `tests/clients` expect.

mod ask;
mod plan;
mod table;
mod told;

pub(crate) use plan::{Plan, Shelf};

use table::{KINDS, STEPS};

/// The providers that are replayed, with which their paths begin, and how many of the steps that there are have a recording.
pub(crate) fn providers() -> Vec<(&'static str, &'static str)> {
    let named = KINDS.iter().flat_map(|kind| {
        let root = if kind.folder == "gemini" { "/v1beta" } else { "/v1" };
        [Some(kind.provider), kind.for_responses]
            .into_iter()
            .flatten()
            .map(move |name| (name, root))
    });
    let mut named: Vec<_> = named.collect();
    named.sort_unstable();
    named.dedup();
    named
}

#[test]
fn it_is_told_how_many_steps_replay_a_recording() {
    let mut replayed = 0;
    for kind in &KINDS {
        let missing = STEPS
            .iter()
            .filter(|step| kind.steps.iter().all(|(known, _)| known != *step));
        let missing: Vec<String> = missing.map(|(ask, form)| format!("{ask:?} {form:?}")).collect();
        println!("{}: no recording for {}", kind.provider, missing.join(", "));
        assert_eq!(kind.steps.len() + missing.len(), STEPS.len(), "{}", kind.provider);
        replayed += kind.steps.len();
    }
    let names = || {
        KINDS
            .iter()
            .flat_map(|kind| kind.steps)
            .flat_map(|(_, names)| *names)
    };
    let made = names().filter(|name| name.starts_with("made-")).count();
    println!(
        "{replayed} of {} steps replay a recording; of their {} answers {made} were made after what the vendor documents",
        KINDS.len() * STEPS.len(),
        names().count()
    );
}
