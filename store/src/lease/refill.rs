//! One question of a replica, answered in one transaction: the number of its statements does not grow with what is asked.

use std::collections::{BTreeMap, HashSet};

use policy::lease::{LeaseId, RefillAnswer, RefillRequest, Standing};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _};

use super::books::{Books, Lease, name, read_leases, read_name};
use super::grant::{key_of, key_of_report};
use super::text;
use crate::error::StoreError;
use crate::given;
use crate::open::Store;

/// A replica that asked nothing for so long does not count among those that share what is left.
const LIVE_MS: i64 = 10_000;
/// A database that may have forgotten something grants nothing for so long, and not before all replicas have told it what
/// they hold that were alive by what it knows; of those who do not come for much longer nothing is to be known.
const LEARNING_MS: i64 = 5_000;
const SILENT_MS: i64 = 60_000;

/// What time it is, once everything is locked, and who is there.
struct Clock {
    now_ms: i64,
    replicas: u32,
    is_learning: bool,
}

impl Store {
    /// Takes back what a replica returns, notes what it used, and grants what it wishes as far as that is left.
    ///
    /// # Errors
    /// When the database does not answer; then it is not known whether it was done, and the same may be asked again.
    pub async fn refill(&self, request: &RefillRequest) -> Result<RefillAnswer, StoreError> {
        self.in_time_if_there(self.answer(request)).await
    }

    async fn answer(&self, request: &RefillRequest) -> Result<RefillAnswer, StoreError> {
        let mut transaction = self.begin_write().await?;
        let connection = &mut *transaction;
        if request.reports.is_some() {
            self.come_back(connection, request).await?;
        }
        let Some(turn) = self.stands(connection, request).await? else {
            let answer = self.explain(connection, request).await?;
            // Which may have found another server and noted it.
            transaction.commit().await?;
            return Ok(answer);
        };
        let new = self.ask(connection, request).await?;
        let leases = self.lock_leases(connection, request, &new).await?;
        let wished = request.wishes.iter();
        let wished = wished.map(|wish| (key_of(wish), wish.window.end_ms));
        let reported = request.reports.iter().flatten();
        let reported = reported.map(|report| (key_of_report(report), report.window.end_ms));
        let windows: BTreeMap<_, _> = wished.chain(reported).collect();
        let mut books = Books::lock(connection, &self.database, leases, &windows).await?;
        let clock = self.look_at_clock(connection).await?;
        books.learn(request, &new);
        books.tell(request);
        let (now_ms, none) = (clock.now_ms, HashSet::new());
        let grants = books.grant(request, if clock.is_learning { &none } else { &new }, now_ms);
        books.write(connection, &self.database).await?;
        transaction.commit().await?;
        Ok(RefillAnswer {
            standing: if clock.is_learning {
                Standing::Learning
            } else {
                Standing::Current
            },
            store_epoch: request.store_epoch,
            turn,
            database_ms: now_ms,
            grants,
            // One that is not known, or not this replica's, will never count: to tell it again is of no use.
            returns: request.returns.iter().map(|told| told.lease).collect(),
            counters: books.standings(request, now_ms),
            replicas: clock.replicas,
        })
    }

