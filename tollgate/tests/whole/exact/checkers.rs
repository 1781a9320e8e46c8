//! The three checkers that every test of faults ends with; each has to find nothing.
//!
//! C1: no window of a limit saw more at the provider than its cap. C2: the provider was asked for the attempts that the
//! ledger has, and for no others, each once, and told the usage that is booked. C3: of what was granted of each window, what
//! was returned, used, is held or is lost makes up all, and what the provider saw was granted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use policy::limit::{Calendar, Cap, Mode, Period, Subject, Unit, Window};
use store::{AttemptRow, LimitRow, Store, StoreOptions, WindowReport};
use testkit::database;
use testkit::process::Installation;
use vault::{MasterKeys, Vault};

use super::crowd::Heard;
use super::provider::Asked;

/// What the tables say, once all of it has been held against the provider's books.
pub(crate) struct Checked {
    /// By attempt.
    pub(crate) rows: BTreeMap<String, AttemptRow>,
    pub(crate) windows: Vec<WindowReport>,
    limits: Vec<LimitRow>,
    asked: Vec<Asked>,
}

const PATIENCE: Duration = Duration::from_secs(30);
/// A call may be let go a moment before its window ends, and arrive a moment after.
const ON_ITS_WAY_MS: i64 = 100;
const ROLLING_MS: i64 = 60_000;

impl Checked {
    /// Reads the tables, once the ledger has all that the provider was asked, and stops at the first thing that is wrong.
    pub(crate) fn of(desk: &Installation, url: &str, asked: &[Asked]) -> Self {
        let checked = Self::read(desk, url, asked);
        checked.c2();
        checked.c1();
        checked.c3();
        let verified = desk.run(&["ledger", "verify"]);
        let said = String::from_utf8_lossy(&verified.stdout);
        assert!(verified.status.success(), "{said}");
        if url.starts_with("sqlite:") {
            assert_eq!(database::ask(url, "PRAGMA integrity_check"), "ok");
        }
        checked
    }

    /// The same of units alone, where the ledger is known to lack calls.
    pub(super) fn of_units(desk: &Installation, url: &str) -> Self {
        let checked = Self::read(desk, url, &[]);
        checked.units_add_up();
        checked
    }

