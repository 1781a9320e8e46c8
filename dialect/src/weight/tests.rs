use proptest::prelude::*;

use super::*;
use crate::codec::InPath;
use crate::json::Limits;
use crate::spec::recorded;

fn of(dialect: Dialect, body: &str) -> Weight {
    let in_path = InPath {
        model: "m",
        ..InPath::default()
    };
    dialect
        .look(body.as_bytes(), in_path, &Limits::default())
        .unwrap();
    weigh(dialect, body.as_bytes())
}

/// Its images, and how many bytes of it count as none of text.
fn images(dialect: Dialect, body: &str) -> (u64, u64) {
    let weight = of(dialect, body);
    assert!(!weight.open_ended, "{body}");
    (weight.images, body.len() as u64 - weight.text_bytes)
}

#[test]
fn a_picture_counts_as_one_and_not_by_its_bytes() {
    let data = "A".repeat(1_000);
    let url = format!("data:image/png;base64,{data}");
    let chat = |part: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
    let table = [
        (Dialect::OpenaiChat, chat(&format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"high"}}}}"#)), 1_024),
        (Dialect::OpenaiChat, chat(r#"{"type":"image_url","image_url":{"url":"https://x.example/a.png"}}"#), 0),
        (
            Dialect::OpenaiResponses,
            format!(r#"{{"model":"m","input":[{{"role":"user","content":[{{"type":"input_image","image_url":"{url}"}}]}}]}}"#),
            1_024,
        ),
        (
            Dialect::OpenaiResponses,
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","file_id":"f","image_url":null}]}]}"#.to_owned(),
            0,
        ),
        (
            Dialect::OpenaiResponses,
            format!(r#"{{"model":"m","input":[{{"type":"computer_call_output","call_id":"c","output":{{"type":"computer_screenshot","image_url":"{url}"}}}}]}}"#),
            1_024,
        ),
        (
            Dialect::OpenaiResponses,
            format!(r#"{{"model":"m","input":[{{"type":"image_generation_call","id":"i","result":"{data}"}}]}}"#),
            1_002,
        ),
        (
            Dialect::AnthropicMessages,
            format!(
                r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":[
                    {{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}]}}"#
            ),
            1_002,
        ),
        (
            Dialect::AnthropicMessages,
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://x.example"}}]}]}"#.to_owned(),
            0,
        ),
        (
            Dialect::GeminiGenerate,
            format!(r#"{{"contents":[{{"parts":[{{"inlineData":{{"mimeType":"image/png","data":"{data}"}}}}]}}]}}"#),
            1_002,
        ),
        (
            Dialect::GeminiGenerate,
            format!(r#"{{"contents":{{"parts":{{"functionResponse":{{"name":"f","response":{{}},"parts":[{{"inline_data":{{"mime_type":"image/png","data":"{data}"}}}}]}}}}}}}}"#)
                .replace(r#""contents":{"parts""#, r#""contents":[{"parts""#)
                .replace("}}}}", "}}}]}"),
            1_002,
        ),
        (
            Dialect::GeminiGenerate,
            r#"{"contents":[{"parts":[{"fileData":{"mimeType":"image/jpeg","fileUri":"files/x"}}]}]}"#.to_owned(),
            0,
        ),
    ];
    for (dialect, body, bytes) in table {
        assert_eq!(images(dialect, &body), (1, bytes), "{body}");
    }
}

#[test]
fn text_counts_by_its_bytes_wherever_it_pretends_to_be_a_picture() {
    let url = format!("data:image/png;base64,{}", "A".repeat(1_000));
    for body in [
        format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"n","input":{{"image_url":"{url}"}}}}]}}]}}"#
        ),
        format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"text","text":"{url}"}}]}}]}}"#
        ),
        format!(
            r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{{"type":"document","source":{{"type":"text","media_type":"image/png","data":"{url}"}}}}]}}]}}"#
        ),
    ] {
        assert_eq!(images(Dialect::AnthropicMessages, &body), (0, 0), "{body}");
    }
}

