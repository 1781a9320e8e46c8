//! Traces: one span for each call and one below it for each attempt, as a collector gets them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use testkit::client;
use testkit::collector::{Collector, Span, SpanKind, StatusCode, attributes};
use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Vendor};

use crate::world::{DONE, TENANT, VENDOR_SECRET, World, chunk, completion, request, usage_chunk};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const HEADER_SECRET: &str = "collector-canary-31,7 f";

#[test]
fn a_call_is_a_span_of_the_clients_trace_and_each_attempt_one_below_it() {
    let collector = Collector::start();
    let (world, _vendor) = traced(&collector.endpoint());
    let before = now_ns();
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let answer = ask(&world, "custom/plain", true, Some(&parent));
    assert_eq!(answer.status, 200);
    let [call, attempt] = pair(collector.spans(2));
    let after = now_ns();

    assert_eq!(
        (hex(&call.trace_id), hex(&call.parent_span_id)),
        (TRACE.to_owned(), PARENT.to_owned())
    );
    assert_eq!(
        (&attempt.trace_id, &attempt.parent_span_id),
        (&call.trace_id, &call.span_id)
    );
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(attempt.kind(), SpanKind::Client);
    assert_eq!(call.name, "POST /v1/chat/completions");
    assert_eq!(attempt.name, "chat plain");
    let told = attributes(&call.attributes);
    assert_eq!(told["gen_ai.request.model"], "custom/plain");
    assert_eq!(told["tollgate.call.id"], answer.header("x-request-id"));
    assert_eq!(told["http.response.status_code"], "200");
    let told = attributes(&attempt.attributes);
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "custom"),
        ("gen_ai.request.model", "plain"),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.usage.input_tokens", "3"),
        ("gen_ai.usage.output_tokens", "2"),
        ("http.response.status_code", "200"),
        ("tollgate.attempt", "1"),
        ("tollgate.outcome", "ok"),
    ];
    for (name, value) in expected {
        assert_eq!(told[name], value, "{name}");
    }
    assert!(
        told["gen_ai.response.time_to_first_chunk"]
            .parse::<f64>()
            .unwrap()
            > 0.0
    );
    assert!(!told.contains_key("error.type"));
    // The attempt lies inside the call, and the call in its time; the wall clock is told in milliseconds.
    let millisecond = 1_000_000;
    assert!(
        before - millisecond <= call.start_time_unix_nano && call.end_time_unix_nano <= after + millisecond
    );
    assert!(call.start_time_unix_nano <= attempt.start_time_unix_nano);
    assert!(attempt.start_time_unix_nano < attempt.end_time_unix_nano);
    assert!(attempt.end_time_unix_nano <= call.end_time_unix_nano);

    let told = collector.resource();
    assert_eq!(told["service.name"], "front door");
    let seen = collector.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/traces"));
    let header = |name: &str| {
        seen.headers
            .iter()
            .find(|(told, _)| told == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(header("authorization"), format!("Bearer {HEADER_SECRET}"));
    assert_eq!(header("content-type"), "application/x-protobuf");
}

#[test]
fn without_a_parent_the_trace_is_the_call_and_failures_say_what_failed() {
    let collector = Collector::start();
    let (world, vendor) = traced(&collector.endpoint());
    for wrong in [
        None,
        Some("00-nonsense-01"),
        Some(&*format!("00-{TRACE}-{}-01", "0".repeat(16))),
    ] {
        let before = collector.spans(0).len();
        ask(&world, "custom/plain", false, wrong);
        let spans = collector.spans(before + 2);
        let [call, _] = pair(spans[before..].to_vec());
        assert_eq!(call.parent_span_id, Vec::<u8>::new(), "{wrong:?}");
        let id = ulid(&attributes(&call.attributes)["tollgate.call.id"]);
        assert_eq!(hex(&call.trace_id), format!("{id:032x}"));
    }

    // One that the client does not keep is not kept here either.
    ask(
        &world,
        "custom/plain",
        false,
        Some(&format!("00-{TRACE}-{PARENT}-00")),
    );
    let before = collector.spans(6).len();
    assert_eq!(ask(&world, "none", false, None).status, 404);
    assert_eq!(ask(&world, "custom/busy", false, None).status, 429);
    assert_eq!(ask(&world, "custom/cut", false, None).status, 502);
    let spans = collector.spans(before + 5)[before..].to_vec();
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let error = attributes(&span.attributes)["error.type"].clone();
            let failed = span
                .status
                .as_ref()
                .is_some_and(|status| status.code() == StatusCode::Error);
            (span.kind(), error, failed)
        })
        .collect();
    let expected = [
        (SpanKind::Server, "model_not_found", false),
        (SpanKind::Server, "429", false),
        (SpanKind::Client, "429", true),
        (SpanKind::Server, "provider_answer_cut", true),
        (SpanKind::Client, "cut", true),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, error, failed)| (kind, error.to_owned(), failed))
    );

    // What was told on the way down is told too.
    let hanging = client::open_post(
        &world.serving.endpoint("/v1/chat/completions"),
        &world.key,
        &request("custom/hangs", true),
    );
    assert!(vendor.wait_until_asked(7));
    drop(hanging);
    let World { serving, .. } = world;
    assert!(serving.stop().success());
    let last = collector.spans(before + 7).pop().unwrap();
    assert_eq!(attributes(&last.attributes)["tollgate.outcome"], "client_gone");

    let everything: Vec<u8> = collector
        .requests()
        .into_iter()
        .flat_map(|seen| seen.body)
        .collect();
    let everything = String::from_utf8_lossy(&everything);
    assert!(everything.contains("gen_ai.provider.name"));
    for secret in ["one two three", "hello", VENDOR_SECRET, TENANT] {
        assert!(!everything.contains(secret), "{secret} is in a trace");
    }
}