    fn read(desk: &Installation, url: &str, asked: &[Asked]) -> Self {
        let ring = fs::read_to_string(desk.master_key_file()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let vault = Vault::new(MasterKeys::parse(&ring).unwrap());
            let store = Store::open(url, vault, StoreOptions::default()).await.unwrap();
            let rows = rows(&store, asked).await;
            let windows = store.lease_report(None, 0, 100_000).await.unwrap();
            let mut limits = Vec::new();
            for tenant in tenants(&rows, &windows) {
                limits.extend(store.list_limits(&tenant).await.unwrap());
            }
            store.close().await;
            Self {
                rows,
                windows,
                limits,
                asked: asked.to_vec(),
            }
        })
    }

    /// Over-admission, as the provider saw it.
    fn c1(&self) {
        for LimitRow { tenant_id, limit, .. } in &self.limits {
            let Cap::Units(cap) = limit.cap else { continue };
            if limit.mode == Mode::Observe || limit.unit == Unit::Concurrent {
                continue;
            }
            let seen = self.seen(tenant_id, &limit.subject, limit.unit);
            let most = if limit.period == Period::RollingMinute {
                most_in_a_row(&seen)
            } else {
                let calendar = Calendar::of(&limit.zone).unwrap();
                most_in_a_window(&seen, cap, |at_ms| calendar.window(limit.period, at_ms))
            };
            assert!(most <= cap, "C1: {most} of {cap} by {limit:?}");
        }
    }

    /// The provider's calls against the ledger's attempts, both ways.
    fn c2(&self) {
        let mut asked = BTreeMap::new();
        for one in &self.asked {
            let before = asked.insert(one.attempt_id.as_str(), one);
            assert!(before.is_none(), "C2: asked twice: {one:?}");
        }
        for (attempt_id, one) in &asked {
            let row = self.rows.get(*attempt_id);
            let row = row.unwrap_or_else(|| panic!("C2: not in the ledger: {one:?}"));
            if row.usage_source == "provider" {
                let booked = row.usage.map(|usage| (usage.input_tokens, usage.output_tokens));
                assert_eq!(booked, one.told, "C2: {row:?}");
            }
            // Whoever has read all of an answer knows what it tells, unless the gateway died at that moment.
            let is_known = row.usage_source == "provider" || row.usage_source == "unknown_crash";
            assert!(
                is_known || !one.is_taken || one.told.is_none(),
                "C2: told, and not booked: {row:?}"
            );
        }
        for row in self.rows.values() {
            // What was written down and then not sent, because the gateway died or nobody was there, says so.
            let was_not_sent = row.usage_source == "unknown_crash" || row.outcome == "unreachable";
            // What the gateway answers itself is booked too.
            let was_not_sent = was_not_sent || row.provider == "echo";
            let was_asked = asked.contains_key(row.attempt_id.as_str());
            assert!(was_asked || was_not_sent, "C2: nobody was asked for {row:?}");
        }
    }

    fn units_add_up(&self) {
        for window in &self.windows {
            assert_eq!(window.counted_wrongly(), 0, "C3: {window:?}");
            assert_eq!(window.unexplained(), 0, "C3: {window:?}");
            assert_eq!(window.burnt, window.sums.burnt, "C3: {window:?}");
        }
    }

    /// Granted, returned, used, held, lost.
    fn c3(&self) {
        self.units_add_up();
        for LimitRow { tenant_id, limit, .. } in &self.limits {
            if limit.unit == Unit::Concurrent || limit.mode == Mode::Observe || limit.cap == Cap::Unlimited {
                continue;
            }
            let seen: u64 = self
                .seen(tenant_id, &limit.subject, limit.unit)
                .iter()
                .map(|(_, units)| units)
                .sum();
            let of_this = self.windows.iter().filter(|window| *window.limit_id == *limit.id);
            let granted: i64 = of_this
                .map(|window| window.sums.amount - window.sums.returned + window.sums.overdraft)
                .sum();
            assert!(
                u64::try_from(granted).unwrap() >= seen,
                "C3: {seen} seen and {granted} granted by {limit:?}"
            );
        }
    }

    /// What the provider saw of a subject, and when.
    fn seen(&self, tenant_id: &str, subject: &Subject, unit: Unit) -> Vec<(i64, u64)> {
        let mut seen: Vec<(i64, u64)> = self
            .asked
            .iter()
            .filter_map(|one| {
                let row = self.rows.get(&one.attempt_id)?;
                let is_of = match subject {
                    Subject::Tenant => true,
                    Subject::Key(id) => *row.key_id == **id,
                    Subject::Credential(id) => row.credential_id.as_deref() == Some(&**id),
                    Subject::Model(model) => *row.model == **model,
                };
                let units = match unit {
                    Unit::Requests | Unit::Concurrent => 1,
                    Unit::InputTokens => one.told?.0,
                    Unit::OutputTokens => one.told?.1,
                    Unit::Tokens => one.told.map(|(input, output)| input + output)?,
                    Unit::NanoDollars => row.cost_nano?,
                };
                (is_of && row.tenant_id == tenant_id).then(|| (one.at_ms, u64::try_from(units).unwrap()))
            })
            .collect();
        seen.sort_unstable();
        seen
    }

    /// Units that are lost, over all windows.
    pub(crate) fn burnt(&self) -> i64 {
        self.windows.iter().map(|window| window.sums.burnt).sum()
    }

    /// Units that somebody holds, over all windows.
    pub(crate) fn outstanding(&self) -> i64 {
        self.windows.iter().map(|window| window.sums.outstanding).sum()
    }

    /// Rows by why nobody knows what they used.
    pub(crate) fn crashed(&self) -> usize {
        let crashed = |row: &&AttemptRow| row.usage_source == "unknown_crash";
        self.rows.values().filter(crashed).count()
    }

    /// Nothing broke for any of them, who were refused was told when to come again, and who was served is booked.
    pub(super) fn has_served_all(&self, heard: &[Heard]) {
        for of_one in heard {
            assert_eq!((of_one.broken, of_one.hopeless), (0, 0), "{of_one:?}");
            self.has_served(&of_one.served);
        }
    }

    /// Whoever has seen all of an answer has it booked as the provider told it.
    pub(crate) fn has_served(&self, call_ids: &[String]) {
        let by_provider: BTreeSet<&str> = self
            .rows
            .values()
            .filter(|row| row.usage_source == "provider")
            .map(|row| row.call_id.as_str())
            .collect();
        for call_id in call_ids {
            assert!(
                by_provider.contains(call_id.as_str()),
                "its client has seen all of {call_id}: {:?}",
                self.rows.values().find(|row| row.call_id == *call_id)
            );
        }
    }
}

