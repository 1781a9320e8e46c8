//! Usage is what the rows say, to the last token, from whichever instant on it is asked for; and few of them are read for it.

use std::collections::BTreeMap;

use store::{AttemptRow, AttemptUsage, UsageBy, UsageLine, UsageQuery};
use testkit::database::TestDatabase;
use ulid::Ulid;

use crate::chance::Chance;
use crate::ledger::attempt;
use crate::world::{NOW_MS, World};

crate::on_both_databases!(
    usage_since_any_instant_is_that_of_the_rows,
    no_more_than_half_an_hour_of_rows_is_read,
);

const HOUR_MS: i64 = 3_600_000;
const HOURS: u64 = 20;
const ROWS: u64 = 600;
const QUESTIONS: u64 = 40;
const GROUPS: [UsageBy; 6] = [
    UsageBy::Model,
    UsageBy::Key,
    UsageBy::Credential,
    UsageBy::Day,
    UsageBy::Tenant,
    UsageBy::Provider,
];

async fn usage_since_any_instant_is_that_of_the_rows(database: TestDatabase) {
    let world = World::new(database).await;
    let mut chance = Chance::new(7);
    let rows: Vec<AttemptRow> = (0..ROWS).map(|number| row(&mut chance, number)).collect();
    for batch in rows.chunks(90) {
        world.store.append_attempts(batch).await.unwrap();
    }
    // Some are those of a program that knows of no sums.
    world
        .tamper("UPDATE attempts SET usage_source = NULL WHERE model = 'model-old'")
        .await;
    world
        .tamper("DELETE FROM usage_hours WHERE model = 'model-old'")
        .await;
    let mut instants: Vec<i64> = (0..QUESTIONS).map(|_| instant(&mut chance)).collect();
    let edges = [-1, 0, 1, HOUR_MS / 2 - 1, HOUR_MS / 2, HOUR_MS / 2 + 1];
    instants.extend(edges.map(|offset| NOW_MS + HOUR_MS + offset));
    instants.extend([i64::MIN, 0, i64::MAX]);
    for since_at_ms in instants {
        for by in GROUPS {
            for tenant_id in [None, Some("ten-1")] {
                let query = UsageQuery {
                    tenant_id,
                    since_at_ms,
                    by,
                };
                let told = world.store.usage(&query).await.unwrap();
                assert_eq!(told, summed(&rows, &query), "{query:?}");
            }
        }
    }
}

/// Those that are not read are gone, and not missed.
async fn no_more_than_half_an_hour_of_rows_is_read(database: TestDatabase) {
    let world = World::new(database).await;
    let mut chance = Chance::new(8);
    let rows: Vec<AttemptRow> = (0..ROWS).map(|number| row(&mut chance, number)).collect();
    world.store.append_attempts(&rows).await.unwrap();
    world
        .tamper("DELETE FROM attempts WHERE started_at_ms % 3600000 BETWEEN 1500000 AND 2100000")
        .await;
    for (minutes, is_read) in [(20, false), (40, false), (29, true), (31, true)] {
        let query = UsageQuery {
            tenant_id: None,
            since_at_ms: NOW_MS + 2 * HOUR_MS + minutes * 60_000,
            by: UsageBy::Tenant,
        };
        let told = world.store.usage(&query).await.unwrap();
        assert_eq!(told != summed(&rows, &query), is_read, "{minutes}");
    }
}

fn instant(chance: &mut Chance) -> i64 {
    NOW_MS + i64::try_from(chance.below(HOURS * 3_600_000)).unwrap()
}

