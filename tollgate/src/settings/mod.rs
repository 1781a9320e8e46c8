//! What can be set, by environment or in `tollgate.yaml`.
//!
//! [`table::GROUPS`] is the one list: it names what is known (anything else that begins with `TOLLGATE_` is refused), holds
//! the defaults, and is what `docs/configuration.md` is made from.

pub(crate) mod gemini_cli;
mod google;
mod ranges;
mod source;
mod table;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use gateway::ledger::{Durability, SpoolSettings};
use gateway::seeing::TraceSettings;
use gateway::{AttemptSettings, GatewaySettings, KeepAlive, RoomSettings, live::DirectorySettings};
use percent_encoding::percent_decode_str;
use provider::gemini_cli::GeminiCliSettings;
use provider::{BaseUrl, OnCancel, Timeouts, Trust, UpstreamSettings};
use server::{FailureLimit, FrontLimits, Origin, TrustedProxies};
use store::StoreOptions;
use vault::Secret;
use vault::gateway_key::{self, KeyKind};

pub(crate) use google::GoogleSettings;
pub(crate) use source::Source;
pub(crate) use table::help;

use crate::failure::{Failure, Kind};
use crate::master_key::MasterKeySource;

const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// More than that have to be asked for, and may not be.
const WORKERS_MAX: usize = 240;
const OTLP_HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Everything that can be set, read and checked.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: Option<SocketAddr>,
    pub(crate) admin_listen: Option<SocketAddr>,
    pub(crate) public_url: Option<String>,
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Secret,
    pub(crate) master_key: MasterKeySource,
    pub(crate) admin_key: Option<Secret>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) workers: usize,
    pub(crate) drain_timeout: Duration,
    pub(crate) revision_poll: Duration,
    pub(crate) front: FrontLimits,
    pub(crate) connections_max: usize,
    pub(crate) connections_per_address_max: usize,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) failure_limit: FailureLimit,
    pub(crate) gateway: GatewaySettings,
    pub(crate) google: GoogleSettings,
    pub(crate) upstream: UpstreamSettings,
    /// Where the program is switched on.
    pub(crate) gemini_cli: Option<GeminiCliSettings>,
    /// Whether its processes reach Google by a relay of ours.
    pub(crate) gemini_cli_relay: bool,
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) store: StoreOptions,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// On an unknown name, a value that makes no sense, an empty secret, or a public address that was not confirmed.
    pub(crate) fn read(source: &Source) -> Result<Self, Failure> {
        ranges::check(source)?;
        let data_dir = PathBuf::from(source.text("TOLLGATE_DATA_DIR"));
        let listen = source.parsed(
            "TOLLGATE_LISTEN",
            "an address with a port, such as 127.0.0.1:8080",
        )?;
        refuse_public("TOLLGATE_LISTEN", listen, source)?;
        let metrics_listen = own_listener("TOLLGATE_METRICS_LISTEN", source)?;
        let admin_listen = own_listener("TOLLGATE_ADMIN_LISTEN", source)?;
        let public_url = public_url(source)?;
        if let Some(admin_listen) = admin_listen {
            has_pages(admin_listen, public_url.as_deref())?;
        }
        follows_in_time(source)?;
        let spool = spool(source, &data_dir)?;
        let workers: usize = source.parsed("TOLLGATE_WORKERS", "a number")?;
        Ok(Self {
            listen,
            metrics_listen,
            admin_listen,
            public_url,
            database_url: database_url(source, &data_dir),
            master_key: master_key(source, &data_dir)?,
            gemini_cli: gemini_cli::gemini_cli(source, &data_dir)?,
            gemini_cli_relay: source.flag("TOLLGATE_GEMINI_CLI_RELAY")?,
            data_dir,
            admin_key: admin_key(source)?,
            log: log(source)?,
            log_format: log_format(source)?,
            workers: if workers == 0 {
                std::thread::available_parallelism()
                    .map_or(1, usize::from)
                    .min(WORKERS_MAX)
            } else {
                workers
            },
            drain_timeout: source.duration("TOLLGATE_DRAIN_TIMEOUT")?,
            revision_poll: source.duration("TOLLGATE_REVISION_POLL")?,
            front: FrontLimits {
                head_timeout: source.duration("TOLLGATE_HEAD_TIMEOUT")?,
                idle_timeout: source.duration("TOLLGATE_IDLE_TIMEOUT")?,
                body_bytes_max: source.parsed("TOLLGATE_BODY_BYTES_MAX", "a number of bytes")?,
                body_timeout: source.duration("TOLLGATE_BODY_TIMEOUT")?,
                write_stall: source.duration("TOLLGATE_WRITE_STALL_TIMEOUT")?,
                answer_timeout: source.duration("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT")?,
                drain_linger: source.duration("TOLLGATE_DRAIN_LINGER")?,
            },
            connections_max: source.parsed("TOLLGATE_CONNECTIONS_MAX", "a number")?,
            connections_per_address_max: source.parsed("TOLLGATE_CONNECTIONS_PER_ADDRESS_MAX", "a number")?,
            trusted_proxies: source.parsed(
                "TOLLGATE_TRUSTED_PROXIES",
                "a list of addresses and networks, such as 10.0.0.0/8,192.168.1.7",
            )?,
            failure_limit: FailureLimit {
                failures_max: source.parsed("TOLLGATE_FAILED_KEYS_MAX", "a number")?,
                ..FailureLimit::default()
            },
            gateway: gateway(source, spool)?,
            google: GoogleSettings::read(source)?,
            upstream: upstream(source)?,
            traces: traces(source)?,
            store: StoreOptions {
                connections_max: source.parsed("TOLLGATE_DATABASE_CONNECTIONS", "a number")?,
                ..StoreOptions::default()
            },
        })
    }
}

