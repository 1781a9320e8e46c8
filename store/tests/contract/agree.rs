//! What leases say was used of a window that is over, against its rows: known to the last unit where the provider told it, and
//! from so much to so much where nobody did.

use policy::limit::{Cap, Firmness, Mode, Period, Subject, Unit};
use store::{AttemptRow, Change, NewLimit};
use testkit::database::TestDatabase;

use crate::ledger::attempt;
use crate::world::World;

crate::on_both_databases!(what_is_estimated_may_keep_what_was_reserved);

/// A day that is long over, for limits that were there before it.
const DAY_MS: i64 = 1_700_006_400_000;
const LONG_AGO: Change<'_> = Change {
    actor: "admin:tester",
    at_ms: 1,
};

async fn limit(world: &World, id: &str, unit: Unit) {
    let new = NewLimit {
        id,
        tenant_id: "ten-acme",
        subject: &Subject::Tenant,
        unit,
        period: Period::Day,
        zone: "UTC",
        cap: Cap::Units(1_000_000),
        mode: Some(Mode::Enforce),
        firmness: Firmness::Hard,
        unpriced: None,
    };
    world.store.set_limit(&LONG_AGO, &new).await.unwrap();
    let counter = format!(
        "INSERT INTO counters (tenant_id, limit_id, starts_at_ms, ends_at_ms, cap, ceiling, granted, burnt, \
             contended_until_ms, past_amount, past_returned, past_settled, past_overdraft, kept_until_ms) \
         VALUES ('ten-acme', '{id}', {DAY_MS}, {}, 1000000, 1000000, 0, 0, 0, 0, 0, 0, 0, 9000000000000)",
        DAY_MS + 86_400_000
    );
    world.tamper(counter.leak()).await;
}

/// The limits whose leases say that so much was used of each, and whose rows do not.
async fn disagree(world: &World, settled: i64) -> Vec<String> {
    let settle = format!("UPDATE counters SET past_settled = {settled}");
    world.tamper(settle.leak()).await;
    let disagreements = world.store.disagreements(0).await.unwrap();
    let mut limits: Vec<String> = disagreements.into_iter().map(|told| told.limit_id).collect();
    limits.sort();
    limits
}

async fn what_is_estimated_may_keep_what_was_reserved(database: TestDatabase) {
    let world = World::new(database).await;
    world.tenant("acme").await;
    limit(&world, "lim-output", Unit::OutputTokens).await;
    limit(&world, "lim-tokens", Unit::Tokens).await;
    // 120 tokens, 20 of them of the answer, of 500 that were reserved.
    let estimated = AttemptRow {
        started_at_ms: DAY_MS + 3_600_000,
        usage_source: "estimated".to_owned(),
        ..attempt("call1", 1)
    };
    world.store.append_attempts(&[estimated]).await.unwrap();
    assert_eq!(
        disagree(&world, 120).await,
        [""; 0],
        "it is booked by what was heard"
    );
    assert_eq!(
        disagree(&world, 500).await,
        [""; 0],
        "all that was reserved is kept"
    );
    assert_eq!(
        disagree(&world, 501).await,
        ["lim-tokens"],
        "that was never reserved"
    );
    assert_eq!(
        disagree(&world, 119).await,
        ["lim-tokens"],
        "so much was heard at least"
    );
    assert_eq!(disagree(&world, 19).await, ["lim-output", "lim-tokens"]);
    // What the provider told is all of it.
    let told = AttemptRow {
        started_at_ms: DAY_MS + 3_600_000,
        ..attempt("call2", 1)
    };
    world.tamper("DELETE FROM attempts").await;
    world.store.append_attempts(&[told]).await.unwrap();
    assert_eq!(disagree(&world, 120).await, ["lim-output"]);
    assert_eq!(disagree(&world, 20).await, ["lim-tokens"]);
}