async fn rows(store: &Store, asked: &[Asked]) -> BTreeMap<String, AttemptRow> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = store.list_attempts(None, 0, 1_000_000).await.unwrap();
        let rows: BTreeMap<String, AttemptRow> = rows
            .into_iter()
            .map(|row| (row.attempt_id.clone(), row))
            .collect();
        let missing = asked.iter().filter(|one| !rows.contains_key(&one.attempt_id));
        let missing = missing.count();
        if missing == 0 {
            return rows;
        }
        assert!(
            Instant::now() < deadline,
            "C2: the ledger never gets {missing} attempts"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn tenants(rows: &BTreeMap<String, AttemptRow>, windows: &[WindowReport]) -> BTreeSet<String> {
    let of_rows = rows.values().map(|row| row.tenant_id.clone());
    of_rows
        .chain(windows.iter().map(|window| window.tenant_id.clone()))
        .collect()
}

/// The most in one window. What arrives in its first moment may still be of the one before, as far as that had room for it.
fn most_in_a_window(seen: &[(i64, u64)], cap: u64, window: impl Fn(i64) -> Window) -> u64 {
    let mut sums = BTreeMap::<i64, (u64, u64)>::new();
    for (at_ms, units) in seen {
        let window = window(*at_ms);
        let (late, others) = sums.entry(window.start_ms).or_default();
        let is_late = at_ms - window.start_ms < ON_ITS_WAY_MS;
        *(if is_late { late } else { others }) += units;
    }
    let mut used = BTreeMap::<i64, u64>::new();
    for (start_ms, (late, others)) in sums {
        let before = used.get(&window(start_ms - 1).start_ms).copied();
        let room = cap.saturating_sub(before.unwrap_or_default());
        used.insert(start_ms, others + late.saturating_sub(room));
    }
    used.into_values().max().unwrap_or_default()
}

/// The most in any sixty seconds.
fn most_in_a_row(seen: &[(i64, u64)]) -> u64 {
    let in_a_row = |(first, (from_ms, _)): (usize, &(i64, u64))| {
        let near = seen
            .iter()
            .skip(first)
            .take_while(|(at_ms, _)| at_ms - from_ms < ROLLING_MS - ON_ITS_WAY_MS);
        near.map(|(_, units)| units).sum::<u64>()
    };
    seen.iter().enumerate().map(in_a_row).max().unwrap_or_default()
}

/// That the checker would see it: units of a window that was used up, spent once more when it is over.
#[test]
fn what_comes_too_late_is_held_against_the_next_window() {
    let calendar = Calendar::of("UTC").unwrap();
    let minute = |at_ms| calendar.window(Period::Minute, at_ms);
    let most = |seen: &[(i64, u64)]| most_in_a_window(seen, 10, minute);
    assert_eq!(
        most(&[(30_000, 9), (60_010, 1), (61_000, 10)]),
        10,
        "it was on its way"
    );
    assert_eq!(
        most(&[(30_000, 10), (60_010, 1), (61_000, 10)]),
        11,
        "nothing was left"
    );
    assert_eq!(
        most(&[(30_000, 10), (120_010, 1), (121_000, 10)]),
        10,
        "of a minute without calls"
    );
    assert_eq!(most(&[(30_000, 6), (31_000, 5)]), 11);
}
