//! Embeddings: as they came where form and provider are of one vendor, else translated; metered either way.

use serde_json::{Value, json};
use store::AttemptUsage;
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
    lossy: &'static str,
    /// Where the provider tells it; else it is guessed.
    input_tokens: Option<i64>,
}

const OPENAIS: &str = r#"{"object":"list", "data":[{"object":"embedding","index":0,"embedding":[0.5,-1.0]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
const GEMINIS: &str = r#"{"embeddings": [{"values":[3.0,4.0]},{"values":[0.0,2.0]}]}"#;
const GEMINIS_ONE: &str = r#"{"embedding": {"values":[3.0,4.0]},"usageMetadata":{"promptTokenCount":5}}"#;

const CASES: [Case; 6] = [
    Case {
        path: "/v1/embeddings",
        body: r#"{"input":[ [1,2],[3] ],"model":"custom/e", "new":1}"#,
        asked: Asked::Passed(
            "/v1/embeddings",
            r#"{"input":[ [1,2],[3] ],"model":"e", "new":1}"#,
        ),
        answer: OPENAIS,
        lossy: "",
        input_tokens: Some(7),
    },
    Case {
        path: "/v1/embeddings",
        body: r#"{"input":["a","b"],"model":"gemini/e","user":"u"}"#,
        asked: Asked::Translated(
            "/v1/models/e:batchEmbedContents",
            r#"{"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]}},{"model":"models/e","content":{"parts":[{"text":"b"}]}}]}"#,
        ),
        answer: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3.0,4.0]},{"object":"embedding","index":1,"embedding":[0.0,2.0]}],"model":"gemini/e","usage":{"prompt_tokens":0,"total_tokens":0}}"#,
        lossy: "user",
        input_tokens: None,
    },
    // Shortened, and so made of length one; as base64.
    Case {
        path: "/v1/embeddings",
        body: r#"{"input":["a","b"],"model":"gemini/e","dimensions":2,"encoding_format":"base64"}"#,
        asked: Asked::Translated(
            "/v1/models/e:batchEmbedContents",
            r#"{"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]},"outputDimensionality":2},{"model":"models/e","content":{"parts":[{"text":"b"}]},"outputDimensionality":2}]}"#,
        ),
        answer: r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":"mpkZP83MTD8="},{"object":"embedding","index":1,"embedding":"AAAAAAAAgD8="}],"model":"gemini/e","usage":{"prompt_tokens":0,"total_tokens":0}}"#,
        lossy: "",
        input_tokens: None,
    },
    Case {
        path: "/v1beta/models/gemini%2Fe:embedContent",
        body: r#"{"content":{"parts":[ {"text":"a"} ]}, "new":1}"#,
        asked: Asked::Passed(
            "/v1/models/e:embedContent",
            r#"{"content":{"parts":[ {"text":"a"} ]}, "new":1}"#,
        ),
        answer: GEMINIS_ONE,
        lossy: "",
        input_tokens: Some(5),
    },
    // The model of the path is the one that the key may use.
    Case {
        path: "/v1/models/gemini%2Fe:batchEmbedContents",
        body: r#"{"requests":[{"model":"models/other", "content":{"parts":[{"text":"a"}]}},{"model":"models/gemini/e"}]}"#,
        asked: Asked::Passed(
            "/v1/models/e:batchEmbedContents",
            r#"{"requests":[{"model":"models/e", "content":{"parts":[{"text":"a"}]}},{"model":"models/e"}]}"#,
        ),
        answer: GEMINIS,
        lossy: "",
        input_tokens: None,
    },
    Case {
        path: "/v1beta/models/custom%2Fe:embedContent",
        body: r#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}"#,
        asked: Asked::Translated("/v1/embeddings", r#"{"model":"e","input":["a"]}"#),
        answer: r#"{"embedding":{"values":[0.5,-1.0]},"usageMetadata":{"promptTokenCount":7}}"#,
        lossy: "taskType",
        input_tokens: Some(7),
    },
];

#[test]
fn embeddings_pass_or_are_translated_and_are_metered() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(scripted);
        let world = World::of_all(database, &vendor);
        let mut calls = Vec::new();
        for case in &CASES {
            let before = vendor.seen().len();
            let answer = world.post(case.path, case.body);
            let name = format!("{} {}", case.path, case.body);
            assert_eq!(answer.status, 200, "{name}: {}", answer.json());
            assert_eq!(String::from_utf8_lossy(&answer.body), case.answer, "{name}");
            assert_eq!(answer.header("x-tollgate-lossy"), case.lossy, "{name}");
            case.asked.check(&vendor.seen().split_off(before), &name);
            let guess = i64::try_from(case.body.len().div_ceil(4)).unwrap();
            calls.push((
                answer.header("x-request-id").to_owned(),
                case.input_tokens.unwrap_or(guess),
            ));
        }
        let ledger = world.ledger(calls.len());
        for (call_id, input_tokens) in calls {
            let usage = AttemptUsage {
                input_tokens,
                ..AttemptUsage::default()
            };
            assert_eq!(ledger[&call_id].usage, Some(usage));
            let line = world.serving.logged(&call_id);
            assert!(line.contains("embeddings") && !line.contains("chat"), "{line}");
        }
    }
}

#[test]
fn embeddings_that_cannot_be_had_are_refused() {
    let vendor = Vendor::start(|seen| {
        if String::from_utf8_lossy(&seen.body).contains("too many") {
            return Play::json(200, GEMINIS);
        }
        Play::json(
            400,
            r#"{"error":{"code":400,"message":"no such dimension","status":"INVALID_ARGUMENT"}}"#,
        )
    });
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let embed = |model: &str, input: Value| {
        let body = json!({"model": model, "input": input}).to_string();
        let answer = world.post("/v1/embeddings", &body);
        (answer.status, answer.json()["error"]["code"].clone())
    };
    for (model, input, status, code) in [
        // A text as numbers means nothing to another vendor's model.
        ("gemini/e", json!([1, 2]), 400, json!("cannot_translate")),
        ("anthropic/e", json!("a"), 400, json!("unsupported_dialect")),
        ("echo-1", json!("a"), 400, json!("unsupported_dialect")),
        ("gemini/e", json!([]), 400, json!("invalid_value")),
        ("nowhere/e", json!("a"), 404, json!("model_not_found")),
    ] {
        assert_eq!(embed(model, input.clone()), (status, code), "{model} {input}");
    }
    assert!(vendor.seen().is_empty());
    assert_eq!(
        world.post("/v1/embeddings", r#"{"model":"custom/e"}"#).status,
        400
    );
    // A vector too many would give every text after it another's.
    assert_eq!(
        embed("gemini/e", json!("too many")),
        (502, json!("provider_bad_answer"))
    );
    let body = r#"{"model":"gemini/e","input":"a"}"#;
    let told = world.post("/v1/embeddings", body);
    assert_eq!(
        (told.status, &told.json()["error"]["message"]),
        (400, &json!("no such dimension"))
    );
}

fn scripted(seen: &Seen) -> Play {
    let body = match seen.path.rsplit(['/', ':']).next() {
        Some("embeddings") => OPENAIS,
        Some("embedContent") => GEMINIS_ONE,
        _ => GEMINIS,
    };
    Play::json(200, body)
}