/// The address of what may have one of its own.
fn own_listener(name: &str, source: &Source) -> Result<Option<SocketAddr>, Failure> {
    if source.given(name).is_none() {
        return Ok(None);
    }
    let listen = source.parsed(name, "an address with a port, such as 127.0.0.1:9090")?;
    refuse_public(name, listen, source)?;
    Ok(Some(listen))
}

fn refuse_public(name: &str, listen: SocketAddr, source: &Source) -> Result<(), Failure> {
    if source.flag("TOLLGATE_ALLOW_PUBLIC_BIND")? || listen.ip().is_loopback() {
        return Ok(());
    }
    let message = format!(
        "{name}={listen} can be reached from other machines: set TOLLGATE_ALLOW_PUBLIC_BIND=true if that is meant"
    );
    Err(Failure::new(Kind::Settings, message))
}

/// `sqlite:` in the data folder unless something else is set. The name without prefix is the one that platforms set.
fn database_url(source: &Source, data_dir: &std::path::Path) -> Secret {
    let given = source
        .given("TOLLGATE_DATABASE_URL")
        .or_else(|| source.given("DATABASE_URL"));
    let url = given.map_or_else(
        || {
            format!(
                "sqlite:{}",
                escaped(&data_dir.join("tollgate.db").display().to_string())
            )
        },
        str::to_owned,
    );
    Secret::new(url)
}

/// A path in a URL.
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

fn master_key(source: &Source, data_dir: &std::path::Path) -> Result<MasterKeySource, Failure> {
    let file = source.given("TOLLGATE_MASTER_KEY_FILE").map(PathBuf::from);
    match (secret(source, "TOLLGATE_MASTER_KEY")?, file) {
        (Some(_), Some(_)) => Err(Failure::new(
            Kind::Settings,
            "TOLLGATE_MASTER_KEY and TOLLGATE_MASTER_KEY_FILE are both set: which is it?",
        )),
        (Some(text), None) => Ok(MasterKeySource::Setting(text)),
        (None, file) => Ok(MasterKeySource::File(
            file.unwrap_or_else(|| data_dir.join("master.key")),
        )),
    }
}

/// A secret, which may be absent but not empty: an empty one is nearly always a variable that failed to expand.
fn secret(source: &Source, name: &str) -> Result<Option<Secret>, Failure> {
    match source.raw(name) {
        Some(text) if text.trim().is_empty() => {
            Err(Failure::new(Kind::Secret, format!("{name} is set, but empty")))
        }
        text => Ok(text.map(|text| Secret::new(text.to_owned()))),
    }
}

/// An admin key has the form that this program gives it: anything else could be a word that somebody guesses.
fn admin_key(source: &Source) -> Result<Option<Secret>, Failure> {
    let key = secret(source, "TOLLGATE_ADMIN_KEY")?;
    let is_one =
        |key: &Secret| gateway_key::parse(key.expose()).is_some_and(|key| key.kind == KeyKind::Admin);
    if key.as_ref().is_some_and(|key| !is_one(key)) {
        let message =
            "TOLLGATE_ADMIN_KEY is not an admin key: it begins with `sk-tga-` and is made by the first start";
        return Err(Failure::new(Kind::Secret, message));
    }
    Ok(key)
}

/// How the gateway is reached, which is printed in front of paths.
fn public_url(source: &Source) -> Result<Option<String>, Failure> {
    const NAME: &str = "TOLLGATE_PUBLIC_URL";
    let Some(url) = source.given(NAME).map(|url| url.trim_end_matches('/')) else {
        return Ok(None);
    };
    // The value is not quoted: it may hold a password.
    BaseUrl::parse(url, Trust::Operator).map_err(|error| {
        let message = format!("{NAME} is to be a URL such as https://gateway.example: {error}");
        Failure::new(Kind::Settings, message)
    })?;
    Ok(Some(url.to_owned()))
}

