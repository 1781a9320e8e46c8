//! What is odd but clear: it may be read in one way only, and is read so, or refused.

use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use super::{CHAT, LIVE, exchange, statuses, with, world};
use crate::world::{World, completion};

/// What may be read in one way only is read so, or refused.
#[test]
fn heads_that_are_odd_but_clear_get_one_answer() {
    let (world, vendor) = world();
    let ended = |head: &str| head.replace("\r\n", "\n") + "connection: close\n\n";
    assert!(
        matches!(
            statuses(&exchange(&world, ended(LIVE).as_bytes()))[..],
            [200 | 400]
        ),
        "18 bare LF"
    );
    let path = b"GET /\xff\xfe HTTP/1.1\r\nhost: gateway\r\n\r\n";
    assert_eq!(statuses(&exchange(&world, path)), [400], "26 bytes in the path");
    // One length told twice is one length (RFC 9112, section 6.3): the HTTP library takes the second for said already.
    let body = r#"{"model":"custom/m","messages":[]}"#;
    let twice = format!("content-length: {}\r\n", body.len()).repeat(2);
    let good = format!(
        "{CHAT}api-key: {}\r\n{twice}connection: close\r\n\r\n{body}",
        world.key
    );
    assert_eq!(statuses(&exchange(&world, good.as_bytes())), [200], "4");
    // What comes behind the chunks is for nobody.
    let chunks = format!("{:x}\r\n{body}\r\n0\r\nx-evil: trailer\r\n\r\n", body.len());
    let trailing = format!(
        "{CHAT}api-key: {}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunks}",
        world.key
    );
    assert_eq!(
        statuses(&exchange(&world, trailing.as_bytes())),
        [200],
        "16 trailers"
    );
    let sent = vendor.last();
    assert_eq!(
        String::from_utf8(sent.body).unwrap(),
        body.replace("custom/m", "m")
    );
    assert!(
        !sent
            .headers
            .iter()
            .any(|(name, _)| name.contains("evil") || name == "trailer")
    );
    // An upgrade is not heard: what follows is a request of its own, with a key of its own.
    let upgrade = format!("{LIVE}upgrade: foo\r\nconnection: upgrade\r\n\r\n");
    let behind = "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    let answers = exchange(&world, format!("{upgrade}{behind}").as_bytes());
    assert_eq!(statuses(&answers), [200, 401], "23 {answers}");
}

#[test]
fn requests_sent_ahead_are_answered_in_their_order() {
    let (world, _vendor) = world();
    let mut bytes = format!("{LIVE}\r\n").repeat(999);
    bytes.push_str("GET /none HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n");
    let mut expected = vec![200; 999];
    expected.push(404);
    assert_eq!(statuses(&exchange(&world, bytes.as_bytes())), expected);
}

/// A second request that hides behind the first one's framing is not answered.
#[test]
fn a_request_in_the_shadow_of_another_is_not_served() {
    let (world, vendor) = world();
    let body = r#"{"model":"custom/m","messages":[]}"#;
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (row, lengths) in [
        (1, "content-length: 4\r\ntransfer-encoding: chunked"),
        (2, "transfer-encoding: chunked\r\ncontent-length: 4"),
    ] {
        let asked = vendor.seen().len();
        let bytes = format!(
            "{CHAT}api-key: {}\r\n{lengths}\r\n\r\n{chunks}{LIVE}\r\n",
            world.key
        );
        let answers = exchange(&world, bytes.as_bytes());
        let statuses = statuses(&answers);
        assert!(
            statuses == [400] || statuses == [200],
            "{row}: {statuses:?}: {answers}"
        );
        assert_eq!(
            vendor.seen().len() - asked,
            usize::from(statuses == [200]),
            "{row}"
        );
    }
}

#[test]
fn paths_are_taken_as_they_are() {
    let (world, _vendor) = world();
    for path in [
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/x/../v1/models",
        "/x/%2e%2e/v1/models",
        "/v1%2Fmodels",
        "/v1/models%00",
        "/v1/models;a=b",
        "/V1/MODELS",
        "/v1/models/",
        "/",
    ] {
        let bytes = format!(
            "GET {path} HTTP/1.1\r\nhost: gateway\r\napi-key: {}\r\nconnection: close\r\n\r\n",
            world.key
        );
        assert_eq!(statuses(&exchange(&world, bytes.as_bytes())), [404], "{path}");
    }
}

/// What a database cannot hold is in texts for the model alone, and those are kept nowhere.
#[test]
fn nul_in_a_text_for_the_model_passes_and_is_booked() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(|_| Play::json(200, completion()));
        let world = World::new(database, &vendor);
        let content = "\\u0000 and \u{202e}\u{200b}";
        let body = with("\"x\":0").replace("[]", &format!(r#"[{{"role":"user","content":"{content}"}}]"#));
        assert_eq!(world.chat(body.as_bytes()).status, 200, "55, 56");
        let sent = String::from_utf8(vendor.last().body).unwrap();
        assert_eq!(sent, body.replace("custom/m", "m"));
        let rows = world.ledger(1);
        assert_eq!(rows.values().next().unwrap().outcome, "ok");
    }
}