#[test]
fn what_does_not_show_has_no_bound_of_its_own() {
    use Dialect::{AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};
    let chat = |part: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
    let claude = |part: &str| {
        format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{part}]}}]}}"#)
    };
    let gemini = |part: &str| format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#);
    let responses =
        |rest: &str| format!(r#"{{"model":"m","input":[{{"role":"user","content":"x"}}],{rest}}}"#);
    let table = [
        (
            OpenaiChat,
            chat(r#"{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}"#),
        ),
        (OpenaiChat, chat(r#"{"type":"file","file":{"file_id":"f"}}"#)),
        (
            OpenaiChat,
            chat(r#"{"type":"image_url","image_url":{"url":"data:application/pdf;base64,AA"}}"#),
        ),
        (OpenaiChat, chat(r#"{"type":"file","fil\u0065":{"file_id":"f"}}"#)),
        (
            OpenaiChat,
            r#"{"model":"m","messages":[{"role":"assistant","audio":{"id":"a"}}]}"#.to_owned(),
        ),
        (OpenaiResponses, responses(r#""previous_response_id":"r""#)),
        (OpenaiResponses, responses(r#""conversation":"c""#)),
        (
            OpenaiResponses,
            responses(r#""tools":[{"type":"function","name":"f"},{"type":"web_search"}]"#),
        ),
        (
            OpenaiResponses,
            r#"{"model":"m","input":[{"type":"item_reference","id":"i"}]}"#.to_owned(),
        ),
        (
            OpenaiResponses,
            r#"{"model":"m","pr\u006fmpt":{"id":"p"}}"#.to_owned(),
        ),
        (
            AnthropicMessages,
            claude(
                r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AA"}}"#,
            ),
        ),
        (
            AnthropicMessages,
            claude(r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#),
        ),
        (
            AnthropicMessages,
            claude(r#"{"type":"container_upload","file_id":"f"}"#),
        ),
        (
            GeminiGenerate,
            gemini(r#"{"inlineData":{"mimeType":"application/pdf","data":"AA"}}"#),
        ),
        (
            GeminiGenerate,
            gemini(r#"{"fileData":{"fileUri":"https://x.example/film"}}"#),
        ),
        (
            GeminiGenerate,
            r#"{"contents":[],"cachedContent":"c"}"#.to_owned(),
        ),
        (
            GeminiGenerate,
            r#"{"contents":[],"tools":[{"googleSearch":{}}]}"#.to_owned(),
        ),
    ];
    for (dialect, body) in table {
        assert_eq!(of(dialect, &body).tokens_at_most(9), None, "{body}");
    }
    let nested = format!("{}{}", "[".repeat(40), "]".repeat(40));
    assert!(of(OpenaiChat, &chat(&nested)).open_ended);
}

#[test]
fn tools_of_the_clients_own_show_all_they_are() {
    let tools = r#"[{"type":"bash_20250124","name":"bash"},{"name":"f","input_schema":{"type":"object"}}]"#;
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[],"tools":{tools}}}"#);
    let weight = of(Dialect::AnthropicMessages, &body);
    assert!(!weight.open_ended && weight.explained == 1);
    assert_eq!(
        weight.text_bytes,
        (body.len() + tools.len()) as u64 + VENDORS_TOOL_BYTES
    );
    let declared = r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f"}],"googleSearch":null}]}"#;
    assert!(!of(Dialect::GeminiGenerate, declared).open_ended);
}

#[test]
fn a_form_for_the_answer_is_explained_to_the_model() {
    let explained = |dialect, body: &str| of(dialect, body).explained;
    let chat = r#"{"model":"m","messages":[],"response_format":{"type":"json_schema","json_schema":{}}}"#;
    let responses = r#"{"model":"m","text":{"format":{"type":"json_schema"}},"tools":[]}"#;
    let gemini = r#"{"contents":[],"generationConfig":{"responseSchema":{}}}"#;
    assert_eq!(explained(Dialect::OpenaiChat, chat), 1);
    assert_eq!(explained(Dialect::OpenaiResponses, responses), 2);
    assert_eq!(explained(Dialect::GeminiGenerate, gemini), 1);
    let plain = r#"{"model":"m","messages":[],"response_format":{"type":"text"}}"#;
    assert_eq!(explained(Dialect::OpenaiChat, plain), 0);
}

#[test]
fn the_tier_that_is_asked_for_shows() {
    let tier = |body: &str| of(Dialect::OpenaiResponses, body).tier;
    assert_eq!(
        tier(r#"{"model":"m","service_tier":"flex"}"#).as_deref(),
        Some("flex")
    );
    assert_eq!(tier(r#"{"model":"m","service_tier":null}"#), None);
    assert_eq!(
        tier(r#"{"model":"m","service_tier":"auto","speed":"fast"}"#).as_deref(),
        Some("fast")
    );
    assert_eq!(
        tier(r#"{"model":"m","speed":"fast","service_tier":"auto"}"#).as_deref(),
        Some("fast")
    );
}

/// What vendors have counted of recorded requests is no more than what is said of them here.
#[test]
fn no_recorded_request_was_more_than_its_bound() {
    let dialects = [
        (Dialect::OpenaiChat, "openai-chat"),
        (Dialect::OpenaiResponses, "openai-responses"),
        (Dialect::AnthropicMessages, "anthropic"),
        (Dialect::GeminiGenerate, "gemini"),
    ];
    for (dialect, folder) in dialects {
        let answers = recorded(folder, ".response.json");
        let (mut held, mut over) = (0, Vec::new());
        for (name, request) in recorded(folder, ".request.json") {
            let answer = name.replace(".request.json", ".response.json");
            let Some((_, answer)) = answers.iter().find(|(name, _)| *name == answer) else {
                continue;
            };
            let usage = dialect.usage_of(answer).ok().flatten();
            let bound = weigh(dialect, &request).tokens_at_most(16_384);
            if let (Some(usage), Some(bound)) = (usage, bound) {
                held += 1;
                // The long prompt of these was cut out before they were published.
                let is_cut = name.contains("bedrock-prompt-cache");
                if usage.input_tokens > bound && !is_cut {
                    over.push((name, usage.input_tokens, bound));
                }
            }
        }
        assert!(over.is_empty(), "{folder}: {over:?}");
        assert!(answers.is_empty() || held > 20, "{folder}: {held}");
        println!("{folder}: {held}");
    }
}

proptest! {
    /// Whatever stands in a request, what is said of it is said in time linear to its length, and no text is left out that a
    /// model could read.
    #[test]
    fn whatever_is_in_a_message_counts_by_its_bytes(text in "\\PC{0,200}") {
        let written = serde_json::to_string(&text).unwrap();
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{written}}}]}}"#);
        let weight = weigh(Dialect::OpenaiChat, body.as_bytes());
        prop_assert!(weight.text_bytes as usize >= text.len());
        prop_assert!(!weight.open_ended);
    }
}
