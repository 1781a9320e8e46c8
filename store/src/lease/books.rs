//! What a transaction about leases has locked, and what becomes of it: rows are read, changed here, and written together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use policy::lease::{LeaseId, RefillRequest};
use policy::limit::{Calendar, Period, ROLLING_SLOT_MS, ROLLING_SLOTS, Window};
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{CEILING_MAX, text};
use crate::error::StoreError;
use crate::given;
use crate::limit::read_period;
use crate::open::Database;

/// A window of a limit. Ordered as its rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) tenant_id: Arc<str>,
    pub(super) limit_id: Arc<str>,
    pub(super) starts_at_ms: i64,
}

/// The tenant's id, and the limit's.
type LimitKey = (Arc<str>, Arc<str>);
type Rules = HashMap<LimitKey, Rule>;

/// A limit, as far as granting goes.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) period: Period,
    pub(super) calendar: Calendar,
    pub(super) cap: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) cap: Option<i64>,
    pub(super) ceiling: i64,
    pub(super) granted: i64,
    pub(super) burnt: i64,
    pub(super) contended_until_ms: i64,
    /// What is added to the sums of leases that are no longer kept.
    past: Past,
    changed: bool,
    /// More may be granted of it than its ceiling: that much was granted.
    is_lifted: bool,
    /// Its row makes no sense: it is left as it is.
    unreadable: bool,
}

#[derive(Debug, Default)]
struct Past {
    amount: i64,
    returned: i64,
    settled: i64,
    overdraft: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) key: Key,
    pub(super) ends_at_ms: i64,
    pub(super) replica: String,
    pub(super) incarnation: i64,
    pub(super) epoch: i64,
    pub(super) amount: i64,
    pub(super) returned: i64,
    pub(super) settled: i64,
    pub(super) overdraft: i64,
    burnt: i64,
    pub(super) closed: Closed,
    changed: bool,
    forgotten: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    Open = 0,
    ByHolder = 1,
    HolderGone = 2,
}

/// Everything that one transaction has locked.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    pub(super) rules: Rules,
    pub(super) counters: BTreeMap<Key, Counter>,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The first and the last of the slots that touch sixty seconds begin so far from each other.
const NEAR_MS: i64 = (ROLLING_SLOTS - 1) * ROLLING_SLOT_MS;

impl Books {
    /// Locks what leases that are locked already, and windows besides, have to do with; makes counters for `wished` windows
    /// that have none.
    pub(super) async fn lock(
        connection: &mut AnyConnection,
        database: &Database,
        leases: BTreeMap<LeaseId, Lease>,
        wished: &BTreeMap<Key, i64>,
    ) -> Result<Self, StoreError> {
        let keys: BTreeSet<&Key> = wished
            .keys()
            .chain(leases.values().map(|lease| &lease.key))
            .collect();
        if keys.is_empty() {
            return Ok(Self {
                leases,
                ..Self::default()
            });
        }
        let rules = lock_rules(connection, database, &keys).await?;
        let mut counters = lock_counters(connection, database, &keys, &rules).await?;
        make_counters(connection, database, &rules, &mut counters, wished).await?;
        Ok(Self {
            leases,
            rules,
            counters,
        })
    }

    pub(super) fn rule(&self, key: &Key) -> Option<&Rule> {
        self.rules.get(&(key.tenant_id.clone(), key.limit_id.clone()))
    }

