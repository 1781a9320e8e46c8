//! How much a model thinks, and what is seen of it.

use super::*;
use crate::neutral::{ReasoningField, ThinkingStyle};

fn thought(member: &str, value: Value) -> Value {
    let mut message = json!({"role": "assistant", "content": "Yes."});
    message[member] = value;
    answer(OpenaiChat, message, "stop")
}

fn profile(reasoning: ReasoningField) -> Profile {
    Profile {
        reasoning,
        ..Profile::default()
    }
}

#[test]
fn p25_a_budget_fits_under_the_cap_and_the_cap_stays() {
    let profile = Profile {
        thinking: ThinkingStyle::Budget {
            min: 1_024,
            max: 32_000,
            can_be_off: true,
        },
        ..Profile::default()
    };
    for (cap, thinks) in [(4_000, true), (1_500, false)] {
        let body = request(
            OpenaiChat,
            json!({"reasoning_effort": "high", "max_completion_tokens": cap}),
        );
        let sent = asked_of(OpenaiChat, AnthropicMessages, &profile, &body);
        assert_eq!(sent["max_tokens"], cap);
        let budget = sent["thinking"]["budget_tokens"].as_u64();
        assert_eq!(budget.is_some(), thinks, "{sent}");
        assert!(
            budget.is_none_or(|budget| (1_024..cap).contains(&budget)),
            "{sent}"
        );
        let is_lost = !lost(OpenaiChat, AnthropicMessages, &profile, &body).is_empty();
        assert!(thinks || is_lost);
    }
}

#[test]
fn p26_a_temperature_is_not_sent_to_a_model_that_takes_none() {
    let profile = Profile {
        sampling: false,
        ..Profile::default()
    };
    let body = request(OpenaiChat, json!({"temperature": 0.5}));
    for provider in ALL {
        let sent = asked_of(OpenaiChat, provider, &profile, &body).to_string();
        assert!(!sent.contains("temperature"), "{sent}");
    }
    assert_eq!(
        lost(OpenaiChat, AnthropicMessages, &profile, &body),
        "temperature"
    );
    let sent = asked(OpenaiChat, AnthropicMessages, &body);
    assert_eq!(sent["temperature"], 0.5);
}

#[test]
fn p27_thoughts_go_back_to_the_vendor_that_wants_them_and_to_no_other() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let message =
        json!({"role": "assistant", "content": null, "reasoning_content": "Hm.", "tool_calls": [call]});
    let wants = profile(ReasoningField::ReasoningContent);
    let whole = answered_by(
        &crossing(AnthropicMessages, OpenaiChat, &wants),
        &answer(OpenaiChat, message, "tool_calls"),
    );
    let content = whole["content"].as_array().unwrap();
    let id = &content.last().unwrap()["id"];
    let result = json!({"type": "tool_result", "tool_use_id": id, "content": "seen"});
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content},
        {"role": "user", "content": [result]}]);
    let body = request(AnthropicMessages, json!({"messages": messages}));
    let sent = asked_of(AnthropicMessages, OpenaiChat, &wants, &body);
    assert_eq!(sent["messages"][1]["reasoning_content"], "Hm.");
    let sent = asked(AnthropicMessages, OpenaiChat, &body).to_string();
    assert!(
        sent.contains("seen") && !sent.contains("reasoning_content"),
        "{sent}"
    );
}

#[test]
fn p28_tags_in_the_text_are_thoughts_where_the_vendor_writes_them_so() {
    let pieces = ["<thi", "nk>Hm.</th", "ink>Yes"].map(|text| chunk(json!({"content": text}), None));
    let mut events = pieces.to_vec();
    events.push(chunk(json!({}), Some("stop")));
    let body = stream(&events);
    for (think_tags, thought, text) in [(true, "Hm.", "Yes"), (false, "", "<think>Hm.</think>Yes")] {
        let profile = Profile {
            think_tags,
            ..Profile::default()
        };
        let told = streamed_by(AnthropicMessages, OpenaiChat, &profile, &[body.as_bytes()]);
        assert_eq!(joined(&told, "/delta/thinking"), thought);
        assert_eq!(joined(&told, "/delta/text"), text);
    }
}

#[test]
fn p29_thoughts_are_found_under_each_vendors_name_for_them() {
    let details = json!([{"type": "reasoning.text", "text": "Hm.", "index": 0}]);
    let parts = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]);
    for (member, value) in [
        ("reasoning_content", json!("Hm.")),
        ("reasoning", json!("Hm.")),
        ("reasoning_details", details),
        ("content", parts),
    ] {
        let whole = answered(AnthropicMessages, OpenaiChat, &thought(member, value));
        let content = &whole["content"];
        assert_eq!(content[0]["thinking"], "Hm.", "{member}: {whole}");
        assert_eq!(content[1]["text"], "Yes.", "{member}: {whole}");
    }
}

#[test]
fn p30_an_answer_that_thought_and_said_nothing_is_one() {
    let mut said = answer(GeminiGenerate, json!([]), "MAX_TOKENS");
    said["candidates"][0]["content"] = json!({"role": "model"});
    said["usageMetadata"] = json!({"promptTokenCount": 10, "thoughtsTokenCount": 50, "totalTokenCount": 60});
    let whole = answered(AnthropicMessages, GeminiGenerate, &said);
    assert_eq!(
        (&whole["stop_reason"], &whole["content"]),
        (&json!("max_tokens"), &json!([]))
    );
    assert_eq!(whole["usage"]["output_tokens"], 50);
    let whole = answered(OpenaiChat, GeminiGenerate, &said);
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
}
