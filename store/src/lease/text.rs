//! The statements about leases.

use std::sync::LazyLock;

use crate::given::{Given, Sql};

/// Lets the run of a replica be seen; nothing when it is not the current one, or the database not the one that it knows: it
/// may be an older copy of that, which has answered less.
pub(super) static STAND: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE replicas SET seen_at_ms = {now}, turn = turn + 1, epoch = $3 \
         WHERE id = $1 AND incarnation = $2 AND ended = 0 AND turn >= $4 \
             AND EXISTS (SELECT 1 FROM store_epoch WHERE id = 1 AND epoch = $3) \
         RETURNING turn",
        &[],
    )
});

/// The same on a Postgres that tells which one it is.
pub(super) static STAND_AT_ORIGIN: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "UPDATE replicas SET seen_at_ms = {{now}}, turn = turn + 1, epoch = $3 \
         WHERE id = $1 AND incarnation = $2 AND ended = 0 AND turn >= $4 \
             AND EXISTS (SELECT 1 FROM store_epoch WHERE id = 1 AND epoch = $3 \
                         AND (origin IS NULL OR origin = {ORIGIN})) \
         RETURNING turn"
    );
    Sql::new(&text, &[])
});

/// A run that was there before the database became what it is, as it is known by whoever runs.
pub(super) static COME_BACK: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "INSERT INTO replicas (id, incarnation, seen_at_ms, ended, epoch, turn) \
         SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), {now}, 0, epoch, CAST($4 AS BIGINT) FROM store_epoch \
         WHERE id = 1 AND epoch = $3 \
         ON CONFLICT (id) DO UPDATE SET incarnation = excluded.incarnation, ended = 0, \
             turn = CASE WHEN replicas.turn > excluded.turn THEN replicas.turn ELSE excluded.turn END \
         WHERE replicas.incarnation < excluded.incarnation \
             OR (replicas.incarnation = excluded.incarnation AND replicas.ended = 0)",
        &[],
    )
});

/// What it holds is of this database now.
pub(super) static ADOPT_LEASES: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE leases SET epoch = $3 WHERE replica = $1 AND incarnation <= $2 AND closed = 0 AND epoch <> $3",
        &[],
    )
});

/// More was granted than the database knew.
pub(super) static LIFT_CEILINGS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE counters SET ceiling = given.granted FROM {given} \
         WHERE counters.tenant_id = given.tenant_id AND counters.limit_id = given.limit_id \
             AND counters.starts_at_ms = given.starts_at_ms AND counters.ceiling < given.granted",
        &[
            Given::Text("tenant_id"),
            Given::Text("limit_id"),
            Given::Number("starts_at_ms"),
            Given::Number("granted"),
        ],
    )
});

/// The run that a replica is known by, and how many of its questions are answered.
pub(super) static LOOK_AT_REPLICA: LazyLock<Sql> =
    LazyLock::new(|| Sql::new("SELECT incarnation, turn FROM replicas WHERE id = $1", &[]));

/// The database is not what it was. Those were alive by what it knows who were seen shortly before it was last used.
pub(super) static CHANGE_EPOCH: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE store_epoch SET epoch = $1, origin = COALESCE($2, origin), changed_at_ms = {now}, \
             alive_since_ms = (SELECT COALESCE(MAX(seen_at_ms), 0) FROM replicas) - $3 \
         WHERE id = 1",
        &[],
    )
});

/// Which server this is, and on which of its timelines: another one after each fail-over.
pub(super) const ORIGIN: &str = "(SELECT CAST(system_identifier AS TEXT) FROM pg_control_system()) || '/' || \
                                 substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
pub(super) static TELL_ORIGIN: LazyLock<Sql> =
    LazyLock::new(|| Sql::new(&format!("SELECT {ORIGIN} AS origin"), &[]));

pub(super) static BEGIN: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "INSERT INTO replicas (id, incarnation, seen_at_ms, ended) VALUES ($1, {now}, {now}, 0) \
         ON CONFLICT (id) DO UPDATE SET incarnation = replicas.incarnation + 1, seen_at_ms = excluded.seen_at_ms, \
             ended = 0, turn = 0 \
         RETURNING incarnation, seen_at_ms",
        &[],
    )
});

pub(super) static END: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE replicas SET seen_at_ms = {now}, ended = 1 WHERE id = $1 AND incarnation = $2 AND ended = 0",
        &[],
    )
});

/// The runs of replicas that were not seen for so long are over.
pub(super) static END_THE_UNSEEN: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE replicas SET ended = 1 WHERE ended = 0 AND seen_at_ms < {now} - $1",
        &[],
    )
});