    /// So much was returned of a lease in all. What was counted before is not counted again.
    pub(super) fn take_back(&mut self, id: LeaseId, returned_in_all: u64) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let told = i64::try_from(returned_in_all)
            .unwrap_or(i64::MAX)
            .min(lease.amount);
        let more = told.saturating_sub(lease.returned);
        if more <= 0 {
            return;
        }
        lease.returned = told;
        lease.changed = true;
        if let Some(counter) = self.counters.get_mut(&lease.key) {
            counter.granted = (counter.granted - more).max(0);
            counter.changed = true;
        }
        self.count_burnt(id);
    }

    pub(super) fn settle(&mut self, id: LeaseId, settled_in_all: u64, overdraft_in_all: u64) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let told = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let before = (lease.settled, lease.overdraft);
        lease.settled = lease.settled.max(told(settled_in_all));
        lease.overdraft = lease.overdraft.max(told(overdraft_in_all));
        lease.changed |= before != (lease.settled, lease.overdraft);
        self.count_burnt(id);
    }

    pub(super) fn close(&mut self, id: LeaseId, how: Closed) {
        if let Some(lease) = self.leases.get_mut(&id)
            && lease.closed == Closed::Open
        {
            lease.closed = how;
            lease.changed = true;
            self.count_burnt(id);
        }
    }

    /// The run that held a lease is over. What it held of a window without an end was for calls, which ended with it; of
    /// any other window nothing comes back.
    pub(super) fn bury(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(&id) else {
            return;
        };
        if lease.ends_at_ms == i64::MAX {
            let all = u64::try_from(lease.amount).unwrap_or(0);
            self.take_back(id, all);
        }
        self.close(id, Closed::HolderGone);
    }

    /// Keeps of a lease no more than its part in the sums of its window.
    pub(super) fn forget(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        lease.forgotten = true;
        if let Some(counter) = self.counters.get_mut(&lease.key) {
            for (sum, of_this) in [
                (&mut counter.past.amount, lease.amount),
                (&mut counter.past.returned, lease.returned),
                (&mut counter.past.settled, lease.settled),
                (&mut counter.past.overdraft, lease.overdraft),
            ] {
                *sum = sum.saturating_add(of_this);
            }
            counter.changed = true;
        }
    }

    /// Takes units of a window for a lease; the caller has seen that they are there.
    pub(super) fn give(&mut self, id: LeaseId, units: i64) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        if let Some(counter) = self.counters.get_mut(&lease.key)
            && units > 0
        {
            lease.amount += units;
            lease.closed = Closed::Open;
            lease.changed = true;
            counter.granted += units;
            counter.changed = true;
        }
    }

    /// A lease that was granted, and then forgotten, is counted again.
    pub(super) fn remember(&mut self, id: LeaseId, units: i64) {
        let Some(lease) = self.leases.get(&id) else {
            return;
        };
        if let Some(counter) = self.counters.get_mut(&lease.key) {
            counter.is_lifted = true;
        }
        self.give(id, units);
    }

    pub(super) fn contend(&mut self, key: &Key, until_ms: i64) {
        if let Some(counter) = self.counters.get_mut(key) {
            counter.contended_until_ms = until_ms;
            counter.changed = true;
        }
    }

    /// What may be granted of a window. Of a rolling minute, all sixty seconds that its slot has a part in must have it.
    pub(super) fn left(&self, key: &Key) -> i64 {
        let (Some(rule), Some(counter)) = (self.rule(key), self.counters.get(key)) else {
            return 0;
        };
        let cap = rule.cap.unwrap_or(CEILING_MAX).min(counter.ceiling);
        let granted = if rule.period == Period::RollingMinute {
            self.granted_around(key)
        } else {
            counter.granted
        };
        cap.saturating_sub(granted).max(0)
    }

    /// The most that was granted of any slots in a row that a slot is one of.
    fn granted_around(&self, key: &Key) -> i64 {
        let sum = |first_ms: i64| -> i64 {
            let slots = self
                .counters
                .range(key.at(first_ms)..=key.at(first_ms.saturating_add(NEAR_MS)));
            slots.fold(0, |sum, (_, counter)| sum.saturating_add(counter.granted))
        };
        let firsts = (0..ROLLING_SLOTS).map(|slot| key.starts_at_ms.saturating_sub(slot * ROLLING_SLOT_MS));
        firsts.map(sum).max().unwrap_or(0)
    }

    /// A lease that is closed leaves what was neither returned nor used.
    fn count_burnt(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get_mut(&id) else {
            return;
        };
        let burnt = match lease.closed {
            Closed::Open => 0,
            _ => lease
                .amount
                .saturating_sub(lease.returned)
                .saturating_sub(lease.settled)
                .max(0),
        };
        if let Some(counter) = self.counters.get_mut(&lease.key) {
            counter.burnt = counter
                .burnt
                .saturating_add(burnt)
                .saturating_sub(lease.burnt)
                .max(0);
            counter.changed |= burnt != lease.burnt;
        }
        lease.changed |= burnt != lease.burnt;
        lease.burnt = burnt;
    }

    /// Writes what was changed.
    pub(super) async fn write(
        &self,
        connection: &mut AnyConnection,
        database: &Database,
    ) -> Result<(), StoreError> {
        let leases: Vec<_> = self
            .leases
            .values()
            .filter(|lease| lease.changed && !lease.forgotten)
            .map(|lease| {
                json!({
                    "id": name(lease.id), "amount": lease.amount, "returned": lease.returned,
                    "settled": lease.settled, "overdraft": lease.overdraft, "burnt": lease.burnt,
                    "closed": lease.closed as i64,
                })
            })
            .collect();
        let forgotten = self.leases.values().filter(|lease| lease.forgotten);
        let forgotten: Vec<_> = forgotten.map(|lease| json!({ "id": name(lease.id) })).collect();
        let changed = |(_, counter): &(&Key, &Counter)| counter.changed && !counter.unreadable;
        let lifted: Vec<_> = self
            .counters
            .iter()
            .filter(changed)
            .filter(|(_, counter)| counter.is_lifted)
            .map(|(key, counter)| {
                json!({
                    "tenant_id": &*key.tenant_id, "limit_id": &*key.limit_id, "starts_at_ms": key.starts_at_ms,
                    "granted": counter.granted,
                })
            })
            .collect();
        let counters: Vec<_> = self
            .counters
            .iter()
            .filter(changed)
            .map(|(key, counter)| {
                json!({
                    "tenant_id": &*key.tenant_id, "limit_id": &*key.limit_id, "starts_at_ms": key.starts_at_ms,
                    "granted": counter.granted, "burnt": counter.burnt,
                    "contended_until_ms": counter.contended_until_ms,
                    "past_amount": counter.past.amount, "past_returned": counter.past.returned,
                    "past_settled": counter.past.settled, "past_overdraft": counter.past.overdraft,
                })
            })
            .collect();
        for (sql, rows) in [
            (&text::WRITE_LEASES, leases),
            (&text::FORGET_LEASES, forgotten),
            (&text::LIFT_CEILINGS, lifted),
            (&text::WRITE_COUNTERS, counters),
        ] {
            if !rows.is_empty() {
                sqlx::query(sql.of(database))
                    .bind(given::rows(rows))
                    .execute(&mut *connection)
                    .await?;
            }
        }
        Ok(())
    }
}