/// Pages that have an address of their own are to be served there.
fn has_pages(listen: SocketAddr, public_url: Option<&str>) -> Result<(), Failure> {
    let own = || format!("http://{}", SocketAddr::new(listen.ip(), listen.port().max(1)));
    let url = public_url.map_or_else(own, str::to_owned);
    Origin::parse(&url).map(drop).map_err(|error| {
        let message = format!(
            "TOLLGATE_ADMIN_LISTEN is set, and no page could be served: {error}; set TOLLGATE_PUBLIC_URL to how browsers \
             reach it, beginning with https://"
        );
        Failure::new(Kind::Settings, message)
    })
}

/// Keys in memory grow old from one question to the database to the next.
fn follows_in_time(source: &Source) -> Result<(), Failure> {
    if source.duration("TOLLGATE_STALE_KEYS")? > source.duration("TOLLGATE_REVISION_POLL")? {
        return Ok(());
    }
    let message = "TOLLGATE_STALE_KEYS is to be longer than TOLLGATE_REVISION_POLL";
    Err(Failure::new(Kind::Settings, message))
}

/// What is logged. A word that is no level would be taken for a part of the program, of which nothing would be logged.
fn log(source: &Source) -> Result<String, Failure> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = source.text("TOLLGATE_LOG");
    let unknown = text.split(',').map(str::trim).find(|part| {
        let level = part.rsplit('=').next().unwrap_or_default();
        !LEVELS.contains(&level.to_ascii_lowercase().as_str())
    });
    match unknown {
        None => Ok(text.replace(' ', "")),
        Some(unknown) => {
            let message = format!(
                "TOLLGATE_LOG: `{unknown}` is neither a level ({}) nor a part with one, such as `gateway=debug`",
                LEVELS.join(", ")
            );
            Err(Failure::new(Kind::Settings, message))
        }
    }
}

fn log_format(source: &Source) -> Result<LogFormat, Failure> {
    match source.text("TOLLGATE_LOG_FORMAT") {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err(Failure::new(
            Kind::Settings,
            "TOLLGATE_LOG_FORMAT is neither `human` nor `json`",
        )),
    }
}

/// In the data folder.
fn spool(source: &Source, data_dir: &std::path::Path) -> Result<SpoolSettings, Failure> {
    let durability = match source.text("TOLLGATE_LEDGER_DURABILITY") {
        "os" => Durability::Os,
        "strict" => Durability::Strict,
        _ => {
            let message = "TOLLGATE_LEDGER_DURABILITY is neither `os` nor `strict`";
            return Err(Failure::new(Kind::Settings, message));
        }
    };
    Ok(SpoolSettings {
        folder: data_dir.join("spool"),
        durability,
        bytes_max: source.parsed("TOLLGATE_LEDGER_BYTES_MAX", "a number of bytes")?,
    })
}

/// `provider=what`, one after the other.
fn on_cancel(source: &Source) -> Result<HashMap<String, OnCancel>, Failure> {
    let pairs = source.text("TOLLGATE_ON_CANCEL").split(',').map(str::trim);
    let pair = |pair: &str| {
        let (provider, what) = pair.split_once('=')?;
        Some((provider.trim().to_owned(), what.trim().parse().ok()?))
    };
    pairs
        .filter(|text| !text.is_empty())
        .map(|text| {
            pair(text).ok_or_else(|| {
                let message =
                    "TOLLGATE_ON_CANCEL is no list of `provider=abort`, `provider=drain` or `provider=free`";
                Failure::new(Kind::Settings, message)
            })
        })
        .collect()
}

/// What is held ahead of each limit, in thousandths.
fn ahead_permille(source: &Source) -> Result<u32, Failure> {
    let percent: u32 = source.parsed("TOLLGATE_STORE_OUTAGE_RESERVE", "a number of hundredths")?;
    match source.text("TOLLGATE_ON_STORE_OUTAGE") {
        "deny" => Ok(0),
        "reserve" => Ok(percent * 10),
        _ => {
            let message = "TOLLGATE_ON_STORE_OUTAGE is neither `deny` nor `reserve`";
            Err(Failure::new(Kind::Settings, message))
        }
    }
}

