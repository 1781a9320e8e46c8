//! Figures for Prometheus: true, on an address of their own, and without a word about who calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testkit::client::{self, Answer};
use testkit::collector::Collector;
use testkit::database::{TestDatabase, execute};
use testkit::load::Caller;
use testkit::process::{Installation, Serving};
use testkit::vendor::{End, Play, Vendor};

use crate::world::{DONE, TENANT, World, chunk, completion, request, usage_chunk};

/// Nothing in a test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn what_happened_is_told_in_figures() {
    for database in TestDatabase::each() {
        let (world, _vendor) = observed(database);
        for (model, stream, status) in [
            ("custom/plain", false, 200),
            ("custom/plain", false, 200),
            ("custom/plain", true, 200),
            ("custom/broken", false, 502),
            ("custom/busy", false, 429),
            ("none", false, 404),
        ] {
            assert_eq!(world.chat(&request(model, stream)).status, status, "{model}");
        }
        let endpoint = world.serving.endpoint("/v1/chat/completions");
        client::post(&endpoint, "sk-tg-nobody", &request("custom/plain", false));
        let figures = until(&world.serving, |figures| {
            figures.sum("tollgate_calls_total", &[]) >= 7.0
        });
        let told = |name: &str, labels: &[(&str, &str)]| figures.sum(name, labels);

        let status = "http_response_status_code";
        assert_eq!(told("tollgate_calls_total", &[(status, "200")]), 3.0);
        let bad_answer = [
            ("error_type", "provider_bad_answer"),
            ("tollgate_error_party", "provider"),
        ];
        assert_eq!(told("tollgate_calls_total", &bad_answer), 1.0);
        assert_eq!(
            told("tollgate_calls_total", &[("error_type", "model_not_found")]),
            1.0
        );
        assert_eq!(
            told("tollgate_calls_total", &[("error_type", "invalid_api_key")]),
            1.0
        );
        assert_eq!(
            told("tollgate_calls_total", &[("error_type", "429"), (status, "429")]),
            1.0
        );
        assert_eq!(told("tollgate_call_duration_seconds_count", &[]), 5.0);
        assert_eq!(
            told(
                "tollgate_call_duration_seconds_count",
                &[("gen_ai_request_stream", "true")]
            ),
            1.0
        );

        let custom = ("gen_ai_provider_name", "custom");
        assert_eq!(
            told("tollgate_attempts_total", &[custom, ("tollgate_outcome", "ok")]),
            3.0
        );
        assert_eq!(
            told(
                "tollgate_attempts_total",
                &[("tollgate_outcome", "provider_error")]
            ),
            2.0
        );
        let plain = ("gen_ai_request_model", "plain");
        let duration = "gen_ai_client_operation_duration_seconds";
        assert_eq!(
            told(&format!("{duration}_count"), &[custom, plain, ("error_type", "")]),
            3.0
        );
        assert_eq!(told(&format!("{duration}_count"), &[("error_type", "429")]), 1.0);
        assert_eq!(
            told(
                "gen_ai_client_operation_time_to_first_chunk_seconds_count",
                &[plain]
            ),
            1.0
        );
        // Two whole answers of 3 and 1, a streamed one of 3 and 2.
        let kind = |kind| [plain, ("tollgate_token_kind", kind)];
        assert_eq!(told("tollgate_tokens_total", &kind("input")), 9.0);
        assert_eq!(told("tollgate_tokens_total", &kind("output")), 4.0);
        assert_eq!(
            told(
                "gen_ai_client_token_usage_sum",
                &[("gen_ai_token_type", "output")]
            ),
            4.0
        );

        // The gateway's own time is part of the call's, and small.
        let overhead = told("tollgate_overhead_seconds_sum", &[]);
        let upstream = told(&format!("{duration}_sum"), &[]);
        let whole = told("tollgate_call_duration_seconds_sum", &[]);
        assert!(
            overhead > 0.0 && overhead + upstream <= whole + 1e-6,
            "{overhead} of {whole}"
        );
        assert_eq!(told("tollgate_overhead_seconds_count", &[]), 5.0);

        for (name, least) in [
            ("tollgate_ready", 1.0),
            ("tollgate_store_up", 1.0),
            ("tollgate_tenants_in_memory", 1.0),
            ("tollgate_store_revision", 3.0),
            ("process_start_time_seconds", 1.7e9),
            ("tollgate_store_answered_timestamp_seconds", 1.7e9),
            ("tollgate_build_info", 1.0),
        ] {
            assert!(told(name, &[]) >= least, "{name}");
        }
        assert_eq!(told("tollgate_calls_in_flight", &[]), 0.0);
        assert_eq!(told("tollgate_config_rows_rejected", &[]), 0.0);
        let written = until(&world.serving, |figures| {
            figures.sum("tollgate_ledger_rows_written_total", &[]) >= 5.0
        });
        assert!(written.sum("tollgate_ledger_batches_written_total", &[]) >= 1.0);
        assert_eq!(written.sum("tollgate_ledger_writes_failed_total", &[]), 0.0);

        let text = scrape(&world.serving).body;
        let text = String::from_utf8(text).unwrap();
        for secret in [TENANT, &world.key, "custom/", "none", "broken", "nobody"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[test]
fn what_is_under_way_and_what_is_wrong_is_told() {
    let database = TestDatabase::sqlite();
    let url = database.url().to_owned();
    let (world, vendor) = observed(database);
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let hanging = client::open_post(&endpoint, &world.key, &request("custom/hangs", true));
    let figures = until(&world.serving, |figures| {
        figures.sum("tollgate_calls_in_flight", &[]) == 1.0
    });
    assert!(figures.sum("tollgate_connections_open", &[]) >= 1.0);
    drop(hanging);
    assert!(vendor.wait_until_gone(1));
    let gone = [("tollgate_outcome", "client_gone")];
    let figures = until(&world.serving, |figures| {
        figures.sum("tollgate_attempts_total", &gone) == 1.0
    });
    assert_eq!(figures.sum("tollgate_calls_in_flight", &[]), 0.0);

    execute(&url, "UPDATE credentials SET base_url_by = 'martian'");
    // A change by the ordinary way, by which the gateway looks again.
    world.installation.ask(&["key", "create", "--tenant", TENANT]);
    until(&world.serving, |figures| {
        figures.sum("tollgate_config_rows_rejected", &[]) == 1.0
    });
    execute(&url, "UPDATE credentials SET base_url_by = 'operator'");
    world.installation.ask(&["key", "create", "--tenant", TENANT]);
    let mended = Instant::now();
    while world.chat(&request("custom/plain", false)).status != 200 {
        assert!(mended.elapsed() < PATIENCE);
    }
    until(&world.serving, |figures| {
        figures.sum("tollgate_config_rows_rejected", &[]) == 0.0
    });
}

#[test]
fn what_calls_come_to_is_seen_while_the_ledger_cannot_be_written() {
    for database in TestDatabase::each() {
        let url = database.url().to_owned();
        let (world, _vendor) = observed(database);
        execute(&url, "ALTER TABLE attempts RENAME TO attempts_away");
        for count in 1..=5 {
            assert_eq!(world.chat(&request("custom/plain", false)).status, 200);
            let figures = until(&world.serving, |figures| {
                figures.sum("tollgate_calls_total", &[]) == f64::from(count)
                    && figures.sum("tollgate_ledger_writes_failed_total", &[]) >= 1.0
            });
            assert_eq!(
                figures.sum("tollgate_ledger_records_waiting", &[]),
                f64::from(count)
            );
        }
        assert_eq!(world.serving.log().matches("tollgate::call").count(), 5);
        execute(&url, "ALTER TABLE attempts_away RENAME TO attempts");
        until(&world.serving, |figures| {
            figures.sum("tollgate_ledger_rows_written_total", &[]) == 5.0
                && figures.sum("tollgate_ledger_records_waiting", &[]) == 0.0
        });
        assert_eq!(world.ledger(5).len(), 5);
    }
}

#[test]
fn each_tenant_with_a_row_that_makes_no_sense_is_out_of_service_alone_and_counted() {
    for database in TestDatabase::each() {
        let url = database.url().to_owned();
        let (world, _vendor) = observed(database);
        let keys: Vec<String> = (0..12)
            .map(|number| {
                let tenant = format!("poison-{number}");
                world.installation.ask(&["tenant", "create", &tenant]);
                let key = world.installation.ask(&["key", "create", "--tenant", &tenant]);
                key["secret"].as_str().unwrap().to_owned()
            })
            .collect();
        execute(&url, "UPDATE tenants SET disabled = 2 WHERE name LIKE 'poison-%'");
        let endpoint = world.serving.endpoint("/v1/chat/completions");
        let is_out =
            |key: &String| client::post(&endpoint, key, &request("custom/plain", false)).status == 503;
        for key in &keys {
            assert!(is_out(key));
            assert_eq!(world.chat(&request("custom/plain", false)).status, 200);
        }
        until(&world.serving, |figures| {
            // The news that a tenant was made may reach the gateway only now. It then takes the tenant for mended, until it
            // calls again.
            assert!(keys.iter().all(is_out));
            figures.sum("tollgate_config_rows_rejected", &[]) == 12.0
                && figures.sum("tollgate_tenants_poisoned", &[]) == 12.0
                && figures.sum("tollgate_poison_found_total", &[]) >= 12.0
        });
    }
}

#[test]
fn metrics_have_an_address_of_their_own_and_idle_askers_do_not_hold_it() {
    let (world, _vendor) = observed(TestDatabase::sqlite());
    assert_eq!(client::get(&world.serving.endpoint("/metrics"), "").status, 404);
    let metrics = world.serving.metrics();
    let metrics = metrics.trim_start_matches("http://").trim_end_matches("/metrics");
    let at = |path: &str| format!("http://{metrics}{path}");
    for (path, said) in [("/livez", "live"), ("/readyz", "ready"), ("/healthz", "ok")] {
        assert_eq!(client::get(&at(path), "").json()["status"], said);
    }
    for path in [
        "/",
        "/v1/models",
        "/v1/chat/completions",
        "/metrics/",
        "//metrics",
    ] {
        assert_eq!(client::get(&at(path), &world.key).status, 404, "{path}");
    }
    assert_eq!(client::post(&at("/metrics"), "", b"{}").status, 405);
    let kind = scrape(&world.serving);
    assert_eq!(
        kind.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );

    // All places taken, half of them by half a head: the next one waits, but not for long.
    let idle: Vec<TcpStream> = (0..32)
        .map(|number| {
            let mut stream = TcpStream::connect(metrics).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(scrape(&world.serving).status, 200);
    for mut stream in idle {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut told = Vec::new();
        // Whether it is closed or reset, it is over.
        let _reset = stream.read_to_end(&mut told);
        assert!(!String::from_utf8_lossy(&told).contains(" 200 "));
    }
}

/// The one that takes over answers operators too, at the same address, and alone: figures that came from the two by turns
/// would run backwards.
#[test]
fn operators_are_answered_through_an_upgrade() {
    let vendor = Vendor::start(|seen| {
        if String::from_utf8_lossy(&seen.body).contains("hangs") {
            Play::stream([chunk("hel", None)]).end(End::Hang)
        } else {
            Play::json(200, completion())
        }
    });
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_METRICS_LISTEN", &free)
    });
    let address = world.serving.url().trim_start_matches("http://").to_owned();
    world.installation = world.installation.set("TOLLGATE_LISTEN", &address);
    // The old one has a call that does not end, so that it goes on beside the new one.
    let mut caller = Caller::new(world.serving.url(), &world.key);
    let stream = std::thread::spawn(move || caller.call(&request("custom/hangs", true)).is_ok());
    until(&world.serving, |figures| {
        figures.sum("tollgate_calls_in_flight", &[]) == 1.0
    });
    // Somebody looks all the time.
    let (metrics, done) = (world.serving.metrics(), Arc::new(AtomicBool::new(false)));
    let enough = done.clone();
    let looking = std::thread::spawn(move || {
        while !enough.load(Ordering::Relaxed) {
            assert_eq!(client::get(&metrics, "").status, 200);
        }
    });
    let next = world.installation.take_over();
    let before = std::mem::replace(&mut world.serving, next);
    assert_eq!(before.metrics(), world.serving.metrics());
    // The old one may still take a call or two, which then are in its ledger only.
    let is_counted = || {
        assert_eq!(world.chat(&request("custom/plain", false)).status, 200);
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            let text = String::from_utf8(scrape(&world.serving).body).unwrap();
            if Figures::read(&text).sum("tollgate_calls_total", &[]) == 1.0 {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    };
    assert!((0..5).any(|_| is_counted()), "the new one answers operators");
    for _ in 0..50 {
        let text = String::from_utf8(scrape(&world.serving).body).unwrap();
        let figures = Figures::read(&text);
        assert_eq!(figures.sum("tollgate_calls_in_flight", &[]), 0.0);
        assert_eq!(figures.sum("tollgate_calls_total", &[]), 1.0);
    }
    done.store(true, Ordering::Relaxed);
    looking.join().unwrap();
    before.signal("-TERM");
    assert!(before.ended().success());
    assert!(!stream.join().unwrap(), "it was cut off");
}

/// The page lists what there is, no more and no less, with the labels that there are.
#[test]
fn the_page_about_metrics_is_true() {
    let collector = Collector::start();
    let (world, _vendor) = observed_with(TestDatabase::sqlite(), |installation| {
        installation
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
            .set("FAILPOINTS", "follow=1*panic->off")
    });
    world.limit_requests_a_day(1_000);
    let deadline = Instant::now() + PATIENCE;
    let is_limited = |answer: &Answer| answer.headers.contains_key("x-ratelimit-limit-requests");
    while !is_limited(&world.chat(&request("custom/plain", false))) {
        assert!(Instant::now() < deadline, "the limit is never there");
    }
    for (model, stream) in [
        ("custom/plain", false),
        ("custom/plain", true),
        ("custom/busy", false),
        ("custom/nonsense", false),
        ("none", false),
    ] {
        world.chat(&request(model, stream));
    }
    let figures = until(&world.serving, |figures| {
        figures.sum("tollgate_calls_total", &[]) >= 6.0
            && figures.sum("tollgate_parts_fallen_total", &[("tollgate_part", "follow")]) == 1.0
    });
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/observing.md");
    let page = fs::read_to_string(page).unwrap();
    let listed: BTreeMap<String, (String, BTreeSet<String>)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect::<Vec<_>>())
        .filter(|cells| ["counter", "gauge", "histogram"].contains(cells.get(1).unwrap_or(&"")))
        .map(|cells| {
            let labels = cells[2].split('`').skip(1).step_by(2).map(str::to_owned);
            (
                cells[0].trim_end_matches('`').to_owned(),
                (cells[1].to_owned(), labels.collect()),
            )
        })
        .collect();
    assert_eq!(listed, figures.families());
}

/// A gateway with a metrics listener and a vendor with good and bad days.
fn observed(database: TestDatabase) -> (World, Vendor) {
    observed_with(database, |installation| installation)
}

fn observed_with(
    database: TestDatabase,
    settings: impl FnOnce(Installation) -> Installation,
) -> (World, Vendor) {
    let vendor = Vendor::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body);
        match () {
            () if body.contains("broken") => Play::json(200, "<html>"),
            () if body.contains("busy") => Play::json(429, r#"{"error": {"message": "busy"}}"#),
            () if body.contains("nonsense") => Play::json(200, r#"{"usage": {"prompt_tokens": -1}}"#),
            () if body.contains("hangs") => Play::stream([chunk("hel", None)]).end(End::Hang),
            () if body.contains("\"stream\":true") => {
                Play::stream([chunk("hello", Some("stop")), usage_chunk(), DONE.to_vec()])
            }
            () => Play::json(200, completion()),
        }
    });
    let world = World::with(database, &vendor.base_url(), |installation| {
        settings(installation).set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
    });
    (world, vendor)
}

fn scrape(serving: &Serving) -> Answer {
    client::get(&serving.metrics(), "")
}

fn until(serving: &Serving, is_right: impl Fn(&Figures) -> bool) -> Figures {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = String::from_utf8(scrape(serving).body).unwrap();
        let figures = Figures::read(&text);
        if is_right(&figures) {
            return figures;
        }
        assert!(
            Instant::now() < deadline,
            "the figures never became right: {text}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One reading.
struct Figures {
    kinds: BTreeMap<String, String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Figures {
    fn read(text: &str) -> Self {
        let mut figures = Self {
            kinds: BTreeMap::new(),
            samples: Vec::new(),
        };
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                let before = figures.kinds.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} is told twice");
            } else if !line.starts_with('#') {
                figures.samples.push(sample(line));
            }
        }
        figures
    }

    /// The sum of a metric's samples with these labels; an empty value stands for a label that is not there.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |told: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(name, value)| told.get(*name).map_or("", String::as_str) == *value)
        };
        let fitting = self
            .samples
            .iter()
            .filter(|(told, held, _)| told == name && fits(held));
        fitting.map(|(_, _, value)| value).sum()
    }

    /// What there is: kind and labels by name.
    fn families(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let mut families = BTreeMap::new();
        for (name, kind) in &self.kinds {
            let mut labels = BTreeSet::new();
            for (sample, held, _) in &self.samples {
                let suffix = sample.strip_prefix(name.as_str());
                if suffix.is_some_and(|suffix| ["", "_bucket", "_sum", "_count"].contains(&suffix)) {
                    labels.extend(held.keys().filter(|label| *label != "le").cloned());
                }
            }
            families.insert(name.clone(), (kind.clone(), labels));
        }
        families
    }
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = head.split_once('{').unwrap_or((head, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter_map(|label| {
        let (name, value) = label.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}
