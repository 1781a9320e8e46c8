//! The ledger books each attempt once, whatever happens to the rows around it.

use store::{Appended, AttemptRow, AttemptUsage, UsageBy, UsageQuery};
use testkit::database::TestDatabase;
use ulid::Ulid;

use crate::world::{CHANGE, NOW_MS, World};

crate::on_both_databases!(
    an_attempt_is_booked_once_and_comes_back,
    many_attempts_are_booked_together,
    rows_that_are_alike_keep_what_is_their_own,
    what_began_since_then_is_found_whenever_its_call_began,
    sums_are_grouped_by_what_is_asked,
    the_ledger_outlives_the_tenant,
    a_row_that_cannot_be_kept_does_not_hold_up_the_others,
    sums_are_those_of_the_rows_however_often_and_in_what_order_they_are_told,
    a_sum_that_is_wrong_is_found,
    rows_of_a_program_without_sums_are_counted_before_and_after_they_are_taken_in,
    rows_of_a_program_that_counts_less_are_none_of_what_it_does_not_count,
    usage_does_not_look_at_every_row,
);

const DAY_MS: i64 = 86_400_000;

pub(crate) fn attempt(call: &str, number: i64) -> AttemptRow {
    AttemptRow {
        attempt_id: format!("{call}-{number}"),
        call_id: call.to_owned(),
        attempt_number: number,
        tenant_id: "ten-acme".to_owned(),
        key_id: "key-ci".to_owned(),
        credential_id: Some("cred-main".to_owned()),
        provider: "openai".to_owned(),
        model_name: "fast".to_owned(),
        model: "gpt-4o-mini".to_owned(),
        dialect: "openai_chat".to_owned(),
        streamed: true,
        started_at_ms: NOW_MS,
        duration_us: 1_500,
        first_byte_us: Some(700),
        status: 200,
        outcome: "ok".to_owned(),
        operation: "chat".to_owned(),
        usage_source: "provider".to_owned(),
        cost_nano: Some(7),
        price_version: Some("2027-01".to_owned()),
        reserved_tokens: Some(500),
        usage: Some(AttemptUsage {
            input_tokens: 100,
            cached_input_tokens: 40,
            cache_write_tokens: 5,
            cache_write_1h_tokens: 3,
            output_tokens: 20,
            reasoning_tokens: 8,
            audio_input_tokens: 2,
            audio_output_tokens: 1,
            image_output_tokens: 4,
        }),
    }
}

