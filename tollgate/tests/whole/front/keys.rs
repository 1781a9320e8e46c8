//! Keys that are none, and what else a client says about itself: part B of what may come in.

use serde_json::Value;
use testkit::client;

use super::{exchange, statuses, world};

#[test]
fn keys_that_are_none_are_refused_alike() {
    let (world, _vendor) = world();
    let ask = |headers: &str| {
        let head = format!("GET /v1/models HTTP/1.1\r\nhost: gateway\r\n{headers}connection: close\r\n\r\n");
        exchange(&world, head.as_bytes())
    };
    let long = "k".repeat(20_000);
    for value in [
        "",
        "Bearer",
        "Bearer  ",
        "Basic x",
        "Bearer ключ",
        "Bearer a\tb",
        long.as_str(),
    ] {
        let answer = ask(&format!("authorization: {value}\r\n"));
        assert_eq!(statuses(&answer), [401], "{value:.20}");
        assert!(answer.contains("www-authenticate: Bearer\r\n"), "{answer}");
    }
    let none = ask("");
    assert_eq!(statuses(&none), [401], "35 no key");
    assert!(none.contains("www-authenticate: Bearer\r\n"), "{none}");
    let key = &world.key;
    let (good, other) = (
        format!("authorization: Bearer {key}\r\n"),
        "authorization: Bearer other\r\n",
    );
    for (name, headers, status) in [
        ("36 two", format!("{good}{other}"), 400),
        ("36 two, in the other order", format!("{other}{good}"), 400),
        ("36 one that is empty", format!("{good}authorization: \r\n"), 400),
        ("36 one more header", format!("{good}x-api-key: other\r\n"), 400),
        (
            "36 the same twice",
            format!("{good}{good}api-key: {key}\r\n"),
            200,
        ),
        (
            "38 one of 64 KiB",
            format!("authorization: Bearer {}\r\n", "k".repeat(64 << 10)),
            431,
        ),
    ] {
        let answer = ask(&headers);
        assert_eq!(statuses(&answer), [status], "{name}");
        assert_eq!(
            answer.contains("ambiguous_credentials"),
            status == 400,
            "{name}: {answer}"
        );
    }
}

/// A key in a query is one only where that is how a dialect shows it, and no query is ever logged, or passed on.
#[test]
fn a_key_in_a_query_is_heard_in_one_dialect_alone() {
    let (world, vendor) = world();
    let models = world.serving.endpoint("/v1/models");
    let in_query = format!("{models}?api_key={0}&key={0}", world.key);
    assert_eq!(client::open("GET", &in_query, &[], b"").finish().status, 401);
    let json = [("content-type", "application/json")];
    let generate = world.serving.endpoint("/v1beta/models/custom/m:generateContent");
    let body = br#"{"contents":[{"role":"user","parts":[{"text":"one"}]}]}"#;
    let ask = |query: &str| client::open("POST", &format!("{generate}?{query}"), &json, body).finish();
    assert_eq!(ask(&format!("api_key={}", world.key)).status, 401, "40");
    let answer = ask(&format!("alt=json&key={}", world.key));
    assert_eq!(answer.status, 200, "40 Gemini's own way: {}", answer.json());
    let sent = vendor.last();
    assert!(!format!("{sent:?}").contains(&world.key), "{sent:?}");
    let call_id = answer.header("x-request-id").to_ascii_uppercase();
    world.serving.logged(&call_id);
    assert!(!world.serving.log().contains(&world.key), "a query is not logged");
}

/// Who calls is said by the key alone.
#[test]
fn what_a_client_says_of_itself_is_not_heard() {
    let (world, vendor) = world();
    let others = [
        "x-tenant-id",
        "openai-organization",
        "x-user-id",
        "x-forwarded-user",
    ];
    let said = others.map(|name| (name, "other"));
    let json = ("content-type", "application/json");
    let headers = [&[("api-key", world.key.as_str()), json][..], &said].concat();
    let url = world.serving.endpoint("/v1/chat/completions");
    let body = br#"{"model":"custom/m","messages":[]}"#;
    assert_eq!(
        client::open("POST", &url, &headers, body).finish().status,
        200,
        "44"
    );
    let sent = vendor.last();
    assert!(
        !sent
            .headers
            .iter()
            .any(|(name, _)| others.contains(&name.as_str())),
        "{sent:?}"
    );
    let row = world.ledger(1).into_values().next().unwrap();
    let tenants = world.installation.ask(&["tenant", "list"]);
    let is_ours = |tenant: &Value| tenant["name"] == "acme" && tenant["id"] == *row.tenant_id;
    assert!(
        tenants.as_array().unwrap().iter().any(is_ours),
        "{row:?} of {tenants}"
    );
}
