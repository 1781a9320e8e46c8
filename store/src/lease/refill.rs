//! One question of a replica, answered in one transaction: the number of its statements does not grow with what is asked.

use std::collections::{BTreeMap, HashSet};

use policy::lease::{LeaseId, RefillAnswer, RefillRequest, Standing};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _};

use super::books::{Books, Lease, name, read_leases, read_name};
use super::grant::key_of;
use super::text;
use crate::error::StoreError;
use crate::given;
use crate::open::Store;

/// A replica that asked nothing for so long does not count among those that share what is left.
const LIVE_MS: i64 = 10_000;

impl Store {
    /// Takes back what a replica returns, notes what it used, and grants what it wishes as far as that is left.
    ///
    /// # Errors
    /// When the database does not answer; then it is not known whether it was done, and the same may be asked again.
    pub async fn refill(&self, request: &RefillRequest) -> Result<RefillAnswer, StoreError> {
        self.in_time(self.answer(request)).await
    }

    async fn answer(&self, request: &RefillRequest) -> Result<RefillAnswer, StoreError> {
        let mut transaction = self.begin_write().await?;
        let connection = &mut *transaction;
        if !self.stands(connection, request).await? {
            let answer = self.explain(connection, request).await?;
            // Which may have found another server and noted it.
            transaction.commit().await?;
            return Ok(answer);
        }
        let new = self.ask(connection, request).await?;
        let leases = self.lock_leases(connection, request, &new).await?;
        let wished: BTreeMap<_, _> = request
            .wishes
            .iter()
            .map(|wish| (key_of(wish), wish.window.end_ms))
            .collect();
        let mut books = Books::lock(connection, &self.database, leases, &wished).await?;
        let (now_ms, replicas) = self.look_at_clock(connection).await?;
        books.tell(request);
        let grants = books.grant(request, &new, now_ms);
        books.write(connection, &self.database).await?;
        transaction.commit().await?;
        Ok(RefillAnswer {
            standing: Standing::Current,
            store_epoch: request.store_epoch,
            database_ms: now_ms,
            grants,
            // One that is not known, or not this replica's, will never count: to tell it again is of no use.
            returns: request.returns.iter().map(|told| told.lease).collect(),
            counters: books.standings(request, now_ms),
            replicas,
        })
    }

    async fn stands(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<bool, StoreError> {
        let sql = if self.origin.is_told() {
            &text::STAND_AT_ORIGIN
        } else {
            &text::STAND
        };
        let seen = sqlx::query(sql.of(&self.database))
            .bind(&*request.from.replica)
            .bind(request.from.number)
            .bind(request.store_epoch)
            .fetch_optional(connection)
            .await?;
        Ok(seen.is_some())
    }

    /// Why a replica does not stand: nothing was done.
    async fn explain(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<RefillAnswer, StoreError> {
        let store_epoch = self.current_epoch(connection).await?;
        let (now_ms, replicas) = self.look_at_clock(connection).await?;
        Ok(RefillAnswer {
            standing: if store_epoch == request.store_epoch {
                Standing::Superseded
            } else {
                Standing::OtherStore
            },
            store_epoch,
            database_ms: now_ms,
            grants: Vec::new(),
            returns: Vec::new(),
            counters: Vec::new(),
            replicas,
        })
    }

    /// Writes the leases that are wished for, before anything is counted; answers those that are new.
    async fn ask(
        &self,
        connection: &mut AnyConnection,
        request: &RefillRequest,
    ) -> Result<HashSet<LeaseId>, StoreError> {
        let mut named = HashSet::new();
        let asked: Vec<Value> = request
            .wishes
            .iter()
            .filter(|wish| wish.units > 0 && named.insert(wish.lease))
            .map(|wish| {
                json!({
                    "id": name(wish.lease), "tenant_id": &*wish.tenant_id, "limit_id": &*wish.limit_id,
                    "starts_at_ms": wish.window.start_ms, "ends_at_ms": wish.window.end_ms,
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
        let named = wished
            .map(|wish| wish.lease)
            .chain(request.returns.iter().map(|told| told.lease))
            .chain(request.settled.iter().map(|told| told.lease));
        let named: HashSet<LeaseId> = named.collect();
        let mut leases: BTreeMap<LeaseId, Lease> = request
            .wishes
            .iter()
            .filter(|wish| new.contains(&wish.lease))
            .map(|wish| (wish.lease, Lease::asked(wish, request)))
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

    async fn look_at_clock(&self, connection: &mut AnyConnection) -> Result<(i64, u32), StoreError> {
        let row = sqlx::query(text::LOOK_AT_CLOCK.of(&self.database))
            .bind(LIVE_MS)
            .fetch_one(connection)
            .await?;
        let replicas: i64 = row.try_get("replicas")?;
        Ok((
            row.try_get("now_ms")?,
            u32::try_from(replicas).unwrap_or(u32::MAX).max(1),
        ))
    }
}
