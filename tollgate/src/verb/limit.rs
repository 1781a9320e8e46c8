//! `tollgate limit …`

mod amount;
mod on;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use policy::limit::{Cap, Firmness, Mode, Period, Subject, Unit, Unpriced};
use serde_json::{Value, json};
use store::{LimitRow, LimitUse, NewLimit};
use vault::gateway_key::random_id;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::time::instant;
use amount::{count, shown_amount, usd};
use on::{On, shown_subject};

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Sets what may be used, in place of what the same subject may use of it in the same period.
    Set(Set),
    /// Shows a tenant's limits, and what is taken of them now.
    List {
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Removes a limit by its id.
    Remove { id: String },
    /// Goes on counting by a limit, but refuses nothing for it.
    Observe { id: String },
    /// Refuses what exceeds a limit.
    Enforce { id: String },
}

#[derive(Args)]
#[command(group(ArgGroup::new("caps").required(true).multiple(true)))]
pub(crate) struct Set {
    /// Whose use: `tenant:T`, `key:ID`, `credential:ID` or `model:TENANT/MODEL`.
    #[arg(long, value_name = "SUBJECT")]
    on: On,
    /// Over what; calls under way (`--concurrent`) are counted over nothing.
    #[arg(long, value_enum, required_unless_present = "concurrent")]
    per: Option<Per>,
    /// How many requests, or `unlimited`.
    #[arg(long, value_parser = count, value_name = "N", group = "caps")]
    requests: Option<Cap>,
    /// How many tokens of input.
    #[arg(long, value_parser = count, value_name = "N", group = "caps")]
    input_tokens: Option<Cap>,
    /// How many tokens of output.
    #[arg(long, value_parser = count, value_name = "N", group = "caps")]
    output_tokens: Option<Cap>,
    /// How many tokens, input and output together.
    #[arg(long, value_parser = count, value_name = "N", group = "caps")]
    tokens: Option<Cap>,
    /// How many US dollars, such as `12.50`.
    #[arg(long, value_parser = usd, value_name = "X", group = "caps")]
    usd: Option<Cap>,
    /// How many calls at the same time.
    #[arg(long, value_parser = count, value_name = "N", group = "caps")]
    concurrent: Option<Cap>,
    /// On whose calendar days and months begin.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// The expected use is reserved: more is used, and calls under way may exceed the limit.
    #[arg(long, conflicts_with = "hard")]
    soft: bool,
    /// The most that a call may use is reserved: the limit is never exceeded.
    #[arg(long)]
    hard: bool,
    /// Counts and reports only; without, a new limit is enforced, and one that is replaced stays as it was.
    #[arg(long)]
    observe: bool,
    /// What `--usd` does with calls to a model without a price: refuses them, unless told otherwise, or lets them pass and
    /// takes nothing for them; without, a limit that is replaced stays as it was.
    #[arg(long, value_enum, requires = "usd")]
    unpriced: Option<OnUnpriced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnUnpriced {
    Refuse,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Per {
    Minute,
    RollingMinute,
    Day,
    Month,
}

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Set(wanted) => set(desk, &wanted).await,
        Verb::List { tenant } => list(desk, &tenant).await,
        Verb::Remove { id } => {
            let tenant_id = tenant_of(desk, &id).await?;
            desk.store.remove_limit(&desk.change(), &tenant_id, &id).await?;
            desk.form.one(&json!({"removed": id}))
        }
        Verb::Observe { id } => set_mode(desk, &id, Mode::Observe).await,
        Verb::Enforce { id } => set_mode(desk, &id, Mode::Enforce).await,
    }
}

/// One limit for each unit that was given. They are looked at before the first is set.
async fn set(desk: &Desk, wanted: &Set) -> Result<(), Failure> {
    let caps = wanted.caps();
    if wanted.soft && caps.iter().any(|(unit, _)| is_always_hard(*unit)) {
        return Err(Failure::other(
            "--soft: requests and calls under way are always counted hard; set them by themselves",
        ));
    }
    if wanted.per.is_some() && caps.iter().all(|(unit, _)| *unit == Unit::Concurrent) {
        return Err(Failure::other(
            "--per: calls under way are counted over no period",
        ));
    }
    if wanted.per == Some(Per::RollingMinute) && desk.settings.gateway.limits_ahead_permille > 0 {
        return Err(Failure::other(
            "--per rolling-minute: TOLLGATE_ON_STORE_OUTAGE is `reserve`, and nothing can be reserved of rolling minutes; \
             use `--per minute`, or `deny`",
        ));
    }
    let (tenant_id, subject) = wanted.on.found(desk).await?;
    let ids = caps.iter().map(|_| random_id("lim"));
    let ids = ids.collect::<Result<Vec<String>, _>>()?;
    let new = |(id, (unit, cap))| NewLimit {
        id,
        tenant_id: &tenant_id,
        subject: &subject,
        unit,
        period: wanted.period(unit),
        zone: &wanted.zone,
        cap,
        mode: wanted.observe.then_some(Mode::Observe),
        firmness: wanted.firmness(unit, &subject),
        unpriced: wanted.unpriced(unit),
    };
    let wanted: Vec<NewLimit<'_>> = ids.iter().map(String::as_str).zip(caps).map(new).collect();
    wanted.iter().try_for_each(NewLimit::check)?;
    let mut rows = Vec::with_capacity(wanted.len());
    for new in &wanted {
        let limit = desk.store.set_limit(&desk.change(), new).await?;
        rows.push(shown(&limit, None));
    }
    desk.form.list(&COLUMNS_OF_SET, &rows)
}