async fn an_attempt_is_booked_once_and_comes_back(database: TestDatabase) {
    let world = World::new(database).await;
    let store = &world.store;
    let failed = AttemptRow {
        credential_id: None,
        first_byte_us: None,
        status: 0,
        outcome: "unreachable".to_owned(),
        usage: None,
        ..attempt("call1", 1)
    };
    let rows = [failed, attempt("call1", 2)];
    let booked = |new| Appended { new, refused: 0 };
    assert_eq!(store.append_attempts(&rows[..1]).await.unwrap(), booked(1));
    assert_eq!(store.append_attempts(&rows).await.unwrap(), booked(1));
    assert_eq!(store.append_attempts(&rows).await.unwrap(), booked(0));
    assert_eq!(store.attempts_of(Some("ten-acme"), "call1").await.unwrap(), rows);
    assert!(
        store
            .attempts_of(Some("ten-other"), "call1")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.list_attempts(None, NOW_MS, 1).await.unwrap(),
        [rows[1].clone()]
    );
    assert!(
        store
            .list_attempts(Some("ten-acme"), NOW_MS + 1, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn many_attempts_are_booked_together(database: TestDatabase) {
    let world = World::new(database).await;
    let rows: Vec<AttemptRow> = (0..100)
        .map(|call| attempt(&format!("call{call:03}"), 1))
        .collect();
    let appended = world.store.append_attempts(&rows[10..20]).await.unwrap();
    assert_eq!(appended.new, 10);
    let twice = [&rows[..], &rows[..]].concat();
    assert_eq!(world.store.append_attempts(&twice).await.unwrap().new, 90);
    let mut booked = world.store.list_attempts(None, 0, 1_000).await.unwrap();
    booked.reverse();
    assert_eq!(booked, rows);
}

/// Most rows of a busy gateway share most of their texts; each has to come back as it was told all the same.
async fn rows_that_are_alike_keep_what_is_their_own(database: TestDatabase) {
    let world = World::new(database).await;
    // Of some there are enough for a statement of their own.
    let rows: Vec<AttemptRow> = (0..400)
        .map(|number| AttemptRow {
            model: if number % 4 == 0 {
                format!("model-{number}")
            } else {
                "gpt-4o-mini".to_owned()
            },
            price_version: (number % 3 != 0).then(|| "2027-01".to_owned()),
            streamed: number % 2 == 0,
            duration_us: number,
            first_byte_us: (number % 5 != 0).then_some(number / 2),
            usage: (number % 7 != 0).then(|| AttemptUsage {
                input_tokens: number,
                image_output_tokens: 2 * number,
                ..AttemptUsage::default()
            }),
            ..attempt(&format!("call{number:03}"), 1)
        })
        .collect();
    let told_before = &rows[37..44];
    for (told, new) in [(told_before, 7), (rows.as_slice(), 393), (rows.as_slice(), 0)] {
        let appended = world.store.append_attempts(told).await.unwrap();
        assert_eq!(appended, Appended { new, refused: 0 });
    }
    for row in &rows {
        let found = world.store.attempts_of(None, &row.call_id).await.unwrap();
        assert_eq!(found, std::slice::from_ref(row));
    }
}

/// The index is by id, which begins with the time of the call; what counts is when the attempt began.
async fn what_began_since_then_is_found_whenever_its_call_began(database: TestDatabase) {
    let world = World::new(database).await;
    let began = |called_ms_before: i64, started_at_ms: i64| {
        let called_at_ms = u64::try_from(started_at_ms - called_ms_before).unwrap();
        AttemptRow {
            started_at_ms,
            ..attempt(&Ulid::from_parts(called_at_ms, 7).to_string(), 1)
        }
    };
    let rows = [
        began(3_600_000, NOW_MS),
        began(0, NOW_MS - 1),
        began(0, NOW_MS + 5),
    ];
    world.store.append_attempts(&rows).await.unwrap();
    let found = world.store.list_attempts(None, NOW_MS, 9).await.unwrap();
    assert_eq!(found, [rows[2].clone(), rows[0].clone()], "the newest call first");
    let query = UsageQuery {
        tenant_id: None,
        since_at_ms: NOW_MS,
        by: UsageBy::Model,
    };
    let sums = world.store.usage(&query).await.unwrap();
    assert_eq!(sums.iter().map(|line| line.attempts).sum::<i64>(), 2);
}

async fn sums_are_grouped_by_what_is_asked(database: TestDatabase) {
    let world = World::new(database).await;
    let rows = [
        AttemptRow {
            status: 500,
            outcome: "provider_error".to_owned(),
            usage: None,
            usage_source: "none".to_owned(),
            ..attempt("call1", 1)
        },
        attempt("call1", 2),
        AttemptRow {
            usage: None,
            usage_source: "unknown".to_owned(),
            outcome: "client_gone".to_owned(),
            started_at_ms: NOW_MS + DAY_MS,
            ..attempt("call2", 1)
        },
        AttemptRow {
            tenant_id: "ten-other".to_owned(),
            provider: "echo".to_owned(),
            model: "echo-1".to_owned(),
            key_id: "key-other".to_owned(),
            credential_id: None,
            ..attempt("call3", 1)
        },
        AttemptRow {
            started_at_ms: NOW_MS - 1,
            ..attempt("too-old", 1)
        },
    ];
    world.store.append_attempts(&rows).await.unwrap();
    let sums = async |tenant_id, by| {
        let query = UsageQuery {
            tenant_id,
            since_at_ms: NOW_MS,
            by,
        };
        world.store.usage(&query).await.unwrap()
    };
    let groups = async |by| -> Vec<(String, i64)> {
        let lines = sums(None, by).await;
        lines
            .into_iter()
            .map(|line| (line.group, line.attempts))
            .collect()
    };
    let pairs = |pairs: &[(&str, i64)]| -> Vec<(String, i64)> {
        pairs
            .iter()
            .map(|(group, attempts)| ((*group).to_owned(), *attempts))
            .collect()
    };

    let own = sums(Some("ten-acme"), UsageBy::Model).await;
    let [line] = own.as_slice() else {
        panic!("one model")
    };
    assert_eq!(
        (line.group.as_str(), line.calls, line.attempts),
        ("gpt-4o-mini", 2, 3)
    );
    assert_eq!((line.failed, line.unmetered, line.unpriced), (1, 1, 0));
    assert_eq!(line.cost_nano, 21);
    assert_eq!(Some(line.usage), attempt("", 1).usage);

    assert_eq!(
        groups(UsageBy::Tenant).await,
        pairs(&[("ten-acme", 3), ("ten-other", 1)])
    );
    assert_eq!(
        groups(UsageBy::Provider).await,
        pairs(&[("echo", 1), ("openai", 3)])
    );
    assert_eq!(
        groups(UsageBy::Key).await,
        pairs(&[("key-ci", 3), ("key-other", 1)])
    );
    assert_eq!(
        groups(UsageBy::Day).await,
        pairs(&[("2027-01-15", 3), ("2027-01-16", 1)])
    );
    let mut by_credential = groups(UsageBy::Credential).await;
    by_credential.sort();
    assert_eq!(by_credential, pairs(&[("", 1), ("cred-main", 3)]));
}

async fn the_ledger_outlives_the_tenant(database: TestDatabase) {
    let world = World::new(database).await;
    let tenant = world.tenant("acme").await;
    world.store.append_attempts(&[attempt("call1", 1)]).await.unwrap();
    world.store.remove_tenant(&CHANGE, &tenant.id).await.unwrap();
    assert_eq!(
        world
            .store
            .list_attempts(Some(&tenant.id), 0, 9)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn a_row_that_cannot_be_kept_does_not_hold_up_the_others(database: TestDatabase) {
    let world = World::new(database).await;
    let is_postgres = world.database.url().starts_with("postgres");
    // Postgres keeps no NUL in a text; SQLite does, and has nothing to refuse.
    let strange = AttemptRow {
        model_name: "a\0b".to_owned(),
        ..attempt("call2", 1)
    };
    let rows = [attempt("call1", 1), strange, attempt("call3", 1)];
    let appended = world.store.append_attempts(&rows).await.unwrap();
    assert_eq!(appended.new + appended.refused, 3);
    assert_eq!(appended.refused, u64::from(is_postgres));
    let aside = world
        .count("SELECT COUNT(*) FROM refused_attempts WHERE attempt_id = 'call2-1'")
        .await;
    assert_eq!(aside, i64::from(is_postgres));
    let again = world.store.append_attempts(&rows).await.unwrap();
    assert_eq!(again.new, 0);
    // Once somebody has mended it, it can be booked.
    assert_eq!(world.store.count_refused().await.unwrap(), aside);
    assert_eq!(
        world.store.retry_refused().await.unwrap(),
        0,
        "as it is it is refused again"
    );
    world
        .tamper("UPDATE refused_attempts SET attempt = REPLACE(attempt, '\\u0000', '-')")
        .await;
    assert_eq!(world.store.retry_refused().await.unwrap(), u64::from(is_postgres));
    assert_eq!(world.store.count_refused().await.unwrap(), 0);
    assert_eq!(world.store.list_attempts(None, 0, 9).await.unwrap().len(), 3);
    assert!(world.store.usage_differences(0).await.unwrap().is_empty());
}

/// Rows of some hours, tenants and outcomes.
fn many() -> Vec<AttemptRow> {
    let mut rows = Vec::new();
    for number in 0..200_i64 {
        let started_at_ms = NOW_MS + number * 137_000;
        let call = Ulid::from_parts(
            u64::try_from(started_at_ms).unwrap(),
            u128::try_from(number).unwrap(),
        );
        let mut row = AttemptRow {
            started_at_ms,
            tenant_id: format!("ten-{}", number % 3),
            model: format!("model-{}", number % 5),
            ..attempt(&call.to_string(), 1 + number % 2)
        };
        if number % 7 == 0 {
            row = AttemptRow {
                usage: None,
                usage_source: "unknown_crash".to_owned(),
                outcome: "crashed".to_owned(),
                cost_nano: None,
                ..row
            };
        }
        rows.push(row);
    }
    rows
}

async fn totals(world: &World, since_at_ms: i64) -> Vec<store::UsageLine> {
    let mut lines = Vec::new();
    for by in [UsageBy::Model, UsageBy::Tenant, UsageBy::Day] {
        for tenant_id in [None, Some("ten-1")] {
            let query = UsageQuery {
                tenant_id,
                since_at_ms,
                by,
            };
            lines.extend(world.store.usage(&query).await.unwrap());
        }
    }
    lines
}

async fn sums_are_those_of_the_rows_however_often_and_in_what_order_they_are_told(database: TestDatabase) {
    let world = World::new(database).await;
    let rows = many();
    let (first, second) = rows.split_at(120);
    let mut reversed = rows.clone();
    reversed.reverse();
    for batch in [
        second,
        first,
        &rows[60..160],
        &reversed,
        &[&rows[..], &rows[..]].concat(),
    ] {
        world.store.append_attempts(batch).await.unwrap();
    }
    assert_eq!(world.store.usage_differences(0).await.unwrap(), []);
    // From the beginning of an hour, from the middle of one, from before everything and after.
    for since in [
        0,
        NOW_MS,
        NOW_MS + 3_600_000,
        NOW_MS + 5_000_123,
        NOW_MS + 99_999_999,
    ] {
        let query = UsageQuery {
            tenant_id: None,
            since_at_ms: since,
            by: UsageBy::Model,
        };
        let lines = world.store.usage(&query).await.unwrap();
        let counted = rows.iter().filter(|row| row.started_at_ms >= since);
        assert_eq!(
            lines.iter().map(|line| line.attempts).sum::<i64>(),
            counted.clone().count() as i64
        );
        let calls = counted.clone().filter(|row| row.attempt_number == 1).count();
        assert_eq!(lines.iter().map(|line| line.calls).sum::<i64>(), calls as i64);
        let tokens: i64 = counted
            .clone()
            .filter_map(|row| row.usage)
            .map(|usage| usage.output_tokens)
            .sum();
        assert_eq!(
            lines.iter().map(|line| line.usage.output_tokens).sum::<i64>(),
            tokens
        );
        let cost: i64 = counted.filter_map(|row| row.cost_nano).sum();
        assert_eq!(lines.iter().map(|line| line.cost_nano).sum::<i64>(), cost);
    }
    let by_call = UsageQuery {
        tenant_id: Some("ten-1"),
        since_at_ms: 0,
        by: UsageBy::Call,
    };
    let calls = world.store.usage(&by_call).await.unwrap();
    assert_eq!(
        calls.len(),
        rows.iter().filter(|row| row.tenant_id == "ten-1").count()
    );
}

async fn a_sum_that_is_wrong_is_found(database: TestDatabase) {
    let world = World::new(database).await;
    world.store.append_attempts(&many()).await.unwrap();
    world
        .tamper("UPDATE usage_hours SET input_tokens = input_tokens + 1 WHERE tenant_id = 'ten-2' AND model = 'model-3'")
        .await;
    let wrong = world.store.usage_differences(0).await.unwrap();
    assert!(!wrong.is_empty() && wrong.iter().all(|wrong| wrong.tenant_id == "ten-2"));
    assert!(wrong.iter().all(|wrong| wrong.tokens[0] == wrong.tokens[1] + 1));
    world
        .tamper("DELETE FROM usage_hours WHERE tenant_id = 'ten-0'")
        .await;
    let wrong = world.store.usage_differences(0).await.unwrap();
    assert!(
        wrong
            .iter()
            .any(|wrong| wrong.tenant_id == "ten-0" && wrong.attempts[0] == 0)
    );
}

async fn rows_of_a_program_without_sums_are_counted_before_and_after_they_are_taken_in(
    database: TestDatabase,
) {
    let world = World::new(database).await;
    let rows = many();
    world.store.append_attempts(&rows).await.unwrap();
    world
        .tamper("UPDATE attempts SET usage_source = NULL, cost_nano = NULL, operation = ''")
        .await;
    world.tamper("DELETE FROM usage_hours").await;
    let since = NOW_MS + 5_000_123;
    let before = totals(&world, since).await;
    assert!(!before.is_empty());
    assert_eq!(world.store.take_in_unsummed().await.unwrap(), 200);
    assert_eq!(world.store.take_in_unsummed().await.unwrap(), 0);
    assert_eq!(totals(&world, since).await, before);
    assert_eq!(world.store.usage_differences(0).await.unwrap(), []);
}

async fn rows_of_a_program_that_counts_less_are_none_of_what_it_does_not_count(database: TestDatabase) {
    let world = World::new(database).await;
    let rows = [attempt("call1", 1), attempt("call2", 1)];
    world.store.append_attempts(&rows).await.unwrap();
    // As it leaves them.
    world
        .tamper("UPDATE attempts SET cache_write_1h_tokens = NULL, image_output_tokens = NULL WHERE call_id = 'call2'")
        .await;
    let wrong = world.store.usage_differences(0).await.unwrap();
    assert_eq!(wrong.len(), 1, "the sums still have both");
    world
        .tamper("UPDATE usage_hours SET cache_write_1h_tokens = 3, image_output_tokens = 4")
        .await;
    assert_eq!(world.store.usage_differences(0).await.unwrap(), []);
    let booked = world.store.attempts_of(None, "call2").await.unwrap();
    let usage = booked[0].usage.unwrap();
    assert_eq!((usage.cache_write_1h_tokens, usage.image_output_tokens), (0, 0));
    assert_eq!(usage.cache_write_tokens, 5);
}

/// With fifty million rows, that would take minutes.
async fn usage_does_not_look_at_every_row(database: TestDatabase) {
    if !database.is_sqlite() {
        return;
    }
    let world = World::new(database).await;
    for by in [
        UsageBy::Model,
        UsageBy::Key,
        UsageBy::Day,
        UsageBy::Tenant,
        UsageBy::Call,
    ] {
        let plan = world.plan(by.sql()).await;
        let scans = |line: &String| line.contains("SCAN attempts") || line.contains("SCAN usage_hours");
        assert!(!plan.iter().any(scans), "{by:?}: {plan:#?}");
        assert!(
            plan.iter().any(|line| line.contains("SEARCH attempts USING")),
            "{by:?}: {plan:#?}"
        );
    }
}