impl Key {
    /// Another window of the same limit.
    fn at(&self, starts_at_ms: i64) -> Self {
        Self {
            starts_at_ms,
            ..self.clone()
        }
    }
}

impl Counter {
    /// It counts as used up.
    fn unreadable() -> Self {
        Self {
            granted: i64::MAX,
            unreadable: true,
            ..Self::default()
        }
    }
}

impl Rule {
    /// Whether it has such a window at all. One that a replica knows by an earlier zone is no window any more.
    pub(super) fn has(&self, window: Window) -> bool {
        self.calendar.window(self.period, window.start_ms) == window
    }
}

impl Lease {
    /// A row that makes no sense is as if it were not there: nothing is granted or returned by it.
    pub(super) fn read(row: &AnyRow) -> Option<Self> {
        let number = |column| row.try_get::<i64, _>(column).ok();
        let word = |column| row.try_get::<String, _>(column).ok();
        Some(Self {
            id: read_name(&word("id")?)?,
            key: read_key(row)?,
            ends_at_ms: number("ends_at_ms")?,
            replica: word("replica")?,
            incarnation: number("incarnation")?,
            epoch: number("epoch")?,
            amount: number("amount")?,
            returned: number("returned")?,
            settled: number("settled")?,
            overdraft: number("overdraft")?,
            burnt: number("burnt")?,
            closed: match number("closed")? {
                0 => Closed::Open,
                1 => Closed::ByHolder,
                2 => Closed::HolderGone,
                _ => return None,
            },
            changed: false,
            forgotten: false,
        })
    }

    /// One that a replica has just asked for.
    pub(super) fn asked(id: LeaseId, key: Key, ends_at_ms: i64, request: &RefillRequest) -> Self {
        Self {
            id,
            key,
            ends_at_ms,
            replica: request.from.replica.to_string(),
            incarnation: request.from.number,
            epoch: request.store_epoch,
            amount: 0,
            returned: 0,
            settled: 0,
            overdraft: 0,
            burnt: 0,
            closed: Closed::ByHolder,
            changed: false,
            forgotten: false,
        }
    }

    pub(super) fn window(&self) -> Window {
        Window {
            start_ms: self.key.starts_at_ms,
            end_ms: self.ends_at_ms,
        }
    }
}

/// As it stands in the database.
pub(super) fn name(id: LeaseId) -> String {
    format!("{:032x}", id.0)
}

pub(super) fn read_name(name: &str) -> Option<LeaseId> {
    u128::from_str_radix(name, 16).ok().map(LeaseId)
}

pub(super) fn read_leases(rows: &[AnyRow]) -> BTreeMap<LeaseId, Lease> {
    rows.iter()
        .filter_map(Lease::read)
        .map(|lease| (lease.id, lease))
        .collect()
}

fn read_key(row: &AnyRow) -> Option<Key> {
    Some(Key {
        tenant_id: row.try_get::<String, _>("tenant_id").ok()?.into(),
        limit_id: row.try_get::<String, _>("limit_id").ok()?.into(),
        starts_at_ms: row.try_get("starts_at_ms").ok()?,
    })
}