#[test]
fn a_collector_that_is_away_or_silent_is_nobody_elses_business() {
    let silent = Vendor::start(|_| Play::json(200, "").end(End::Silence));
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [silent.base_url(), format!("http://{gone}")] {
        let (world, _vendor) = traced(&endpoint);
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(ask(&world, "custom/plain", false, None).status, 200);
        }
        // Far less than one request to the collector may take.
        assert!(begun.elapsed() < Duration::from_secs(4));
        world.ledger(20);
        let log = world.serving.log();
        assert!(
            !log.contains(HEADER_SECRET) && !log.contains("collector-canary"),
            "{log}"
        );
        let begun = Instant::now();
        let World { serving, .. } = world;
        assert!(serving.stop().success());
        assert!(begun.elapsed() < Duration::from_secs(10), "it stops all the same");
    }
}

fn traced(endpoint: &str) -> (World, Vendor) {
    let vendor = Vendor::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body);
        match () {
            () if body.contains("busy") => Play::json(429, r#"{"error": {"message": "busy"}}"#),
            () if body.contains("cut") => Play::json(200, completion()).end(End::Cut),
            () if body.contains("hangs") => Play::stream([chunk("hel", None)]).end(End::Hang),
            () if body.contains("\"stream\":true") => {
                Play::stream([chunk("hello", Some("stop")), usage_chunk(), DONE.to_vec()])
            }
            () => Play::json(200, completion()),
        }
    });
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .set("OTEL_SERVICE_NAME", "front door")
            .set(
                "OTEL_EXPORTER_OTLP_HEADERS",
                "authorization=Bearer%20collector-canary-31%2C7%20f",
            )
            .set("TOLLGATE_LOG", "trace")
    });
    (world, vendor)
}

fn ask(world: &World, model: &str, stream: bool, parent: Option<&str>) -> client::Answer {
    let authorization = format!("Bearer {}", world.key);
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    headers.extend(parent.map(|parent| ("traceparent", parent)));
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    client::open("POST", &endpoint, &headers, &request(model, stream)).finish()
}

fn pair(spans: Vec<Span>) -> [Span; 2] {
    spans.try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number that Crockford's 32 letters stand for.
fn ulid(text: &str) -> u128 {
    let letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    text.chars().fold(0, |number, letter| {
        number * 32 + letters.find(letter).unwrap() as u128
    })
}

fn now_ns() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}