fn gateway(source: &Source, spool: SpoolSettings) -> Result<GatewaySettings, Failure> {
    Ok(GatewaySettings {
        spool,
        limits_ahead_permille: ahead_permille(source)?,
        on_cancel: on_cancel(source)?,
        drain_lasts: source.duration("TOLLGATE_ON_CANCEL_TIMEOUT")?,
        directory: DirectorySettings {
            tenants_max: source.parsed("TOLLGATE_TENANTS_CACHED_MAX", "a number")?,
            tenant_idle: source.duration("TOLLGATE_TENANT_IDLE")?,
            stale_max: source.duration("TOLLGATE_STALE_KEYS")?,
        },
        room: RoomSettings {
            calls_per_tenant_max: source.parsed("TOLLGATE_CALLS_PER_TENANT_MAX", "a number")?,
            body_bytes_max: source.parsed("TOLLGATE_BODIES_BYTES_MAX", "a number of bytes")?,
            body_bytes_per_tenant_max: source
                .parsed("TOLLGATE_BODIES_BYTES_PER_TENANT_MAX", "a number of bytes")?,
            answer_bytes_max: source.parsed("TOLLGATE_ANSWERS_BYTES_MAX", "a number of bytes")?,
            answer_bytes_per_tenant_max: source
                .parsed("TOLLGATE_ANSWERS_BYTES_PER_TENANT_MAX", "a number of bytes")?,
        },
        timeouts: Timeouts {
            first_byte_streamed: source.duration("TOLLGATE_UPSTREAM_FIRST_BYTE_TIMEOUT")?,
            first_byte_whole: source.duration("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT")?,
            gap: source.duration("TOLLGATE_UPSTREAM_GAP_TIMEOUT")?,
            total: source.duration("TOLLGATE_UPSTREAM_TOTAL_TIMEOUT")?,
        },
        attempts: AttemptSettings {
            attempts_max: source
                .parsed::<NonZeroU32>("TOLLGATE_ATTEMPTS_MAX", "a number of at least 1")?
                .get(),
            begin_within: source.duration("TOLLGATE_ATTEMPTS_TIMEOUT")?,
        },
        keep_alive: keep_alive(source)?,
        traced: source.given(OTLP_ENDPOINT).is_some(),
        ..GatewaySettings::default()
    })
}

/// More often nobody needs a sign of life.
const KEEP_ALIVE_MIN: Duration = Duration::from_millis(10);

fn keep_alive(source: &Source) -> Result<KeepAlive, Failure> {
    let every = source.duration("TOLLGATE_KEEP_ALIVE")?;
    let every = (!every.is_zero()).then_some(every);
    if every.is_some_and(|every| every < KEEP_ALIVE_MIN) {
        let message = "TOLLGATE_KEEP_ALIVE is 0, or at least 10ms";
        return Err(Failure::new(Kind::Settings, message));
    }
    let early = source.flag("TOLLGATE_KEEP_ALIVE_EARLY")?;
    if early && every.is_none() {
        let message = "TOLLGATE_KEEP_ALIVE_EARLY needs TOLLGATE_KEEP_ALIVE";
        return Err(Failure::new(Kind::Settings, message));
    }
    Ok(KeepAlive { every, early })
}

/// Where traces go, if anywhere.
fn traces(source: &Source) -> Result<Option<TraceSettings>, Failure> {
    let Some(endpoint) = source.given(OTLP_ENDPOINT) else {
        return Ok(None);
    };
    // The value is not quoted: it may hold a password.
    BaseUrl::parse(endpoint, Trust::Operator)
        .map_err(|error| Failure::new(Kind::Settings, format!("{OTLP_ENDPOINT}: {error}")))?;
    let headers = source
        .text(OTLP_HEADERS)
        .split(',')
        .filter(|pair| !pair.trim().is_empty());
    Ok(Some(TraceSettings {
        endpoint: endpoint.to_owned(),
        service_name: source.text("OTEL_SERVICE_NAME").to_owned(),
        headers: headers.map(header).collect::<Result<_, _>>()?,
    }))
}

/// `name=value`, with `%XX` for what has a meaning of its own.
fn header(pair: &str) -> Result<(String, Secret), Failure> {
    let wrong = || {
        Failure::new(
            Kind::Settings,
            format!("{OTLP_HEADERS} is no list of `name=value`"),
        )
    };
    let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
    let value = percent_decode_str(value.trim())
        .decode_utf8()
        .map_err(|_| wrong())?;
    Ok((name.trim().to_owned(), Secret::new(value.into_owned())))
}

fn upstream(source: &Source) -> Result<UpstreamSettings, Failure> {
    let extra_ca_pem = source.given("TOLLGATE_UPSTREAM_CA_FILE").map(|path| {
        std::fs::read(path).map_err(|error| {
            Failure::new(
                Kind::Settings,
                format!("TOLLGATE_UPSTREAM_CA_FILE: {path}: {error}"),
            )
        })
    });
    Ok(UpstreamSettings {
        extra_ca_pem: extra_ca_pem.transpose()?,
        connect_timeout: source.duration("TOLLGATE_UPSTREAM_CONNECT_TIMEOUT")?,
        tokens_of_anybody: source.flag("TOLLGATE_SERVICE_ACCOUNT_ANY_TOKEN_URI")?,
        ..UpstreamSettings::default()
    })
}

/// What can be set.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    table::settings().map(|setting| setting.name)
}

#[cfg(test)]
mod tests;
