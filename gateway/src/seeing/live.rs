//! How things stand at the moment, read when it is asked for.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::traces::TraceHealth;
use crate::clock::now_ms;
use crate::gateway::Gateway;
use crate::vitals::Vitals;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabels {
    tollgate_part: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    tollgate_limit_unit: &'static str,
    tollgate_limit_period: &'static str,
}

/// When this process began, near enough.
static STARTED_AT_MS: LazyLock<i64> = LazyLock::new(now_ms);

/// Remembers when the process began. Later calls change nothing.
pub(super) fn begin() {
    LazyLock::force(&STARTED_AT_MS);
}

#[rustfmt::skip]
pub(super) async fn registry(gateway: &Gateway, connections: usize, traces: Option<&TraceHealth>) -> Registry {
    let (directory, ledger, admission) = (gateway.directory(), gateway.ledger(), gateway.admission());
    let health = ledger.health();
    let silent_ms = i64::try_from(directory.store_silent_for().as_millis()).unwrap_or(i64::MAX);
    let poison_found = AtomicU64::new(directory.poison_found());
    directory.settle_counts().await;
    let mut to = Registry::default();
    gauge(&mut to, "tollgate_calls_in_flight", "Calls that were admitted and have not ended", admission.in_flight());
    gauge(&mut to, "tollgate_connections_open", "Open connections of clients", connections);
    gauge(&mut to, "tollgate_ready", "Whether calls should be sent here", usize::from(gateway.is_ready()));
    gauge(&mut to, "tollgate_store_up", "Whether the database answered when it was last asked", usize::from(directory.store_answers()));
    since(&mut to, "tollgate_store_answered_timestamp", "When the database last answered", now_ms().saturating_sub(silent_ms));
    gauge(&mut to, "tollgate_store_revision", "The revision of the database whose changes have been taken in", usize::try_from(directory.revision()).unwrap_or(0));
    gauge(&mut to, "tollgate_tenants_in_memory", "Tenants that are kept in memory", usize::try_from(directory.tenants_in_memory()).unwrap_or(usize::MAX));
    gauge(&mut to, "tollgate_config_rows_rejected", "Stored rows that make no sense or cannot be used, of tenants that were loaded", directory.rows_rejected());
    gauge(&mut to, "tollgate_tenants_poisoned", "Tenants that are out of service for a row that makes no sense, of those that called of late", directory.tenants_poisoned());
    counter(&mut to, "tollgate_poison_found", "Times that a row that makes no sense was come upon", &poison_found);
    let (spool_bytes, spool_bytes_max) = ledger.spool_bytes();
    let syncs_failed = AtomicU64::new(ledger.syncs_failed());
    gauge(&mut to, "tollgate_ledger_up", "Whether calls can be written down, before which they are not sent", usize::from(ledger.is_well()));
    gauge(&mut to, "tollgate_ledger_records_waiting", "Attempts that are in the spool and not yet in the database", ledger.waiting());
    gauge(&mut to, "tollgate_ledger_spool_bytes", "What spools take on the disk, shipped segments that are kept included", usize::try_from(spool_bytes).unwrap_or(usize::MAX));
    gauge(&mut to, "tollgate_ledger_spool_max_bytes", "What they may take", usize::try_from(spool_bytes_max).unwrap_or(usize::MAX));
    counter(&mut to, "tollgate_ledger_syncs_failed", "Times that the disk did not keep what was written; it was written again elsewhere", &syncs_failed);
    counter(&mut to, "tollgate_ledger_unreadable", "Stretches of spools of which nothing can be made; they are kept aside", &health.unreadable);
    counter(&mut to, "tollgate_ledger_batches_written", "Batches that the database has taken", &health.batches_written);
    counter(&mut to, "tollgate_ledger_rows_written", "Rows that the database has taken", &health.rows_written);
    counter(&mut to, "tollgate_ledger_rows_refused", "Rows that the database will never take; they are kept aside", &health.rows_refused);
    counter(&mut to, "tollgate_ledger_writes_failed", "Tries to ship a batch that failed and were made again", &health.writes_failed);
    seconds(&mut to, "tollgate_ledger_lag", "How long ago what waits to be shipped may have been written; 0 when nothing waits", ledger.lag_ms());
    let (asked, unanswered) = gateway.limits().figures.questions();
    counter(&mut to, "tollgate_lease_questions", "Transactions in which the database was asked for leases, or told of them", &AtomicU64::new(asked));
    counter(&mut to, "tollgate_lease_questions_failed", "Those of them without an answer; they are asked again", &AtomicU64::new(unanswered));
    counter(&mut to, "tollgate_limit_invariants_violated", "Times that something did not hold of leases that must: this program is wrong then", &AtomicU64::new(gateway.limits().figures.broken()));
    limits(gateway, &mut to);
    flows(gateway, &mut to);
    gauge(&mut to, "tollgate_parts_falling", "Parts beside the calls that fall so often that starting them again does not help", gateway.vitals().falling().len());
    to.register("tollgate_parts_fallen", "Falls of what runs beside the calls; each was started again", falls(gateway.vitals()));
    if let Some(traces) = traces {
        counter(&mut to, "tollgate_trace_spans_sent", "Spans that the collector has taken", &traces.spans_sent);
        counter(&mut to, "tollgate_trace_spans_dropped", "Spans that were dropped, because the collector is slow or away", &traces.spans_dropped);
    }
    to.register("tollgate_build", "The program", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
    since(&mut to, "process_start_time", "When the process began", *STARTED_AT_MS);
    to
}

/// What limits have let through, and have not.
fn limits(gateway: &Gateway, to: &mut Registry) {
    let [reserved, refused, overdrawn] = std::array::from_fn(|_| Family::<LimitLabels, Counter>::default());
    for figure in gateway.limits().figures.all() {
        let labels = LimitLabels {
            tollgate_limit_unit: figure.unit,
            tollgate_limit_period: figure.period,
        };
        reserved.get_or_create(&labels).inc_by(figure.reserved);
        refused.get_or_create(&labels).inc_by(figure.refused);
        overdrawn.get_or_create(&labels).inc_by(figure.overdrawn);
    }
    let families = [
        (
            "tollgate_limit_reserved_units",
            "Units of limits that were reserved for attempts; dollars as nano-dollars",
            reserved,
        ),
        (
            "tollgate_limit_refusals",
            "Times that a limit did not let an attempt through",
            refused,
        ),
        (
            "tollgate_limit_overdraft_units",
            "Units that attempts used beyond what was reserved for them, to be made up for by what comes after",
            overdrawn,
        ),
    ];
    for (name, help, family) in families {
        to.register(name, help, family);
    }
}

/// What became of the units that were granted.
fn flows(gateway: &Gateway, to: &mut Registry) {
    let [granted, returned, spent, burnt] =
        std::array::from_fn(|_| Family::<LimitLabels, Counter>::default());
    for figure in gateway.limits().figures.all() {
        let labels = LimitLabels {
            tollgate_limit_unit: figure.unit,
            tollgate_limit_period: figure.period,
        };
        granted.get_or_create(&labels).inc_by(figure.flow.granted);
        returned.get_or_create(&labels).inc_by(figure.flow.returned);
        spent.get_or_create(&labels).inc_by(figure.flow.spent);
        burnt.get_or_create(&labels).inc_by(figure.flow.burnt);
    }
    let families = [
        (
            "tollgate_lease_granted_units",
            "Units of limits that the database has granted to this process",
            granted,
        ),
        (
            "tollgate_lease_returned_units",
            "Of those, what it has given back",
            returned,
        ),
        (
            "tollgate_lease_spent_units",
            "Of those, what its calls have used, once a lease is closed",
            spent,
        ),
        (
            "tollgate_lease_burnt_units",
            "Of those, what was lost: neither used nor given back",
            burnt,
        ),
    ];
    for (name, help, family) in families {
        to.register(name, help, family);
    }
}

/// How often each part has fallen. One that never has is not there.
fn falls(vitals: &Vitals) -> Family<PartLabels, Counter> {
    let falls = Family::<PartLabels, Counter>::default();
    for (tollgate_part, times) in vitals.totals() {
        falls.get_or_create(&PartLabels { tollgate_part }).inc_by(times);
    }
    falls
}

fn gauge(to: &mut Registry, name: &str, help: &str, value: usize) {
    to.register(
        name,
        help,
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
    );
}

fn counter(to: &mut Registry, name: &str, help: &str, value: &AtomicU64) {
    to.register(name, help, ConstCounter::new(value.load(Ordering::Relaxed)));
}

fn seconds(to: &mut Registry, name: &str, help: &str, ms: i64) {
    #[expect(clippy::cast_precision_loss, reason = "a duration need not be exact")]
    let seconds = ms as f64 / 1000.0;
    to.register_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
}

/// An instant, as Prometheus has them.
fn since(to: &mut Registry, name: &str, help: &str, at_ms: i64) {
    // 53 bits hold milliseconds for a long time.
    seconds(to, name, help, at_ms);
}
