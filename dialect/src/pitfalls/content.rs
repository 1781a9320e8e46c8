//! What is said: texts, media, refusals, and words for how it is to be said.

use super::*;
use crate::refusal::Code;

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn image(url: &str) -> Value {
    let parts =
        json!([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]);
    request(
        OpenaiChat,
        json!({"messages": [{"role": "user", "content": parts}]}),
    )
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

#[test]
fn p38_an_image_that_has_only_a_url_is_named_or_refused_but_never_left_out() {
    let url = "https://example.com/a.png";
    for image_urls in [true, false] {
        let profile = Profile {
            image_urls,
            ..Profile::default()
        };
        if image_urls {
            let sent = asked_of(OpenaiChat, GeminiGenerate, &profile, &image(url));
            assert_eq!(sent["contents"][0]["parts"][1]["fileData"]["fileUri"], url);
        } else {
            let refusal = refused(OpenaiChat, GeminiGenerate, &profile, &image(url));
            assert_eq!(
                (refusal.code, refusal.named()),
                (Code::CannotTranslate, Some("image_url"))
            );
        }
    }
}

#[test]
fn p39_an_image_is_what_its_bytes_say_however_it_was_spelled() {
    let (first, second) = PNG.split_at(30);
    let url_safe = PNG.replace('+', "-").replace('/', "_");
    for url in [
        format!("data:image/jpeg;base64,{PNG}"),
        format!("data:image/png;name=a.png;base64,{PNG}"),
        format!("data:;base64,{PNG}"),
        format!("data:image/png;base64,{first}\r\n{second}"),
        format!("data:image/png;base64,{url_safe}"),
    ] {
        let sent = asked(OpenaiChat, AnthropicMessages, &image(&url));
        let expected = json!({"type": "base64", "media_type": "image/png", "data": PNG});
        assert_eq!(sent["messages"][0]["content"][1]["source"], expected, "{url}");
    }
}

#[test]
fn p40_texts_of_nothing_are_left_out_and_an_empty_answer_is_one() {
    let messages = json!([{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "One"}]},
        {"role": "assistant", "content": " "}, {"role": "user", "content": "Two"}, {"role": "assistant", "content": "Three \n"}]);
    let profile = Profile {
        prefill: true,
        ..Profile::default()
    };
    let body = request(OpenaiChat, json!({"messages": messages}));
    let sent = asked_of(OpenaiChat, AnthropicMessages, &profile, &body);
    let turns = sent["messages"].as_array().unwrap();
    let blocks = turns.iter().flat_map(|turn| turn["content"].as_array().unwrap());
    let texts: Vec<_> = blocks.map(|block| block["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["One", "Two", "Three"]);
    let whole = answered(
        OpenaiChat,
        AnthropicMessages,
        &answer(AnthropicMessages, json!([]), "end_turn"),
    );
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert!(
        choice["message"]["content"].as_str().is_none_or(str::is_empty),
        "{choice}"
    );
}

#[test]
fn p41_the_beginning_of_an_answer_is_refused_where_it_cannot_be_gone_on_with() {
    let messages = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "It is"}]);
    for (client, provider) in [(OpenaiChat, AnthropicMessages), (AnthropicMessages, OpenaiChat)] {
        let body = request(client, json!({"messages": messages}));
        let refusal = refused(client, provider, &Profile::default(), &body);
        assert_eq!(refusal.named(), Some("messages"));
        let profile = Profile {
            prefill: true,
            ..Profile::default()
        };
        let sent = asked_of(client, provider, &profile, &body);
        assert_eq!(sent["messages"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn p42_a_stop_sequence_that_the_provider_does_not_take_is_watched_for_here() {
    let cut = |client: Dialect, provider: Dialect, members: Value, said: Value| {
        let body = request(client, members).to_string();
        let (crossing, body) = sent(client, provider, &Profile::default(), &body).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        (body, answered_by(&crossing, &said))
    };
    let said = answer(AnthropicMessages, text("One\n\nTwo"), "end_turn");
    let stop = json!({"stop": ["\n\n", "END"]});
    let (body, whole) = cut(OpenaiChat, AnthropicMessages, stop, said);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(whole["choices"][0]["message"]["content"], "One");
    let five = json!({"stop_sequences": ["1", "2", "3", "4", "5"]});
    let said = json!({"role": "assistant", "content": "One 5 two"});
    let said = answer(OpenaiChat, said, "stop");
    let (body, whole) = cut(AnthropicMessages, OpenaiChat, five, said);
    assert_eq!(body["stop"].as_array().unwrap().len(), 4);
    assert_eq!(whole["content"][0]["text"], "One ");
    assert_eq!(
        (&whole["stop_reason"], &whole["stop_sequence"]),
        (&json!("stop_sequence"), &json!("5"))
    );
    let six = request(
        AnthropicMessages,
        json!({"stop_sequences": ["1", "2", "3", "4", "5", "6"]}),
    );
    let refusal = refused(AnthropicMessages, GeminiGenerate, &Profile::default(), &six);
    assert!(refusal.message.contains('5'), "{}", refusal.message);
}

#[test]
fn p43_what_was_held_back_or_refused_says_so() {
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}});
    let whole = answered(OpenaiChat, GeminiGenerate, &blocked);
    assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
    let whole = answered(
        OpenaiChat,
        AnthropicMessages,
        &answer(AnthropicMessages, json!([]), "refusal"),
    );
    assert_eq!(whole["choices"][0]["finish_reason"], "content_filter");
    let said = json!({"role": "assistant", "content": null, "refusal": "I will not."});
    let whole = answered(AnthropicMessages, OpenaiChat, &answer(OpenaiChat, said, "stop"));
    assert_eq!(whole["stop_reason"], "refusal");
    assert!(whole.to_string().contains("I will not."), "{whole}");
}

