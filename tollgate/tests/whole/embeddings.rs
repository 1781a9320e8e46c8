//! Embeddings: as they came where form and provider are of one vendor, else translated; metered either way.

use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use store::AttemptUsage;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Seen, Vendor};

use crate::faces::Asked;
use crate::world::{TENANT, World};

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

/// What Vertex AI's models are asked, and answer; each at the path of the service account's project.
#[test]
fn vectors_of_vertex_ai_are_had_in_both_forms_and_metered() {
    const ONE: &str = r#"{"embedding":{"values":[3.0,4.0]},"usageMetadata":{"promptTokenCount":5}}"#;
    const MANY: &str = r#"{"embeddings":[{"values":[3.0,4.0],"statistics":{"tokenCount":2}},{"values":[0.0,2.0],"statistics":{"tokenCount":4}}]}"#;
    const PREDICTED: &str = r#"{"predictions":[{"embeddings":{"values":[3.0,4.0],"statistics":{"token_count":7,"truncated":false}}}]}"#;
    let vendor = Vendor::start(|seen| {
        let body = match seen.path.rsplit(['/', ':']).next() {
            Some("token") => r#"{"access_token":"token-1","expires_in":3600,"token_type":"Bearer"}"#,
            Some("embedContent") => ONE,
            Some("batchEmbedContents") => MANY,
            _ => PREDICTED,
        };
        Play::json(200, body)
    });
    let world = World::of(TestDatabase::sqlite(), &[], |installation| {
        installation.set("TOLLGATE_SERVICE_ACCOUNT_ANY_TOKEN_URI", "true")
    });
    let root = vendor.base_url().replace("/v1", "");
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let file = json!({"type": "service_account", "project_id": "my-project", "client_email": "me@project.example",
        "private_key": key.serialize_pem(), "private_key_id": "kid-1", "token_uri": format!("{root}/token")});
    let add = [
        "credential",
        "add",
        "--tenant",
        TENANT,
        "--provider",
        "vertex",
        "--base-url",
        &root,
    ];
    world.installation.ask_with(&add, &file.to_string());
    let models = "/v1/projects/my-project/locations/global/publishers/google/models";
    let cases = [
        (
            "/v1/embeddings",
            r#"{"input":"a","model":"vertex/gemini-embedding-2","dimensions":2}"#,
            "gemini-embedding-2:embedContent",
            r#"{"content":{"parts":[{"text":"a"}]},"embedContentConfig":{"outputDimensionality":2}}"#,
            5,
        ),
        (
            "/v1/embeddings",
            r#"{"input":["a","b"],"model":"vertex/gemini-embedding-2"}"#,
            "gemini-embedding-2:batchEmbedContents",
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
            6,
        ),
        (
            "/v1/embeddings",
            r#"{"input":["a"],"model":"vertex/text-embedding-005"}"#,
            "text-embedding-005:predict",
            r#"{"instances":[{"content":"a"}]}"#,
            7,
        ),
        (
            "/v1beta/models/vertex%2Fgemini-embedding-2:embedContent",
            r#"{"content":{"parts":[ {"text":"a"} ]}, "new":1}"#,
            "gemini-embedding-2:embedContent",
            r#"{"content":{"parts":[ {"text":"a"} ]}, "new":1}"#,
            5,
        ),
        (
            "/v1beta/models/vertex%2Ftext-embedding-005:embedContent",
            r#"{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}"#,
            "text-embedding-005:predict",
            r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY"}]}"#,
            7,
        ),
    ];
    let mut calls = Vec::new();
    for (path, body, asked, sent, tokens) in cases {
        let answer = world.post(path, body);
        assert_eq!(answer.status, 200, "{body}: {}", answer.json());
        let seen = vendor.last();
        assert_eq!(seen.path, format!("{models}/{asked}"), "{body}");
        let bearer = seen.headers.iter().find(|(name, _)| name == "authorization");
        assert_eq!(bearer.map(|(_, value)| value.as_str()), Some("Bearer token-1"));
        assert_eq!(
            serde_json::from_slice::<Value>(&seen.body).unwrap(),
            serde_json::from_str::<Value>(sent).unwrap(),
            "{body}"
        );
        let answered = answer.json();
        let first = match path {
            "/v1/embeddings" => &answered["data"][0]["embedding"],
            _ => &answered["embedding"]["values"],
        };
        assert_eq!(first.as_array().unwrap().len(), 2, "{answered}");
        calls.push((answer.header("x-request-id").to_owned(), tokens));
    }
    let ledger = world.ledger(calls.len());
    for (call_id, tokens) in calls {
        let row = &ledger[&call_id];
        assert_eq!(row.usage_source, "provider");
        assert_eq!(row.usage.unwrap().input_tokens, tokens);
    }
    // Tokens of OpenAI's mean nothing to it, and nobody was asked.
    let tokens = world.post(
        "/v1/embeddings",
        r#"{"input":[1,2],"model":"vertex/text-embedding-005"}"#,
    );
    assert_eq!(
        (tokens.status, &tokens.json()["error"]["param"]),
        (400, &json!("input"))
    );
}
