//! The edges of the dialect: paths, envelopes, usage, errors, refusals, lists and counts.

use serde_json::{Value, json};

use super::*;
use crate::json::Limits;
use crate::neutral::{Fault, FaultKind, Finish};
use crate::refusal::{Code, Refusal};
use crate::spec::{Spec, recorded};
use crate::{LookError, Usage};

#[test]
fn a_path_names_model_and_method_however_the_model_is_spelled() {
    use Method::{BatchEmbedContents, CountTokens, GenerateContent, StreamGenerateContent};
    for (path, expected) in [
        (
            "gemini-2.5-flash:generateContent",
            Some(("gemini-2.5-flash", GenerateContent)),
        ),
        (
            "models/gemini-x:streamGenerateContent",
            Some(("gemini-x", StreamGenerateContent)),
        ),
        ("/models/gemini-x:countTokens", Some(("gemini-x", CountTokens))),
        (
            "publishers/google/models/gemini-x:batchEmbedContents",
            Some(("gemini-x", BatchEmbedContents)),
        ),
        (
            "groq/llama:8b:generateContent",
            Some(("groq/llama:8b", GenerateContent)),
        ),
        ("gemini-x:predict", None),
        ("gemini-x", None),
        (":generateContent", None),
        ("../x:generateContent", None),
        ("a%2fb:generateContent", None),
    ] {
        assert_eq!(split_path(path), expected, "{path}");
    }
    assert_eq!(bare_model("models/a"), "a");
}