/// The rows that are new come back; those that were there are answered as they are. They are closed until something is
/// granted: of one that came to nothing, nobody speaks again.
pub(super) static ASK: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "INSERT INTO leases (id, tenant_id, limit_id, starts_at_ms, ends_at_ms, replica, incarnation, epoch, asked_at_ms, \
             amount, returned, settled, overdraft, burnt, closed) \
         SELECT id, tenant_id, limit_id, starts_at_ms, ends_at_ms, $2, $3, $4, {now}, 0, 0, 0, 0, 0, 1 FROM {given} \
         WHERE true ORDER BY id ON CONFLICT (id) DO NOTHING RETURNING id",
        &[
            Given::Text("id"),
            Given::Text("tenant_id"),
            Given::Text("limit_id"),
            Given::Number("starts_at_ms"),
            Given::Number("ends_at_ms"),
        ],
    )
});

const LEASE: &str = "leases.id, leases.tenant_id, leases.limit_id, leases.starts_at_ms, leases.ends_at_ms, leases.replica, \
                     leases.incarnation, leases.epoch, leases.amount, leases.returned, leases.settled, \
                     leases.overdraft, leases.burnt, leases.closed";

pub(super) static LOCK_LEASES: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "SELECT {LEASE} FROM leases WHERE leases.id IN (SELECT given.id FROM {{given}}) ORDER BY leases.id {{lock}}"
    );
    Sql::new(&text, &[Given::Text("id")])
});

/// Open leases of runs of a replica that are over, those without an end first.
pub(super) static LOCK_LEASES_OF_RUNS: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "SELECT {LEASE} FROM leases WHERE leases.id IN ( \
             SELECT ended.id FROM leases AS ended WHERE ended.replica = $1 AND ended.incarnation <= $2 AND ended.closed = 0 \
             ORDER BY ended.ends_at_ms DESC LIMIT $3) \
         ORDER BY leases.id {{lock}}"
    );
    Sql::new(&text, &[])
});

/// Open leases whose replica is not there any more, or whose window has been over for longer than a call can last.
pub(super) static LOCK_LEASES_OF_THE_DEAD: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "SELECT {LEASE} FROM leases WHERE leases.id IN ( \
             SELECT orphan.id FROM leases AS orphan LEFT JOIN replicas ON replicas.id = orphan.replica \
             WHERE orphan.closed = 0 AND (replicas.id IS NULL OR replicas.ended = 1 \
                 OR replicas.incarnation > orphan.incarnation OR orphan.ends_at_ms < {{now}} - $1) \
             ORDER BY orphan.ends_at_ms DESC LIMIT $2) \
         ORDER BY leases.id {{lock}}"
    );
    Sql::new(&text, &[])
});

/// Leases that nothing more can happen to, and those that came to nothing.
pub(super) static LOCK_LEASES_DONE_WITH: LazyLock<Sql> = LazyLock::new(|| {
    let text = format!(
        "SELECT {LEASE} FROM leases WHERE leases.id IN ( \
             SELECT done.id FROM leases AS done \
             WHERE done.asked_at_ms < {{now}} - $1 AND (done.closed <> 0 OR ( \
                 done.returned = done.amount AND done.settled = 0 AND done.overdraft = 0)) \
             ORDER BY done.asked_at_ms LIMIT $2) \
         ORDER BY leases.id {{lock}}"
    );
    Sql::new(&text, &[])
});

pub(super) static LOCK_LIMITS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "SELECT limits.tenant_id, limits.id, limits.period, limits.zone, limits.cap FROM limits \
         WHERE (limits.tenant_id, limits.id) IN (SELECT given.tenant_id, given.limit_id FROM {given}) \
         ORDER BY limits.tenant_id, limits.id {lock}",
        &[Given::Text("tenant_id"), Given::Text("limit_id")],
    )
});

/// Each is named by its whole key: by a range of windows, Postgres would rather read the whole table.
pub(super) static LOCK_COUNTERS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "SELECT counters.tenant_id, counters.limit_id, counters.starts_at_ms, counters.ends_at_ms, counters.cap, \
             counters.ceiling, counters.granted, counters.burnt, counters.contended_until_ms \
         FROM {given} JOIN counters ON counters.tenant_id = given.tenant_id AND counters.limit_id = given.limit_id \
             AND counters.starts_at_ms = given.starts_at_ms \
         ORDER BY counters.tenant_id, counters.limit_id, counters.starts_at_ms {lock_counters}",
        &[
            Given::Text("tenant_id"),
            Given::Text("limit_id"),
            Given::Number("starts_at_ms"),
        ],
    )
});