/// Of a few tenants and models, in whichever way it ended.
fn row(chance: &mut Chance, number: u64) -> AttemptRow {
    let started_at_ms = instant(chance);
    let waited_ms = i64::try_from(chance.below(3_000_000)).unwrap();
    let call = Ulid::from_parts(
        u64::try_from(started_at_ms - waited_ms).unwrap(),
        u128::from(number),
    );
    let mut count = || i64::try_from(chance.below(1_000)).unwrap();
    let usage = AttemptUsage {
        input_tokens: count(),
        cached_input_tokens: count(),
        cache_write_tokens: count(),
        cache_write_1h_tokens: count(),
        output_tokens: count(),
        reasoning_tokens: count(),
        audio_input_tokens: count(),
        audio_output_tokens: count(),
        image_output_tokens: count(),
    };
    let cost_nano = count();
    let (outcome, usage_source, usage) = match chance.below(5) {
        0 => ("crashed", "unknown_crash", None),
        1 => ("provider_error", "none", None),
        2 => ("client_gone", "estimated", Some(usage)),
        _ => ("ok", "provider", Some(usage)),
    };
    let is_priced = usage.is_some() && chance.below(4) > 0;
    let model = match chance.below(12) {
        0 => "model-old".to_owned(),
        // So rare that in some hours there is none, and in some one.
        1 => format!("model-{}", chance.below(60)),
        _ => format!("model-{}", chance.below(3)),
    };
    AttemptRow {
        started_at_ms,
        tenant_id: format!("ten-{}", chance.below(3)),
        key_id: format!("key-{}", chance.below(4)),
        credential_id: (chance.below(5) > 0).then(|| format!("cred-{}", chance.below(3))),
        provider: ["openai", "echo"][usize::try_from(chance.below(2)).unwrap()].to_owned(),
        // What a program without sums tells of an answer without usage is what this one calls unknown.
        status: if usage_source == "none" { 500 } else { 200 },
        model,
        outcome: outcome.to_owned(),
        usage,
        usage_source: usage_source.to_owned(),
        cost_nano: is_priced.then_some(cost_nano),
        ..attempt(&call.to_string(), 1 + i64::try_from(chance.below(2)).unwrap())
    }
}

/// What the rows come to, row by row.
fn summed(rows: &[AttemptRow], query: &UsageQuery<'_>) -> Vec<UsageLine> {
    let is_asked = |row: &&AttemptRow| {
        row.started_at_ms >= query.since_at_ms
            && query.tenant_id.is_none_or(|tenant_id| tenant_id == row.tenant_id)
    };
    let mut lines = BTreeMap::<String, UsageLine>::new();
    for row in rows.iter().filter(is_asked) {
        let group = match query.by {
            UsageBy::Model => row.model.clone(),
            UsageBy::Key => row.key_id.clone(),
            UsageBy::Credential => row.credential_id.clone().unwrap_or_default(),
            UsageBy::Tenant => row.tenant_id.clone(),
            UsageBy::Provider => row.provider.clone(),
            UsageBy::Day | UsageBy::Call => {
                let at = jiff::Timestamp::from_millisecond(row.started_at_ms).unwrap();
                at.to_string()[..10].to_owned()
            }
        };
        let line = lines.entry(group.clone()).or_insert_with(|| none_of(group));
        let is_unknown = ["unknown", "unknown_crash"].contains(&row.usage_source.as_str());
        line.calls += i64::from(row.attempt_number == 1);
        line.attempts += 1;
        line.failed += i64::from(!["ok", "client_gone"].contains(&row.outcome.as_str()));
        line.unmetered += i64::from(row.usage.is_none() && is_unknown);
        line.unpriced += i64::from(row.usage.is_some() && row.cost_nano.is_none());
        line.cost_nano += row.cost_nano.unwrap_or(0);
        let (sum, usage) = (&mut line.usage, row.usage.unwrap_or_default());
        sum.input_tokens += usage.input_tokens;
        sum.cached_input_tokens += usage.cached_input_tokens;
        sum.cache_write_tokens += usage.cache_write_tokens;
        sum.cache_write_1h_tokens += usage.cache_write_1h_tokens;
        sum.output_tokens += usage.output_tokens;
        sum.reasoning_tokens += usage.reasoning_tokens;
        sum.audio_input_tokens += usage.audio_input_tokens;
        sum.audio_output_tokens += usage.audio_output_tokens;
        sum.image_output_tokens += usage.image_output_tokens;
    }
    lines.into_values().collect()
}

fn none_of(group: String) -> UsageLine {
    UsageLine {
        group,
        calls: 0,
        attempts: 0,
        failed: 0,
        unmetered: 0,
        unpriced: 0,
        usage: AttemptUsage::default(),
        cost_nano: 0,
    }
}
