//! Prompt caches: what reaches them, and what they cost.

use super::*;
use crate::neutral::CacheMarks;

fn usage(provider: Dialect, usage: Value) -> (crate::Usage, Value) {
    let said = match provider {
        AnthropicMessages => answer(provider, json!([{"type": "text", "text": "Yes."}]), "end_turn"),
        _ => answer(provider, json!({"role": "assistant", "content": "Yes."}), "stop"),
    };
    let mut said = said;
    said["usage"] = usage;
    let client = if provider == OpenaiChat {
        AnthropicMessages
    } else {
        OpenaiChat
    };
    let crossing = crossing(client, provider, &Profile::default());
    let whole = crossing.reply(said.to_string().as_bytes()).unwrap();
    let body: Value = serde_json::from_slice(&whole.body).unwrap();
    (whole.usage.unwrap(), body["usage"].clone())
}

#[test]
fn p20_marks_go_where_they_are_known_and_no_more_than_four_to_anthropic() {
    let part = json!({"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}});
    let parts = json!([part, part, part, part, part, part]);
    let body = request(
        OpenaiChat,
        json!({"messages": [{"role": "user", "content": parts}]}),
    );
    let marks = |provider, cache_marks| {
        let profile = Profile {
            cache_marks,
            ..Profile::default()
        };
        let sent = asked_of(OpenaiChat, provider, &profile, &body).to_string();
        (
            sent.matches("\"cache_control\"").count(),
            sent.matches("\"prompt_cache_breakpoint\"").count(),
        )
    };
    assert_eq!(marks(AnthropicMessages, CacheMarks::None), (4, 0));
    assert_eq!(marks(OpenaiResponses, CacheMarks::None), (0, 0));
    assert_eq!(marks(OpenaiResponses, CacheMarks::Breakpoint), (0, 6));
    assert_eq!(marks(OpenaiChat, CacheMarks::CacheControl), (6, 0));
    assert_eq!(marks(OpenaiChat, CacheMarks::None), (0, 0));
}

#[test]
fn p21_arguments_keep_their_order_and_the_spelling_of_their_numbers() {
    let spelled = r#"{"b": 1.0,"a":12345678901234567890,"c":1e3}"#;
    let call =
        json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": spelled}});
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"}]);
    let body = request(OpenaiChat, json!({"messages": messages})).to_string();
    for provider in [AnthropicMessages, GeminiGenerate] {
        let (_, sent) = sent(OpenaiChat, provider, &Profile::default(), &body).unwrap();
        assert!(sent.contains(spelled), "{sent}");
    }
}

#[test]
fn p22_only_the_first_instructions_stand_in_front() {
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"}, {"role": "system", "content": "Be kind."}, {"role": "user", "content": "Three"}]);
    let body = request(OpenaiChat, json!({"messages": messages}));
    for system_anywhere in [true, false] {
        let profile = Profile {
            system_anywhere,
            ..Profile::default()
        };
        let sent = asked_of(OpenaiChat, AnthropicMessages, &profile, &body);
        let (front, rest) = (sent["system"].to_string(), sent["messages"].to_string());
        assert!(
            front.contains("Be brief.") && !front.contains("Be kind."),
            "{sent}"
        );
        let places = ["One", "Two", "Be kind.", "Three"].map(|text| rest.find(text).unwrap());
        assert!(places.is_sorted(), "{sent}");
    }
}

#[test]
fn p22_instructions_never_come_between_a_call_and_its_result() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "system", "content": "Be kind."},
        {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
    ]);
    let body = request(OpenaiChat, json!({"messages": messages}));
    for provider in [AnthropicMessages, GeminiGenerate] {
        let sent = asked(OpenaiChat, provider, &body).to_string();
        assert!(
            sent.find("seen").unwrap() < sent.find("Be kind.").unwrap(),
            "{sent}"
        );
    }
    let items = json!([
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"role": "developer", "content": "Be kind."},
        {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
    ]);
    let body = request(OpenaiResponses, json!({"input": items}));
    for system_anywhere in [true, false] {
        let profile = Profile {
            system_anywhere,
            ..Profile::default()
        };
        let sent = asked_of(OpenaiResponses, OpenaiChat, &profile, &body);
        let told: Vec<_> = sent["messages"].as_array().unwrap().iter().collect();
        let last = if system_anywhere { "system" } else { "user" };
        let roles: Vec<_> = told
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect();
        assert_eq!(roles, ["user", "assistant", "tool", last], "{sent}");
    }
}

#[test]
fn p23_cached_tokens_are_counted_once_whoever_tells_them() {
    let anthropics = json!({"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 5});
    let (metered, told) = usage(AnthropicMessages, anthropics);
    assert_eq!((metered.input_tokens, metered.cached_input_tokens), (130, 100));
    assert_eq!(told["prompt_tokens"], 130);
    assert_eq!(told["prompt_tokens_details"]["cached_tokens"], 100);
    let openais = json!({"prompt_tokens": 130, "completion_tokens": 5, "total_tokens": 135, "prompt_tokens_details": {"cached_tokens": 100}});
    let (metered, told) = usage(OpenaiChat, openais);
    assert_eq!(metered.input_tokens, 130);
    assert_eq!(
        (&told["input_tokens"], &told["cache_read_input_tokens"]),
        (&json!(30), &json!(100))
    );
}

#[test]
fn p24_what_is_kept_for_an_hour_is_counted_apart() {
    let split = json!({"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5});
    let (metered, _) = usage(
        AnthropicMessages,
        json!({"input_tokens": 10, "cache_creation_input_tokens": 20, "cache_creation": split, "output_tokens": 5}),
    );
    assert_eq!(
        (metered.cache_write_tokens, metered.cache_write_1h_tokens),
        (20, 5)
    );
}