    /// How many questions of its run are answered, this one included, if it is the current one.
    async fn stands(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<Option<u64>, StoreError> {
        let sql = if self.origin.is_told() {
            &text::STAND_AT_ORIGIN
        } else {
            &text::STAND
        };
        let seen = sqlx::query(sql.of(&self.database))
            .bind(&*request.from.replica)
            .bind(request.from.number)
            .bind(request.store_epoch)
            .bind(turn_of(request))
            .fetch_optional(connection)
            .await?;
        let turn = seen.map(|row| row.try_get::<i64, _>("turn")).transpose()?;
        Ok(turn.map(|turn| u64::try_from(turn).unwrap_or(0)))
    }

    /// A replica tells what it holds: it is what it says that it is, unless a later run of it has begun.
    async fn come_back(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<(), StoreError> {
        let came = sqlx::query(text::COME_BACK.of(&self.database))
            .bind(&*request.from.replica)
            .bind(request.from.number)
            .bind(request.store_epoch)
            .bind(turn_of(request))
            .execute(&mut *connection)
            .await?;
        if came.rows_affected() > 0 {
            sqlx::query(text::ADOPT_LEASES.of(&self.database))
                .bind(&*request.from.replica)
                .bind(request.from.number)
                .bind(request.store_epoch)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// Why a replica does not stand: nothing was done.
    async fn explain(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<RefillAnswer, StoreError> {
        // It also locks the row, so that of two who find an older copy one makes the epoch.
        let mut store_epoch = self.current_epoch(connection).await?;
        let row = sqlx::query(text::LOOK_AT_REPLICA.of(&self.database))
            .bind(&*request.from.replica)
            .fetch_optional(&mut *connection)
            .await?;
        let (number, turn): (i64, i64) = match row {
            Some(row) => (row.try_get("incarnation")?, row.try_get("turn")?),
            None => (0, 0),
        };
        let known = if number == request.from.number { turn } else { 0 };
        let is_older_copy =
            number < request.from.number || (number == request.from.number && turn < turn_of(request));
        if store_epoch == request.store_epoch && is_older_copy {
            store_epoch = self.change_epoch(connection, None).await?;
        }
        let clock = self.look_at_clock(connection).await?;
        Ok(RefillAnswer {
            standing: if store_epoch == request.store_epoch {
                Standing::Superseded
            } else {
                Standing::OtherStore
            },
            store_epoch,
            turn: u64::try_from(known).unwrap_or(0),
            database_ms: clock.now_ms,
            grants: Vec::new(),
            returns: Vec::new(),
            counters: Vec::new(),
            replicas: clock.replicas,
        })
    }

    /// Writes the leases that are wished for or told of, before anything is counted; answers those that are new.
    async fn ask(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<HashSet<LeaseId>, StoreError> {
        let mut named = HashSet::new();
        let wished = request.wishes.iter().filter(|wish| wish.units > 0);
        let wished = wished.map(|wish| (wish.lease, key_of(wish), wish.window.end_ms));
        let reported = request.reports.iter().flatten();
        let reported = reported.map(|report| (report.lease, key_of_report(report), report.window.end_ms));
        let asked: Vec<Value> = wished
            .chain(reported)
            .filter(|(lease, _, _)| named.insert(*lease))
            .map(|(lease, key, ends_at_ms)| {
                json!({
                    "id": name(lease), "tenant_id": &*key.tenant_id, "limit_id": &*key.limit_id,
                    "starts_at_ms": key.starts_at_ms, "ends_at_ms": ends_at_ms,
                })
            })
            .collect();
        if asked.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = sqlx::query(text::ASK.of(&self.database))
            .bind(given::rows(asked))
            .bind(&*request.from.replica)
            .bind(request.from.number)
            .bind(request.store_epoch)
            .fetch_all(connection)
            .await?;
        let mut new = HashSet::with_capacity(rows.len());
        for row in &rows {
            let id: String = row.try_get("id")?;
            new.extend(read_name(&id));
        }
        Ok(new)
    }

    /// All leases that are spoken of: those that are new are locked already, by having been written.
    async fn lock_leases(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
        new: &HashSet<LeaseId>,
    ) -> Result<BTreeMap<LeaseId, Lease>, StoreError> {
        let wished = request.wishes.iter().filter(|wish| wish.units > 0);
        let reports = || request.reports.iter().flatten();
        let named = wished
            .map(|wish| wish.lease)
            .chain(reports().map(|report| report.lease))
            .chain(request.returns.iter().map(|told| told.lease))
            .chain(request.settled.iter().map(|told| told.lease));
        let named: HashSet<LeaseId> = named.collect();
        let wished = request.wishes.iter();
        let wished = wished.map(|wish| (wish.lease, key_of(wish), wish.window.end_ms));
        let reported = reports().map(|report| (report.lease, key_of_report(report), report.window.end_ms));
        let mut leases: BTreeMap<LeaseId, Lease> = wished
            .chain(reported)
            .filter(|(lease, _, _)| new.contains(lease))
            .map(|(lease, key, ends_at_ms)| (lease, Lease::asked(lease, key, ends_at_ms, request)))
            .collect();
        let old: Vec<Value> = named
            .difference(new)
            .map(|lease| json!({ "id": name(*lease) }))
            .collect();
        if !old.is_empty() {
            let rows = sqlx::query(text::LOCK_LEASES.of(&self.database))
                .bind(given::rows(old))
                .fetch_all(connection)
                .await?;
            leases.extend(read_leases(&rows));
        }
        Ok(leases)
    }

    async fn look_at_clock(&self, connection: &mut AnyConnection) -> Result<Clock, StoreError> {
        let row = sqlx::query(text::LOOK_AT_CLOCK.of(&self.database))
            .bind(LIVE_MS)
            .bind(LEARNING_MS)
            .bind(SILENT_MS)
            .fetch_one(connection)
            .await?;
        let replicas: i64 = row.try_get("replicas")?;
        Ok(Clock {
            now_ms: row.try_get("now_ms")?,
            replicas: u32::try_from(replicas).unwrap_or(u32::MAX).max(1),
            is_learning: row.try_get::<i64, _>("learning")? > 0,
        })
    }
}

fn turn_of(request: &RefillRequest) -> i64 {
    i64::try_from(request.turn).unwrap_or(i64::MAX)
}