async fn list(desk: &Desk, tenant: &str) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    let limits = desk.store.list_limits(&tenant.id).await?;
    let in_use = desk.store.limits_in_use(&tenant.id).await?;
    let rows: Vec<Value> = limits
        .iter()
        .map(|limit| {
            let used = in_use.iter().find(|used| used.limit_id == *limit.limit.id);
            shown(limit, used)
        })
        .collect();
    desk.form.list(&COLUMNS, &rows)
}

async fn set_mode(desk: &Desk, id: &str, mode: Mode) -> Result<(), Failure> {
    let tenant_id = tenant_of(desk, id).await?;
    desk.store
        .set_limit_mode(&desk.change(), &tenant_id, id, mode)
        .await?;
    desk.form.one(&json!({"id": id, "mode": mode.as_str()}))
}

async fn tenant_of(desk: &Desk, id: &str) -> Result<String, Failure> {
    let found = desk.store.tenant_of(id).await?;
    found.ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no limit {id}")))
}

impl Set {
    fn caps(&self) -> Vec<(Unit, Cap)> {
        let given = [
            (Unit::Requests, self.requests),
            (Unit::InputTokens, self.input_tokens),
            (Unit::OutputTokens, self.output_tokens),
            (Unit::Tokens, self.tokens),
            (Unit::NanoDollars, self.usd),
            (Unit::Concurrent, self.concurrent),
        ];
        let given = given.into_iter().filter_map(|(unit, cap)| Some((unit, cap?)));
        given.collect()
    }

    fn period(&self, unit: Unit) -> Period {
        match (unit, self.per) {
            (Unit::Concurrent, _) | (_, None) => Period::Always,
            (_, Some(Per::Minute)) => Period::Minute,
            (_, Some(Per::RollingMinute)) => Period::RollingMinute,
            (_, Some(Per::Day)) => Period::Day,
            (_, Some(Per::Month)) => Period::Month,
        }
    }

    /// Tokens of a credential mirror what its vendor counts, which may be exceeded by a little; all else is ours to keep.
    fn firmness(&self, unit: Unit, subject: &Subject) -> Firmness {
        let is_of_tokens = matches!(unit, Unit::InputTokens | Unit::OutputTokens | Unit::Tokens);
        let mirrors = is_of_tokens && matches!(subject, Subject::Credential(_));
        if self.soft || (mirrors && !self.hard) {
            Firmness::Soft
        } else {
            Firmness::Hard
        }
    }

    /// Of those that are set together, the one on money alone has to know.
    fn unpriced(&self, unit: Unit) -> Option<Unpriced> {
        let given = self.unpriced.filter(|_| unit == Unit::NanoDollars);
        given.map(Unpriced::from)
    }
}

impl From<OnUnpriced> for Unpriced {
    fn from(word: OnUnpriced) -> Self {
        match word {
            OnUnpriced::Refuse => Self::Refuse,
            OnUnpriced::Allow => Self::Allow,
        }
    }
}

fn is_always_hard(unit: Unit) -> bool {
    matches!(unit, Unit::Requests | Unit::Concurrent)
}

const COLUMNS: [&str; 9] = [
    "on", "allows", "per", "zone", "taken", "until", "mode", "firmness", "id",
];
const COLUMNS_OF_SET: [&str; 7] = ["on", "allows", "per", "zone", "mode", "firmness", "id"];

fn shown(row: &LimitRow, used: Option<&LimitUse>) -> Value {
    let limit = &row.limit;
    // The one window of calls under way ends never.
    let until = used.filter(|_| limit.period != Period::Always);
    json!({
        "id": &*limit.id,
        "tenant_id": row.tenant_id,
        "on": shown_subject(&row.tenant_id, &limit.subject),
        "unit": limit.unit.as_str(),
        "per": limit.period.as_str(),
        "zone": &*limit.zone,
        "cap": match limit.cap {
            Cap::Units(units) => json!(units),
            Cap::Unlimited => json!("unlimited"),
        },
        "allows": match limit.cap {
            Cap::Units(units) => shown_amount(limit.unit, units),
            Cap::Unlimited => "unlimited".to_owned(),
        },
        "mode": limit.mode.as_str(),
        "firmness": limit.firmness.as_str(),
        "unpriced": (limit.unit == Unit::NanoDollars).then(|| limit.unpriced.as_str()),
        "granted": used.map(|used| used.granted),
        "settled": used.map(|used| used.settled),
        "taken": used.map(|used| shown_amount(limit.unit, used.granted)),
        "until": until.map(|used| instant(used.window.end_ms)),
    })
}