#[test]
fn an_envelope_holds_what_routing_needs() {
    let looked = |body: &str| look(body.as_bytes(), "gemini-x", true, &Limits::default());
    let envelope =
        looked(r#"{"contents":[],"generationConfig":{"maxOutputTokens":"7","candidate_count":2}}"#).unwrap();
    assert_eq!(
        (
            envelope.model.as_str(),
            envelope.stream,
            envelope.choices,
            envelope.max_tokens
        ),
        ("gemini-x", true, 2, Some(7))
    );
    assert_eq!(
        looked(r#"{"contents":[],"generation_config":null}"#)
            .unwrap()
            .choices,
        1
    );
    for (body, expected) in [
        (r#"{}"#, LookError::Missing("contents")),
        (r#"{"contents":{}}"#, LookError::Invalid("contents")),
        (
            r#"{"contents":[],"base_url":"x"}"#,
            LookError::Forbidden("base_url"),
        ),
        (
            r#"{"contents":[],"generationConfig":[]}"#,
            LookError::Invalid("generationConfig"),
        ),
        (
            r#"{"contents":[],"generationConfig":{"candidateCount":0}}"#,
            LookError::Invalid("candidateCount"),
        ),
        (
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":-1}}"#,
            LookError::Invalid("maxOutputTokens"),
        ),
        // Under both of its names nobody knows which cap holds.
        (
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}}"#,
            LookError::Invalid("maxOutputTokens"),
        ),
        (
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":1},"generation_config":{"maxOutputTokens":9}}"#,
            LookError::Invalid("generationConfig"),
        ),
        (
            r#"{"contents":[],"labels":{"a":"\u0000"}}"#,
            LookError::Invalid("labels"),
        ),
    ] {
        assert_eq!(looked(body), Err(expected), "{body}");
    }
}

#[test]
fn p23_usage_has_thoughts_in_the_output_and_tools_and_cache_in_the_input() {
    let body = br#"{"usageMetadata":{"promptTokenCount":10,"toolUsePromptTokenCount":5,"cachedContentTokenCount":4,"candidatesTokenCount":3,"thoughtsTokenCount":2,"totalTokenCount":20,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":6},{"modality":4,"tokenCount":"1"},{"modality":"TEXT","tokenCount":3}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":2},{"modality":"TEXT","tokenCount":1}]}}"#;
    let expected = Usage {
        input_tokens: 15,
        cached_input_tokens: 4,
        cache_write_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: 5,
        reasoning_tokens: 2,
        audio_input_tokens: 7,
        audio_output_tokens: 0,
        image_output_tokens: 2,
        tier: None,
    };
    assert_eq!(Metered::look(body).unwrap().usage, Some(expected));
    assert_eq!(
        Metered::look(br#"{"usageMetadata":{"trafficType":"ON_DEMAND"}}"#)
            .unwrap()
            .usage,
        None
    );
    assert_eq!(Metered::look(b"[]"), None);
    // All that was recorded adds up.
    for (name, body) in recorded("gemini", ".response.json") {
        let value: Value = serde_json::from_slice(&body).unwrap();
        if let Some(usage) = Metered::look(&body).unwrap().usage {
            let total = value["usageMetadata"]["totalTokenCount"].as_u64().unwrap();
            assert_eq!(usage.input_tokens + usage.output_tokens, total, "{name}");
        }
    }
}

fn fault(status: u16, body: &Value) -> Fault {
    read_fault(status, body.to_string().as_bytes())
}

#[test]
fn p62_errors_are_of_the_right_kind_and_say_when_to_come_back() {
    let error = |code: u16, status: &str, message: &str, details: Value| json!({"error":{"code":code,"status":status,"message":message,"details":details}});
    let info = |reason: &str| json!([{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":reason}]);
    let quota = |id: &str| json!([{"violations":[{"quotaId":id}]},{"retryDelay":"34.4s"}]);
    let table = [
        (
            error(400, "INVALID_ARGUMENT", "m", json!([])),
            FaultKind::BadRequest,
            None,
        ),
        (
            error(400, "INVALID_ARGUMENT", "m", info("API_KEY_INVALID")),
            FaultKind::Auth,
            None,
        ),
        (
            error(
                400,
                "INVALID_ARGUMENT",
                "API key expired. Please renew",
                json!(null),
            ),
            FaultKind::Auth,
            None,
        ),
        (
            error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum",
                json!([]),
            ),
            FaultKind::ContextTooLong,
            None,
        ),
        (
            error(
                400,
                "INVALID_ARGUMENT",
                "Request payload size exceeds the limit",
                json!([]),
            ),
            FaultKind::TooLarge,
            None,
        ),
        (
            error(403, "PERMISSION_DENIED", "m", json!([])),
            FaultKind::Permission,
            None,
        ),
        (error(404, "NOT_FOUND", "m", json!([])), FaultKind::NotFound, None),
        (
            error(429, "RESOURCE_EXHAUSTED", "m", quota("RequestsPerMinute")),
            FaultKind::RateLimit,
            Some(34_400),
        ),
        (
            error(429, "RESOURCE_EXHAUSTED", "m", quota("RequestsPerDayPerProject")),
            FaultKind::Billing,
            None,
        ),
        (
            error(429, "RESOURCE_EXHAUSTED", "m", json!([])),
            FaultKind::RateLimit,
            None,
        ),
        (error(500, "INTERNAL", "m", json!([])), FaultKind::Internal, None),
        (
            error(503, "UNAVAILABLE", "m", json!([])),
            FaultKind::Overloaded,
            None,
        ),
        (
            error(504, "DEADLINE_EXCEEDED", "m", json!([])),
            FaultKind::Timeout,
            None,
        ),
        (
            json!([error(503, "UNAVAILABLE", "m", json!([]))]),
            FaultKind::Overloaded,
            None,
        ),
        (json!({"error":"a text"}), FaultKind::BadRequest, None),
        (
            json!({"error":{"type":"invalid_request_error","message":"m"}}),
            FaultKind::BadRequest,
            None,
        ),
    ];
    for (body, kind, retry) in table {
        let of = body["error"]["code"]
            .as_u64()
            .or(body[0]["error"]["code"].as_u64())
            .unwrap_or(400);
        let fault = fault(u16::try_from(of).unwrap(), &body);
        assert_eq!((fault.kind, fault.retry_after_ms), (kind, retry), "{body}");
        let (status, written) = write_fault(&fault);
        let again = read_fault(status, &written);
        assert_eq!((&again.message, again.retry_after_ms), (&fault.message, retry));
        if let Some(google) = Spec::google() {
            // The document has no schema of errors; the members are those of google.rpc.Status.
            let _ = google;
            let value: Value = serde_json::from_slice(&written).unwrap();
            assert_eq!(value["error"]["code"], status);
        }
    }
    for (status, body) in [
        (502, "<html>bad gateway</html>"),
        (503, ""),
        (502, "{\"detail\":1}"),
    ] {
        assert_eq!(
            read_fault(status, body.as_bytes()).kind,
            FaultKind::Overloaded,
            "{body}"
        );
    }
}

#[test]
fn recorded_errors_are_of_the_right_kind() {
    for folder in ["gemini", "gemini-count-tokens", "gemini-embeddings"] {
        for (name, body) in recorded(folder, ".response.json") {
            let value: Value = serde_json::from_slice(&body).unwrap();
            let Some(code) = value["error"]["code"].as_u64() else {
                continue;
            };
            let fault = read_fault(u16::try_from(code).unwrap(), &body);
            let expected = match (code, name.contains("api-key")) {
                (400, true) => FaultKind::Auth,
                (400, _) => FaultKind::BadRequest,
                (403, _) => FaultKind::Permission,
                (404, _) => FaultKind::NotFound,
                (429, _) => FaultKind::RateLimit,
                (503, _) => FaultKind::Overloaded,
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(fault.kind, expected, "{name}");
            let delay = value.to_string().contains("retryDelay");
            assert_eq!(fault.retry_after_ms.is_some(), delay, "{name}");
        }
    }
}

#[test]
fn a_refusal_has_googles_shape_and_our_code_as_its_reason() {
    let refusal = Refusal::new(Code::InvalidApiKey, "No such key.").retry_after(2);
    let found: Value = serde_json::from_slice(&write_refusal(&refusal)).unwrap();
    let expected = json!({"error":{"code":401,"message":"No such key.","status":"UNAUTHENTICATED","details":[
        {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"tollgate"},
        {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2s"},
    ]}});
    assert_eq!(found, expected);
    let event = write_refusal_event(&refusal);
    assert!(event.starts_with(b"data: {") && event.ends_with(b"}\r\n\r\n"));
    checker::check(&event, false).unwrap();
    let fault = read_fault(401, &write_refusal(&refusal));
    assert_eq!(fault.kind, FaultKind::Auth);
}

#[test]
fn model_lists_are_written_and_read_as_google_does() {
    let entry = ModelEntry {
        id: "gemini-x".to_owned(),
        input_tokens_max: Some(5),
        output_tokens_max: None,
        methods: vec!["generateContent".to_owned()],
    };
    let written = write_model_list(std::slice::from_ref(&entry));
    let expected = ModelPage {
        models: vec![entry.clone()],
        next_page_token: None,
    };
    assert_eq!(read_model_list(&written), Some(expected));
    if let Some(google) = Spec::google() {
        assert_eq!(
            google.problems("ListModelsResponse", &written),
            Vec::<String>::new()
        );
        assert_eq!(
            google.problems("Model", &write_model(&entry)),
            Vec::<String>::new()
        );
    }
    let page = br#"{"models":[{"name":"models/a","inputTokenLimit":"8"},{}],"nextPageToken":"n"}"#;
    let page = read_model_list(page).unwrap();
    assert_eq!((page.models.len(), page.models[0].input_tokens_max), (1, Some(8)));
    assert_eq!(page.next_page_token.as_deref(), Some("n"));
    assert_eq!(read_model_list(b"<html>"), None);
}

#[test]
fn p68_what_is_counted_is_the_whole_request() {
    let request = r#"{"generateContentRequest":{"model":"models/x","systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}}"#;
    let read = read_count_request(request.as_bytes(), "x").unwrap();
    assert_eq!(read.turns.len(), 2);
    let profile = third();
    let target = Target {
        model: "x",
        profile: &profile,
    };
    let written = write_count_request(&read, &target, &mut Losses::new(true)).unwrap();
    let found: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(found["generateContentRequest"]["model"], "models/x");
    if let Some(google) = Spec::google() {
        assert_eq!(
            google.problems("CountTokensRequest", &written.body),
            Vec::<String>::new()
        );
    }
    assert_eq!(read_count(&write_count(7)), Ok(7));
    assert!(read_count(b"{}").is_err());
    for (name, body) in recorded("gemini-count-tokens", ".response.json") {
        assert_eq!(read_count(&body).is_ok(), !name.starts_with("error"), "{name}");
    }
    for (name, body) in recorded("gemini-count-tokens", ".request.json") {
        assert!(read_count_request(&body, "x").is_ok(), "{name}");
    }
}

#[test]
fn every_word_for_the_end_has_its_meaning_and_its_way_back() {
    use super::super::words::{read_finish, write_finish};
    let blocked = [
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "IMAGE_SAFETY",
        "MODEL_ARMOR",
    ];
    for word in blocked {
        assert_eq!(read_finish(word), Finish::Blocked(Some(word.to_owned())));
    }
    for word in [
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    ] {
        assert_eq!(read_finish(word), Finish::BadToolCall(word.to_owned()));
    }
    for (number, word) in [
        ("1", "STOP"),
        ("2", "MAX_TOKENS"),
        ("3", "SAFETY"),
        ("9", "MALFORMED_FUNCTION_CALL"),
    ] {
        assert_eq!(read_finish(number), read_finish(word));
    }
    for word in blocked.into_iter().chain([
        "STOP",
        "MAX_TOKENS",
        "UNEXPECTED_TOOL_CALL",
        "OTHER",
        "A_NEW_WORD",
    ]) {
        let finish = read_finish(word);
        assert_eq!(write_finish(&finish, false), (word, None));
    }
    // Of other vendors.
    for (finish, expected) in [
        (
            Finish::Blocked(Some("content_filter".to_owned())),
            ("SAFETY", Some("content_filter")),
        ),
        (Finish::Other("new_word".to_owned()), ("OTHER", Some("new_word"))),
        (Finish::Refused(Some("no".to_owned())), ("STOP", Some("no"))),
        (Finish::ContextFull, ("MAX_TOKENS", None)),
        (Finish::ToolCall, ("STOP", None)),
    ] {
        assert_eq!(write_finish(&finish, false), expected);
    }
    assert_eq!(write_finish(&Finish::Refused(None), true).0, "SAFETY");
}

#[test]
fn a_list_says_which_models_make_vectors_and_names_those_of_a_provider() {
    use crate::Dialect;
    let list = br#"{"models":[
        {"name":"models/gemini-3-pro","supportedGenerationMethods":["generateContent","countTokens"]},
        {"name":"models/gemini-embedding-001","supportedGenerationMethods":["embedContent"]},
        {"name":"models/aqa","supportedGenerationMethods":["generateAnswer"]}]}"#;
    let entries = Dialect::GeminiGenerate.read_model_list(list, "google").unwrap();
    let told: serde_json::Value =
        serde_json::from_slice(&Dialect::GeminiGenerate.write_model_list(&entries)).unwrap();
    let methods = |at: usize| told["models"][at]["supportedGenerationMethods"].to_string();
    assert_eq!(told["models"].as_array().unwrap().len(), 2);
    assert_eq!(methods(0), r#"["generateContent","countTokens"]"#);
    assert_eq!(methods(1), r#"["embedContent"]"#);
}
