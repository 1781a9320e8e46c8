//! What reaches a provider, and what a provider cannot do to the gateway: its answers are given here byte by byte.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::raw::{endless, provider, read_request};
use crate::world::{DONE, World, chunk, completion, request};

type Answering = fn(&mut TcpStream) -> std::io::Result<()>;

/// Something that listens and is not to be reached.
fn trap() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let reached = Arc::new(AtomicUsize::new(0));
    let counting = reached.clone();
    thread::spawn(move || {
        while listener.accept().is_ok() {
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, reached)
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

#[test]
fn what_a_provider_sends_without_end_or_sense_is_an_error_to_the_client() {
    let cases: [(&str, bool, u16, &str, Answering); 12] = [
        (
            "99 a head of a megabyte",
            false,
            502,
            "provider_unreachable",
            |out| endless(out, "HTTP/1.1 200 OK\r\nx: ", b"x"),
        ),
        (
            "93 a line without end",
            true,
            502,
            "provider_answer_too_large",
            |out| endless(out, STREAM, b"x"),
        ),
        (
            "93 a line without end, later",
            true,
            200,
            "provider_answer_too_large",
            |out| {
                out.write_all(STREAM.as_bytes())?;
                out.write_all(&chunk("one", None))?;
                endless(out, "data: ", b"x")
            },
        ),
        (
            "94 an event without end",
            true,
            502,
            "provider_answer_too_large",
            |out| endless(out, STREAM, b"data: x\n"),
        ),
        ("94 many comments", true, 200, "provider_answer_cut", |out| {
            out.write_all(STREAM.as_bytes())?;
            out.write_all(&b": x\n\n".repeat(200_000))
        }),
        ("94 many empty lines", true, 502, "provider_answer_cut", |out| {
            out.write_all(STREAM.as_bytes())?;
            out.write_all(&b"\n".repeat(1_000_000))
        }),
        (
            "103 an answer without end",
            false,
            502,
            "provider_answer_too_large",
            |out| endless(out, &format!("{WHOLE}connection: close\r\n\r\n{{\"a\":\""), b"x"),
        ),
        ("89 nothing", false, 502, "provider_bad_answer", |out| {
            out.write_all(format!("{WHOLE}content-length: 0\r\n\r\n").as_bytes())
        }),
        (
            "100 more promised than sent",
            false,
            502,
            "provider_answer_cut",
            |out| out.write_all(format!("{WHOLE}content-length: 9\r\n\r\n{{}}").as_bytes()),
        ),
        (
            "100 less promised than sent",
            false,
            502,
            "provider_bad_answer",
            |out| out.write_all(format!("{WHOLE}content-length: 4\r\n\r\n{{\"a\":1}}").as_bytes()),
        ),
        ("no HTTP", false, 502, "provider_unreachable", |out| {
            out.write_all(b"220 smtp\r\n")
        }),
        (
            "101 compressed, though not asked for",
            true,
            502,
            "provider_bad_answer",
            |out| {
                out.write_all(
                    STREAM
                        .replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n")
                        .as_bytes(),
                )
            },
        ),
    ];
    for (name, streamed, status, code, answering) in cases {
        let world = World::with(TestDatabase::sqlite(), &provider(answering), |installation| {
            installation
        });
        let before = world.serving.resident_kib() / 1024;
        let answer = world.chat(&request("custom/any", streamed));
        let end = String::from_utf8_lossy(&answer.body[answer.body.len().saturating_sub(400)..]).into_owned();
        assert_eq!(answer.status, status, "{name}: {end}");
        assert!(
            end.contains(&format!(r#""code":"{code}""#)) && !end.contains("[DONE]"),
            "{name}: {end}"
        );
        let grown = (world.serving.resident_kib() / 1024).saturating_sub(before);
        // An answer that is not a stream is held whole.
        let allowed = if streamed { 32 } else { 96 };
        assert!(grown < allowed, "{name}: {grown} MiB more");
        assert_ne!(
            world.ledger(1).into_values().next().unwrap().outcome,
            "ok",
            "{name}"
        );
    }
}

#[test]
fn what_a_provider_does_at_the_edge_of_its_dialect_is_understood() {
    let cases: [(&str, bool, &str, Answering); 3] = [
        ("102 interim answers", false, "hello", |out| {
            let body = completion();
            let interim = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(8);
            out.write_all(format!("{interim}{WHOLE}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        }),
        ("90 no usage", false, r#"{"choices":[]}"#, |out| {
            out.write_all(format!("{WHOLE}content-length: 14\r\n\r\n{{\"choices\":[]}}").as_bytes())
        }),
        ("97 every kind of line", true, "[DONE]", |out| {
            out.write_all(STREAM.as_bytes())?;
            out.write_all(b"\xef\xbb\xbfid: 1\r\nretry:5\rdata:{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"}]}\r\n\r\n")?;
            out.write_all(DONE)
        }),
    ];
    for (name, streamed, part, answering) in cases {
        let world = World::with(TestDatabase::sqlite(), &provider(answering), |installation| {
            installation
        });
        let answer = world.chat(&request("custom/any", streamed));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            answer.status == 200 && text.contains(part),
            "{name}: {} {text}",
            answer.status
        );
        assert_eq!(
            world.ledger(1).into_values().next().unwrap().outcome,
            "ok",
            "{name}"
        );
    }
}

/// What a provider says of its usage reaches the client as it is. What it cannot have meant is not booked, and told.
#[test]
fn usage_that_makes_no_sense_is_not_booked() {
    let counts =
        |input: &str, output: &str| format!(r#"{{"prompt_tokens":{input},"completion_tokens":{output}}}"#);
    // What is reported, in a stream one after the other; the tokens of input and output, and whether it is suspect.
    type Tokens = Option<(i64, i64)>;
    let cases: [(&[String], Tokens, bool); 15] = [
        (&[counts("3", "0")], Some((3, 0)), false),
        (&[counts("3.0", "1e1")], Some((3, 10)), false),
        (&[counts("0", "0")], Some((0, 0)), false),
        (&["null".to_owned()], None, false),
        (&[counts("null", "null")], None, false),
        (&[counts("3", "1"), counts("3", "2")], Some((3, 2)), false),
        (&[counts("-3", "1")], None, true),
        (&[counts("3", "1.5")], None, true),
        (&[counts("\"3\"", "1")], None, true),
        (&[counts("9223372036854775808", "1")], None, true),
        (&[counts("3", "100000001")], None, true),
        (&[counts("3", "1e99")], None, true),
        (&["\"many\"".to_owned()], None, true),
        (&["[3,1]".to_owned()], None, true),
        (&[counts("3", "2"), counts("3", "1")], None, true),
    ];
    let reported: Vec<Vec<String>> = cases.iter().map(|(reported, ..)| reported.to_vec()).collect();
    let vendor = Vendor::start(move |seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let reported = &reported[body["model"].as_str().unwrap().parse::<usize>().unwrap()];
        if body["stream"] == false {
            return Play::json(200, format!(r#"{{"choices":[],"usage":{}}}"#, reported[0]));
        }
        let event = |usage| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n").into_bytes();
        let usage = reported.iter().map(event);
        Play::stream(
            [chunk("one", Some("stop"))]
                .into_iter()
                .chain(usage)
                .chain([DONE.to_vec()]),
        )
    });
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0")
    });
    let mut expected = Vec::new();
    for (number, (reported, tokens, suspect)) in cases.into_iter().enumerate() {
        let streams: &[bool] = if reported.len() > 1 {
            &[true]
        } else {
            &[false, true]
        };
        for stream in streams {
            let answer = world.chat(&request(&format!("custom/{number}"), *stream));
            assert_eq!(answer.status, 200, "{reported:?}");
            if !stream {
                let text = String::from_utf8(answer.body.clone()).unwrap();
                assert!(text.contains(&reported[0]), "{text}");
            }
            expected.push((
                answer.header("x-request-id").to_owned(),
                tokens,
                suspect,
                reported,
            ));
        }
    }
    let ledger = world.ledger(expected.len());
    for (call, tokens, suspect, reported) in &expected {
        let row = &ledger[call];
        let booked = row.usage.map(|usage| (usage.input_tokens, usage.output_tokens));
        assert_eq!(row.outcome, "ok", "{reported:?}");
        // Where nothing is told, it is guessed by what was said, if anything was; what is told and cannot be is not.
        if tokens.is_none() && !suspect {
            let source = if booked.is_some() { "estimated" } else { "unknown" };
            assert_eq!(row.usage_source, source, "{reported:?}");
        } else {
            assert_eq!(booked, *tokens, "{reported:?}");
        }
        let line = world.serving.logged(call);
        assert_eq!(line.contains("suspect_usage"), *suspect, "{line}");
    }
    let suspect = expected.iter().filter(|(_, _, suspect, _)| *suspect).count();
    let told = format!(r#"tollgate_suspect_usage_total{{gen_ai_provider_name="custom"}} {suspect}"#);
    let metrics = String::from_utf8(client::get(&world.serving.metrics(), "").body).unwrap();
    assert!(metrics.contains(&told), "{told}: {metrics}");
}

/// Comments show that a provider works on an answer, for as long as it may work on one in silence.
#[test]
fn comments_keep_a_stream_alive_but_not_for_ever() {
    let comments = |out: &mut TcpStream, count: usize| -> std::io::Result<()> {
        for _ in 0..count {
            out.write_all(b": PROCESSING\n\n")?;
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    };
    let thinking = move |out: &mut TcpStream| {
        out.write_all(STREAM.as_bytes())?;
        comments(out, 24)?;
        out.write_all(&chunk("thought", Some("stop")))?;
        comments(out, 24)?;
        out.write_all(DONE)
    };
    let stalling = move |out: &mut TcpStream| {
        out.write_all(STREAM.as_bytes())?;
        out.write_all(&chunk("one", None))?;
        comments(out, 10_000)
    };
    let ask = |base_url: &str, stream: bool| {
        let world = World::with(TestDatabase::sqlite(), base_url, |installation| {
            installation
                .set("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "600ms")
                .set("TOLLGATE_UPSTREAM_WHOLE_TIMEOUT", "2s")
        });
        let asked = Instant::now();
        let answer = world.chat(&request("custom/any", stream));
        let row = world.ledger(1).into_values().next().unwrap();
        let text = String::from_utf8(answer.body).unwrap();
        (answer.status, text, row.outcome, asked.elapsed())
    };
    let (status, text, outcome, _) = ask(&provider(thinking), true);
    assert_eq!((status, outcome.as_str()), (200, "ok"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    let (status, text, outcome, took) = ask(&provider(stalling), true);
    assert_eq!((status, outcome.as_str()), (200, "timeout"), "{text}");
    assert!(
        text.contains("provider_timeout") && !text.contains("[DONE]"),
        "{text}"
    );
    assert!(
        took > Duration::from_secs(2) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

/// What a provider says after its last word reaches nobody, and it is not asked again on that connection.
#[test]
fn what_follows_the_end_of_a_stream_is_dropped_with_its_connection() {
    for more in [
        chunk("more", None),
        b"x".repeat(2 << 20),
        b": comment\n\n".to_vec(),
    ] {
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let counting = connections.clone();
        thread::spawn(move || {
            while let Ok((mut connection, _)) = listener.accept() {
                counting.fetch_add(1, Ordering::SeqCst);
                let piece =
                    |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                let head = STREAM.replace("connection: close", "transfer-encoding: chunked");
                let end = [chunk("one", Some("stop")), DONE.to_vec()].concat();
                let answer = [head.as_bytes(), &piece(&end), &piece(&more), b"0\r\n\r\n"].concat();
                let answer = move || -> std::io::Result<()> {
                    while read_request(&mut connection)? {
                        connection.write_all(&answer)?;
                    }
                    Ok(())
                };
                thread::spawn(answer);
            }
        });
        let world = World::with(TestDatabase::sqlite(), &base_url, |installation| {
            installation.set("TOLLGATE_WORKERS", "1")
        });
        for number in 1..=2 {
            let answer = world.chat(&request("custom/any", true));
            let text = String::from_utf8(answer.body).unwrap();
            assert!(
                answer.status == 200 && text.ends_with("data: [DONE]\n\n"),
                "{text:.300}"
            );
            assert_eq!(connections.load(Ordering::SeqCst), number);
        }
        assert!(world.ledger(2).into_values().all(|row| row.outcome == "ok"));
    }
}

/// Forty headers of a client, among them some that would strip or replace ours.
#[test]
fn a_provider_gets_the_headers_of_the_list_and_no_others() {
    let vendor = Vendor::start(|_| {
        Play::json(200, completion())
            .header("set-cookie", "a=b")
            .header("connection", "x-request-id")
            .header("x-request-id", "theirs")
    });
    let (evil, reached) = trap();
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        // Nor does the environment say where requests go.
        [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ]
        .into_iter()
        .fold(installation, |installation, name| installation.set(name, &evil))
    });
    let authorization = format!("Bearer {}", world.key);
    let many: Vec<String> = (0..20).map(|number| format!("x-client-{number}")).collect();
    let mut headers = vec![
        ("authorization", authorization.as_str()),
        ("content-type", "application/json; charset=utf-8"),
        ("openai-beta", "assistants=v2"),
        ("connection", "authorization, x-api-key, content-type"),
        ("te", "trailers"),
        ("trailer", "authorization"),
        ("keep-alive", "timeout=1"),
        ("proxy-authorization", "Basic eA=="),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("cookie", "session=1"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=1.1.1.1"),
        ("x-real-ip", "1.1.1.1"),
        ("x-portkey-custom-host", evil.as_str()),
        ("x-upstream", evil.as_str()),
        ("x-api-base", evil.as_str()),
        ("x-original-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("accept-encoding", "gzip"),
        ("accept", "text/html"),
        ("user-agent", "curl"),
        ("origin", "https://evil"),
        ("referer", "https://evil"),
        ("range", "bytes=0-1"),
        ("if-match", "x"),
        ("openai-organization", "org"),
        ("openai-project", "proj"),
        ("x-request-id", "mine"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    headers.extend(many.iter().map(|name| (name.as_str(), "1")));
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let answer = client::open("POST", &endpoint, &headers, &request("custom/any", false)).finish();
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert!(answer.headers.get("set-cookie").is_none() && answer.header("x-request-id") != "theirs");
    let seen = vendor.last();
    let mut names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let golden = [
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "openai-beta",
        "user-agent",
        "x-request-id",
    ];
    assert_eq!(names, golden);
    let value = |name: &str| {
        seen.headers
            .iter()
            .find(|(known, _)| known == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(
        value("authorization"),
        format!("Bearer {}", crate::world::VENDOR_SECRET)
    );
    assert_eq!(
        (value("accept-encoding").as_str(), value("content-type").as_str()),
        ("identity", "application/json")
    );
    assert!(value("x-request-id").starts_with(answer.header("x-request-id")));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// What clients name to go elsewhere is refused; what they name to be fetched is the provider's to fetch.
#[test]
fn a_client_does_not_say_where_the_gateway_connects_to() {
    let vendor = Vendor::start(|_| Play::json(302, "{}").header("location", "http://127.0.0.1:9/"));
    let (evil, reached) = trap();
    let redirecting = evil.clone();
    let elsewhere = Vendor::start(move |_| Play::json(307, "{}").header("location", &redirecting));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    for name in [
        "api_base",
        "base_url",
        "api_key",
        "api_version",
        "custom_llm_provider",
        "extra_headers",
        "headers",
        "proxy",
        "organization",
    ] {
        let body = format!(r#"{{"model":"custom/m","messages":[],"{name}":"{evil}"}}"#);
        let answer = world.chat(body.as_bytes());
        assert_eq!(
            (answer.status, answer.json()["error"]["param"].as_str()),
            (400, Some(name))
        );
    }
    assert!(vendor.seen().is_empty());
    for url in [
        evil.as_str(),
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
    ] {
        let body = format!(
            r#"{{"model":"custom/m","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"{url}"}}}}]}}]}}"#
        );
        assert_eq!(world.chat(body.as_bytes()).status, 502);
        assert_eq!(
            String::from_utf8(vendor.last().body).unwrap(),
            body.replace("custom/m", "m")
        );
    }
    let redirected = World::new(TestDatabase::sqlite(), &elsewhere);
    let answer = redirected.chat(&request("custom/any", false));
    assert_eq!((answer.status, answer.header("location")), (502, ""));
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn no_text_of_a_client_makes_a_line_of_the_log() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_LOG_FORMAT", "json")
            .set("TOLLGATE_LOG", "debug")
    });
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let long = "x".repeat(20_000);
    let hostile = [
        r#"\n{\"level\":\"ERROR\",\"message\":\"forged\"}"#,
        r"\u001b[31mred",
        "%0a%0dforged",
        long.as_str(),
    ];
    for text in hostile {
        let headers = [
            ("api-key", world.key.as_str()),
            ("content-type", "application/json"),
            ("user-agent", text),
        ];
        for member in ["model", "user"] {
            let mut body = request("custom/any", false);
            body.pop();
            let body = [body, format!(r#","{member}":"{text}"}}"#).into_bytes()].concat();
            client::open("POST", &endpoint, &headers, &body).finish();
        }
        let path = world
            .serving
            .endpoint(&format!("/v1/models/{}", text.get(..40).unwrap_or("%0a")));
        let path = path.replace(['"', '{', '}', '\\', '['], "%22");
        client::open("GET", &path, &headers, b"").finish();
    }
    world.ledger(hostile.len());
    for line in world.serving.log().lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line:.200}"));
        assert_ne!(value["message"], "forged");
        assert!(line.len() < 4_096, "{} bytes: {line:.200}", line.len());
    }
}
