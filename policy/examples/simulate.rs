//! Plays many replicas over one database in made-up time, one run for each seed, and tells whether a window was ever
//! over-spent. `cargo xtask simulate` builds and runs it.

#![expect(clippy::print_stdout, reason = "it is run by people, on a terminal")]

use std::process::ExitCode;

use policy::lease::simulation::{Outcome, Plan, run};

fn main() -> ExitCode {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|number| number.parse::<u64>().ok());
    let (first, count) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(1_000));
    let (mut runs, mut used, mut lowest, mut sent, mut over) = (0_u64, 0, u64::MAX, 0, 0_u64);
    for seed in first..first.saturating_add(count) {
        let outcome: Outcome = run(Plan {
            seed,
            wrong: None,
            faults: true,
        });
        if outcome.excess > 0 {
            over += 1;
            println!("seed {seed}: {} units too many", outcome.excess);
        }
        if let Some(permille) = outcome.used_permille {
            runs += 1;
            used += permille;
            lowest = lowest.min(permille);
        }
        sent += outcome.sent;
    }
    let mean = used / runs.max(1);
    println!(
        "{count} seeds from {first}: {sent} calls sent; of the caps {mean} permille used, at least {lowest}"
    );
    if over > 0 {
        println!("{over} seeds over-spent");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