#[test]
fn p44_a_tier_has_another_name_elsewhere_and_never_costs_more_than_was_asked() {
    for (tier, expected, loses) in [
        ("default", Some("standard_only"), false),
        ("auto", Some("auto"), false),
        ("priority", Some("auto"), true),
        ("flex", None, true),
    ] {
        let body = request(OpenaiChat, json!({"service_tier": tier}));
        let sent = asked(OpenaiChat, AnthropicMessages, &body);
        assert_eq!(sent["service_tier"].as_str(), expected);
        let lost = lost(OpenaiChat, AnthropicMessages, &Profile::default(), &body);
        assert_eq!(!lost.is_empty(), loses, "{tier}: {lost}");
    }
    let mut said = answer(AnthropicMessages, text("Yes."), "end_turn");
    said["usage"]["service_tier"] = json!("standard");
    assert_eq!(
        answered(OpenaiChat, AnthropicMessages, &said)["service_tier"],
        "default"
    );
}

#[test]
fn p45_where_a_citation_stands_is_counted_in_characters_or_in_bytes() {
    let said = "Größe: 5 °C. Ende.";
    let (start, end) = (said.find('5').unwrap(), said.find(". Ende").unwrap());
    let mut theirs = answer(GeminiGenerate, json!([{"text": said}]), "STOP");
    theirs["candidates"][0]["groundingMetadata"] = json!({"groundingChunks": [{"web": {"uri": "https://example.com", "title": "t"}}],
        "groundingSupports": [{"segment": {"startIndex": start, "endIndex": end}, "groundingChunkIndices": [0]}]});
    let whole = answered(OpenaiChat, GeminiGenerate, &theirs);
    let citation = &whole["choices"][0]["message"]["annotations"][0]["url_citation"];
    let place = |name: &str| usize::try_from(citation[name].as_u64().unwrap()).unwrap();
    let cited = said.chars().take(place("end_index")).skip(place("start_index"));
    assert_eq!(cited.collect::<String>(), "5 °C");
}
