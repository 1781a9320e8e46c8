//! Whole answers: reading what is told, and writing what a client of Anthropic's expects.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::anthropic_messages::{read_reply, write_reply};
use crate::neutral::*;
use crate::spec::Spec;
use crate::{Dialect, Usage};

const OWN: Dialect = Dialect::AnthropicMessages;

fn answering(parts: Vec<Part>, finish: Finish) -> Reply {
    Reply {
        id: String::new(),
        model: String::new(),
        created_s: None,
        parts,
        finish,
        others: Vec::new(),
        usage: None,
        service_tier: None,
        logprobs: None,
        raw: Vec::new(),
    }
}

fn written(reply: &Reply) -> Value {
    let heading = Heading {
        id: "msg_1",
        created_s: 0,
        model: "asked",
    };
    let body = write_reply(reply, &heading);
    if let Some(spec) = Spec::anthropic() {
        // The document's words are those of its day.
        let problems = spec.problems("Message", &body);
        let is_new =
            |problem: &String| problem.contains("stop_reason") || problem.contains("server_tool_use");
        let problems: Vec<_> = problems.into_iter().filter(|problem| !is_new(problem)).collect();
        assert_eq!(
            problems,
            Vec::<String>::new(),
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
    serde_json::from_slice(&body).unwrap()
}

fn read(body: &Value) -> Reply {
    read_reply(body.to_string().as_bytes(), &Profile::default()).unwrap()
}

fn call(arguments: &str, seal: Option<Seal>) -> Part {
    Part::ToolCall(ToolCall {
        id: "call_1".to_owned(),
        id_is_ours: false,
        name: "look".to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
        seal,
        cache: None,
        raw: Vec::new(),
    })
}

#[test]
fn an_answer_has_all_that_an_sdk_looks_for() {
    let mut reply = answering(vec![Part::text("hi"), Part::text("")], Finish::End);
    reply.usage = Some(Usage {
        input_tokens: 37,
        cached_input_tokens: 20,
        cache_write_tokens: 7,
        cache_write_1h_tokens: 4,
        output_tokens: 5,
        reasoning_tokens: 2,
        ..Usage::default()
    });
    reply.service_tier = Some(ServiceTier::Priority);
    assert_eq!(
        written(&reply),
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "asked",
            "content": [{"type": "text", "text": "hi", "citations": null}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 10, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 20,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2},
                "server_tool_use": null, "service_tier": "priority",
            },
        })
    );
}

#[test]
fn reasons_for_the_end_have_one_word_each() {
    let table = [
        (Finish::End, "end_turn", Value::Null),
        (Finish::StopSequence(None), "end_turn", Value::Null),
        (
            Finish::StopSequence(Some("X".to_owned())),
            "stop_sequence",
            json!("X"),
        ),
        (Finish::MaxTokens, "max_tokens", Value::Null),
        (Finish::ContextFull, "model_context_window_exceeded", Value::Null),
        (Finish::ToolCall, "tool_use", Value::Null),
        (Finish::Paused, "pause_turn", Value::Null),
        (Finish::Blocked(Some("SAFETY".to_owned())), "refusal", Value::Null),
        (Finish::Refused(None), "refusal", Value::Null),
        (Finish::Other("compaction".to_owned()), "compaction", Value::Null),
    ];
    for (finish, word, sequence) in table {
        // The document knows no words but those of its day.
        let body = write_reply(
            &answering(vec![call("{}", None)], finish.clone()),
            &Heading {
                id: "m",
                created_s: 0,
                model: "m",
            },
        );
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["stop_reason"], word);
        assert_eq!(body["stop_sequence"], sequence, "{word}");
        assert!(
            body.as_object().unwrap().contains_key("stop_sequence"),
            "SDKs want it there"
        );
        if !matches!(
            finish,
            Finish::StopSequence(None) | Finish::Blocked(_) | Finish::End | Finish::Other(_)
        ) {
            assert_eq!(read(&body).finish, finish);
        }
    }
}

#[test]
fn p43_a_refusal_tells_why() {
    let reply = answering(
        vec![Part::Refusal("No.".to_owned())],
        Finish::Refused(Some("policy".to_owned())),
    );
    let body = written(&reply);
    assert_eq!(body["stop_details"]["explanation"], "policy");
    assert_eq!(body["content"][0]["text"], "No.");
    assert_eq!(read(&body).finish, Finish::Refused(Some("policy".to_owned())));
}

#[test]
fn p15_a_call_decides_over_the_word() {
    let body = json!({"type":"message","content":[{"type":"tool_use","id":"t","name":"n","input":{}}],"stop_reason":"end_turn"});
    assert_eq!(read(&body).finish, Finish::ToolCall);
    let body = json!({"type":"message","content":[],"stop_reason":"tool_use"});
    assert_eq!(read(&body).finish, Finish::End);
    let body = json!({"type":"message","content":[{"type":"server_tool_use","id":"s","name":"n","input":{}}],"stop_reason":"end_turn"});
    assert_eq!(
        read(&body).finish,
        Finish::End,
        "a tool of the vendor's is none of the client's"
    );
}