async fn lock_rules(
    connection: &mut AnyConnection,
    database: &Database,
    keys: &BTreeSet<&Key>,
) -> Result<Rules, StoreError> {
    let limits: BTreeSet<(&str, &str)> = keys.iter().map(|key| (&*key.tenant_id, &*key.limit_id)).collect();
    let limits = limits
        .into_iter()
        .map(|(tenant_id, limit_id)| json!({ "tenant_id": tenant_id, "limit_id": limit_id }));
    let rows = sqlx::query(text::LOCK_LIMITS.of(database))
        .bind(given::rows(limits))
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().filter_map(read_rule).collect())
}

/// A limit that makes no sense grants nothing.
fn read_rule(row: &AnyRow) -> Option<(LimitKey, Rule)> {
    let word = |column| row.try_get::<String, _>(column).ok();
    let id = (word("tenant_id")?.into(), word("id")?.into());
    let rule = Rule {
        period: read_period(&word("period")?)?,
        calendar: Calendar::of(&word("zone")?).ok()?,
        cap: row.try_get("cap").ok()?,
    };
    Some((id, rule))
}

async fn lock_counters(
    connection: &mut AnyConnection,
    database: &Database,
    keys: &BTreeSet<&Key>,
    rules: &Rules,
) -> Result<BTreeMap<Key, Counter>, StoreError> {
    let mut windows: BTreeSet<Key> = keys.iter().map(|key| (*key).clone()).collect();
    for key in keys {
        let rule = rules.get(&(key.tenant_id.clone(), key.limit_id.clone()));
        if rule.is_some_and(|rule| rule.period == Period::RollingMinute) {
            let near = (1 - ROLLING_SLOTS)..ROLLING_SLOTS;
            windows.extend(near.map(|slot| key.at(key.starts_at_ms.saturating_add(slot * ROLLING_SLOT_MS))));
        }
    }
    let windows = windows.iter().map(|key| {
        json!({
            "tenant_id": &*key.tenant_id, "limit_id": &*key.limit_id, "starts_at_ms": key.starts_at_ms,
        })
    });
    let rows = sqlx::query(text::LOCK_COUNTERS.of(database))
        .bind(given::rows(windows))
        .fetch_all(connection)
        .await?;
    let mut counters = BTreeMap::new();
    for row in &rows {
        if let Some(key) = read_key(row) {
            counters.insert(key, read_counter(row).unwrap_or_else(Counter::unreadable));
        }
    }
    Ok(counters)
}

fn read_counter(row: &AnyRow) -> Option<Counter> {
    let number = |column| row.try_get::<i64, _>(column).ok();
    Some(Counter {
        cap: row.try_get("cap").ok()?,
        ceiling: number("ceiling")?,
        granted: number("granted")?,
        burnt: number("burnt")?,
        contended_until_ms: number("contended_until_ms")?,
        ..Counter::default()
    })
}

/// The limit's row is locked, so nobody else makes them at the same time.
async fn make_counters(
    connection: &mut AnyConnection,
    database: &Database,
    rules: &Rules,
    counters: &mut BTreeMap<Key, Counter>,
    wished: &BTreeMap<Key, i64>,
) -> Result<(), StoreError> {
    let mut made = Vec::new();
    for (key, ends_at_ms) in wished {
        let Some(rule) = rules.get(&(key.tenant_id.clone(), key.limit_id.clone())) else {
            continue;
        };
        let window = Window {
            start_ms: key.starts_at_ms,
            end_ms: *ends_at_ms,
        };
        if counters.contains_key(key) || !rule.has(window) {
            continue;
        }
        let ceiling = rule.cap.unwrap_or(CEILING_MAX);
        made.push(json!({
            "tenant_id": &*key.tenant_id, "limit_id": &*key.limit_id, "starts_at_ms": key.starts_at_ms,
            "ends_at_ms": ends_at_ms, "cap": rule.cap, "ceiling": ceiling, "kept_until_ms": kept_until_ms(window),
        }));
        let counter = Counter {
            cap: rule.cap,
            ceiling,
            ..Counter::default()
        };
        counters.insert(key.clone(), counter);
    }
    if !made.is_empty() {
        sqlx::query(text::MAKE_COUNTERS.of(database))
            .bind(given::rows(made))
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The shorter the windows, the more of them there are.
fn kept_until_ms(window: Window) -> i64 {
    let kept_ms = match window.end_ms.saturating_sub(window.start_ms) {
        ROLLING_SLOT_MS => 2 * HOUR_MS,
        ..=HOUR_MS => 2 * DAY_MS,
        _ => 400 * DAY_MS,
    };
    window.end_ms.saturating_add(kept_ms)
}
