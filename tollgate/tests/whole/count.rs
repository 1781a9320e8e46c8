//! Counting tokens: asked of a provider that counts, in its own words; guessed, and marked so, where none can be asked.
//! Nobody pays for it.

use serde_json::json;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Seen, Vendor};

use crate::faces::Asked;
use crate::world::World;

/// One request, and what has to come of it.
struct Case {
    path: &'static str,
    body: &'static str,
    asked: Asked,
    answer: &'static str,
}

const MESSAGES: &str = r#"{"model":"anthropic/claude-x", "system":"be brief","messages":[{"role":"user","content":"hi"}], "new":1}"#;
const CONTENTS: &str = r#"{ "contents":[{"role":"user","parts":[{"text":"hi"}]}], "new":1}"#;
const WHOLE: &str = r#"{"generateContentRequest":{"model":"models/other","contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"be brief"}]},"generationConfig":{"topK":3}}}"#;

const CASES: [Case; 8] = [
    // As it came.
    Case {
        path: "/v1/messages/count_tokens",
        body: MESSAGES,
        asked: Asked::Passed(
            "/v1/messages/count_tokens",
            r#"{"model":"claude-x", "system":"be brief","messages":[{"role":"user","content":"hi"}], "new":1}"#,
        ),
        answer: r#"{"input_tokens":41}"#,
    },
    Case {
        path: "/v1beta/models/gemini%2Fgemini-x:countTokens",
        body: CONTENTS,
        asked: Asked::Passed("/v1/models/gemini-x:countTokens", CONTENTS),
        answer: r#"{"totalTokens": 42}"#,
    },
    // A model that the body names beside the path is not one that the key may use.
    Case {
        path: "/v1/models/gemini%2Fgemini-x:countTokens",
        body: r#"{"generateContentRequest": {"model":"models/other","contents":[]}}"#,
        asked: Asked::Passed(
            "/v1/models/gemini-x:countTokens",
            r#"{"generateContentRequest": {"model":"models/gemini-x","contents":[]}}"#,
        ),
        answer: r#"{"totalTokens": 42}"#,
    },
    // Translated.
    Case {
        path: "/v1/messages/count_tokens",
        body: r#"{"model":"gemini/gemini-x","system":"be brief","messages":[{"role":"user","content":"hi"}]}"#,
        asked: Asked::Translated(
            "/v1/models/gemini-x:countTokens",
            r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"be brief"}]}}}"#,
        ),
        answer: r#"{"input_tokens":42}"#,
    },
    Case {
        path: "/v1beta/models/anthropic%2Fclaude-x:countTokens",
        body: WHOLE,
        asked: Asked::Translated(
            "/v1/messages/count_tokens",
            r#"{"model":"claude-x","system":"be brief","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#,
        ),
        answer: r#"{"totalTokens":41}"#,
    },
    // Guessed.
    Case {
        path: "/v1/messages/count_tokens",
        body: r#"{"model":"custom/m","system":"be brief","messages":[{"role":"user","content":"hi"}]}"#,
        asked: Asked::Nobody,
        answer: r#"{"input_tokens":11}"#,
    },
    Case {
        path: "/v1beta/models/custom%2Fm:countTokens",
        body: WHOLE,
        asked: Asked::Nobody,
        answer: r#"{"totalTokens":11}"#,
    },
    Case {
        path: "/v1/messages/count_tokens",
        body: r#"{"model":"echo-1","messages":[{"role":"user","content":"hi"}]}"#,
        asked: Asked::Nobody,
        answer: r#"{"input_tokens":5}"#,
    },
];

#[test]
fn p68_tokens_are_counted_by_who_can_and_guessed_where_nobody_can() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(scripted);
        let world = World::of_all(database, &vendor);
        for case in &CASES {
            let before = vendor.seen().len();
            let answer = world.post(case.path, case.body);
            let name = format!("{} {}", case.path, case.body);
            assert_eq!(answer.status, 200, "{name}: {}", answer.json());
            assert_eq!(String::from_utf8_lossy(&answer.body), case.answer, "{name}");
            case.asked.check(&vendor.seen().split_off(before), &name);
            let is_guess = matches!(case.asked, Asked::Nobody);
            let (estimated, attempts) = if is_guess { ("true", "0") } else { ("", "1") };
            assert_eq!(answer.header("x-tollgate-estimated"), estimated, "{name}");
            assert_eq!(answer.header("x-tollgate-attempts"), attempts, "{name}");
        }
        let asked = CASES.iter().filter(|case| !matches!(case.asked, Asked::Nobody));
        let asked = asked.count();
        let ledger = world.ledger(asked);
        assert_eq!(ledger.len(), asked, "one row for each attempt");
        for row in ledger.values() {
            assert_eq!((row.outcome.as_str(), row.status, row.usage), ("ok", 200, None));
        }
    }
}

#[test]
fn what_is_wrong_with_a_count_is_told_in_the_clients_words() {
    let vendor = Vendor::start(|seen| match seen.path.as_str() {
        "/v1/messages/count_tokens" => Play::json(
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"no such model"}}"#,
        ),
        _ => Play::json(200, r#"{"tokens":[]}"#),
    });
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let told = world.post("/v1beta/models/anthropic%2Fclaude-x:countTokens", CONTENTS);
    assert_eq!(
        (told.status, &told.json()["error"]["status"]),
        (404, &json!("NOT_FOUND"))
    );
    let body = MESSAGES.replace("anthropic/claude-x", "gemini/gemini-x");
    let told = world.post("/v1/messages/count_tokens", &body);
    assert_eq!((told.status, &told.json()["type"]), (502, &json!("error")));
    for (path, body) in [
        ("/v1/messages/count_tokens", r#"{"model":"custom/m"}"#),
        ("/v1beta/models/custom%2Fm:countTokens", "{}"),
        ("/v1beta/models/custom%2Fm:countTokens", "[]"),
        (
            "/v1beta/models/gemini%2Fm:countTokens",
            r#"{"generateContentRequest":{"contents":[],"model":"a","model":"b"}}"#,
        ),
    ] {
        let asked = vendor.seen().len();
        assert_eq!(world.post(path, body).status, 400, "{path} {body}");
        assert_eq!(vendor.seen().len(), asked);
    }
}

fn scripted(seen: &Seen) -> Play {
    if seen.path == "/v1/messages/count_tokens" {
        Play::json(200, r#"{"input_tokens":41}"#)
    } else if seen.path.ends_with(":countTokens") {
        Play::json(200, r#"{"totalTokens": 42}"#)
    } else {
        Play::json(404, "{}")
    }
}