#[test]
fn p6_a_call_that_the_cap_has_cut_is_left_out() {
    let body = written(&answering(
        vec![Part::text("a"), call("{\"x\":", None)],
        Finish::MaxTokens,
    ));
    assert_eq!(body["content"].as_array().unwrap().len(), 1);
    assert_eq!(body["stop_reason"], "max_tokens");
    let body = written(&answering(vec![call("{\"x\":", None)], Finish::ToolCall));
    assert_eq!(body["content"][0]["input"], json!({"_raw":"{\"x\":"}));
    let body = written(&answering(vec![call("", None)], Finish::ToolCall));
    assert_eq!(body["content"][0]["input"], json!({}));
}

#[test]
fn p7_p8_what_other_vendors_seal_travels_in_blocks_and_ids() {
    let gemini = || Seal {
        origin: Dialect::GeminiGenerate,
        data: "Z2VtaW5p".to_owned(),
    };
    let thought = |texts: &[&str], seal: Option<Seal>, redacted: bool| {
        Part::Reasoning(Reasoning {
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            is_summary: !redacted,
            seal,
            redacted,
            id: None,
        })
    };
    let parts = vec![
        thought(&["a", "b"], Some(gemini()), false),
        thought(&[], Some(gemini()), false),
        thought(&[], Some(gemini()), true),
        thought(&["open"], None, false),
        thought(&[], None, false),
        call("{}", Some(gemini())),
    ];
    let body = written(&answering(parts, Finish::ToolCall));
    let blocks = body["content"].as_array().unwrap();
    assert_eq!(
        blocks.len(),
        5,
        "nothing is merged, and only the empty one is left out"
    );
    assert_eq!(blocks[0]["thinking"], "a\n\nb");
    assert_eq!(
        blocks[3],
        json!({"type":"thinking","thinking":"open","signature":""})
    );
    let back = read(&body);
    let seals = back.parts.iter().map(|part| match part {
        Part::Reasoning(reasoning) => reasoning.seal.clone(),
        Part::ToolCall(call) if call.id == "call_1" => call.seal.clone(),
        _ => None,
    });
    let expected = [
        Some(gemini()),
        Some(gemini()),
        Some(gemini()),
        None,
        Some(gemini()),
    ];
    assert_eq!(seals.collect::<Vec<_>>(), expected);
}

#[test]
fn p45_citations_cross_both_ways() {
    let page = json!({
        "type": "web_search_result_location", "url": "https://x", "title": "X",
        "encrypted_index": "e", "cited_text": "c",
    });
    let body = json!({"type":"message","stop_reason":"end_turn","content":[
        {"type":"text","text":"sch\u{f6}n","citations":[page, {"type":"char_location","document_index":0}]}]});
    let reply = read(&body);
    let Part::Text(text) = &reply.parts[0] else {
        panic!("it is text");
    };
    let url = Citation::Url {
        url: "https://x".to_owned(),
        title: Some("X".to_owned()),
        start: Some(0),
        end: Some(5),
    };
    assert_eq!(text.citations.len(), 3);
    assert_eq!(text.citations[1], url);
    let heading = Heading {
        id: "m",
        created_s: 0,
        model: "m",
    };
    let again: Value = serde_json::from_slice(&write_reply(&reply, &heading)).unwrap();
    assert_eq!(
        again["content"], body["content"],
        "what Anthropic wrote comes back as it was"
    );
    let foreign = Part::Text(Text {
        citations: vec![Citation::Url {
            url: "https://y".to_owned(),
            title: None,
            start: Some(2),
            end: Some(4),
        }],
        ..Text::new("\u{e9}abcd")
    });
    let cited = written(&answering(vec![foreign], Finish::End));
    assert_eq!(cited["content"][0]["citations"][0]["cited_text"], "bc");
}

#[test]
fn what_another_dialect_alone_understands_is_not_shown() {
    let raw = |origin| {
        let json = RawValue::from_string(
            r#"{"type":"server_tool_use","id":"s","name":"web_search","input":{}}"#.to_owned(),
        );
        Part::Raw(Raw::new(origin, "", json.unwrap()))
    };
    let body = written(&answering(
        vec![raw(OWN), raw(Dialect::OpenaiResponses)],
        Finish::End,
    ));
    assert_eq!(body["content"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_answer_is_told_without_its_words() {
    let bad = |body: &str| read_reply(body.as_bytes(), &Profile::default()).unwrap_err();
    for body in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"content":[{"text":"secret"}]}"#,
        r#"{"content":"#,
    ] {
        let BadAnswer::Malformed(message) = bad(body) else {
            panic!("{body}");
        };
        assert!(!message.contains("secret"));
    }
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
    assert!(matches!(bad(error), BadAnswer::Fault(fault) if fault.kind == FaultKind::Overloaded));
}