pub(super) static MAKE_COUNTERS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "INSERT INTO counters (tenant_id, limit_id, starts_at_ms, ends_at_ms, cap, ceiling, granted, burnt, \
             contended_until_ms, past_amount, past_returned, past_settled, past_overdraft, kept_until_ms) \
         SELECT tenant_id, limit_id, starts_at_ms, ends_at_ms, cap, ceiling, 0, 0, 0, 0, 0, 0, 0, kept_until_ms \
         FROM {given} WHERE true",
        &[
            Given::Text("tenant_id"),
            Given::Text("limit_id"),
            Given::Number("starts_at_ms"),
            Given::Number("ends_at_ms"),
            Given::Number("cap"),
            Given::Number("ceiling"),
            Given::Number("kept_until_ms"),
        ],
    )
});

/// After everything is locked: so nothing is granted of a window that ended while others were waited for.
pub(super) static LOOK_AT_CLOCK: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "SELECT {now} AS now_ms, \
                (SELECT count(*) FROM replicas WHERE ended = 0 AND seen_at_ms > {now} - $1) AS replicas, \
                (SELECT count(*) FROM store_epoch WHERE id = 1 AND {now} > changed_at_ms - $3 \
                     AND ({now} < changed_at_ms + $2 OR ({now} < changed_at_ms + $3 AND EXISTS ( \
                         SELECT 1 FROM replicas WHERE ended = 0 AND replicas.epoch <> store_epoch.epoch \
                             AND seen_at_ms >= alive_since_ms)))) AS learning",
        &[],
    )
});

pub(super) static WRITE_LEASES: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE leases SET amount = given.amount, returned = given.returned, settled = given.settled, \
             overdraft = given.overdraft, burnt = given.burnt, closed = given.closed \
         FROM {given} WHERE leases.id = given.id",
        &[
            Given::Text("id"),
            Given::Number("amount"),
            Given::Number("returned"),
            Given::Number("settled"),
            Given::Number("overdraft"),
            Given::Number("burnt"),
            Given::Number("closed"),
        ],
    )
});

/// A ceiling above the cap comes down with what was granted, and nothing here ever lifts one.
pub(super) static WRITE_COUNTERS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "UPDATE counters SET granted = given.granted, burnt = given.burnt, \
             contended_until_ms = given.contended_until_ms, \
             past_amount = counters.past_amount + given.past_amount, \
             past_returned = counters.past_returned + given.past_returned, \
             past_settled = counters.past_settled + given.past_settled, \
             past_overdraft = counters.past_overdraft + given.past_overdraft, \
             ceiling = CASE WHEN counters.cap IS NULL OR counters.ceiling <= counters.cap THEN counters.ceiling \
                            WHEN given.granted <= counters.cap THEN counters.cap \
                            WHEN given.granted < counters.ceiling THEN given.granted \
                            ELSE counters.ceiling END \
         FROM {given} WHERE counters.tenant_id = given.tenant_id AND counters.limit_id = given.limit_id \
             AND counters.starts_at_ms = given.starts_at_ms",
        &[
            Given::Text("tenant_id"),
            Given::Text("limit_id"),
            Given::Number("starts_at_ms"),
            Given::Number("granted"),
            Given::Number("burnt"),
            Given::Number("contended_until_ms"),
            Given::Number("past_amount"),
            Given::Number("past_returned"),
            Given::Number("past_settled"),
            Given::Number("past_overdraft"),
        ],
    )
});

pub(super) static FORGET_LEASES: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "DELETE FROM leases WHERE id IN (SELECT given.id FROM {given})",
        &[Given::Text("id")],
    )
});

pub(super) static FORGET_COUNTERS: LazyLock<Sql> = LazyLock::new(|| {
    Sql::new(
        "DELETE FROM counters WHERE (tenant_id, limit_id, starts_at_ms) IN ( \
             SELECT old.tenant_id, old.limit_id, old.starts_at_ms FROM counters AS old \
             WHERE old.kept_until_ms < {now} AND NOT EXISTS (SELECT 1 FROM leases \
                 WHERE leases.tenant_id = old.tenant_id AND leases.limit_id = old.limit_id \
                 AND leases.starts_at_ms = old.starts_at_ms) LIMIT $1)",
        &[],
    )
});

/// What they held was buried long before.
pub(super) static FORGET_REPLICAS: LazyLock<Sql> =
    LazyLock::new(|| Sql::new("DELETE FROM replicas WHERE seen_at_ms < {now} - $1", &[]));
