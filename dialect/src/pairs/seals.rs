//! Seals through a client of another dialect, which gives back what it was given in its next request (P7, P9).

use serde_json::{Value, json};

use super::cases::call;
use super::face::{FACES, Face, heading};
use crate::Dialect;
use crate::neutral::{
    Finish, Losses, Part, Profile, Reasoning, Reply, Request, Seal, Target, Text, Undo, carry, collect,
};

const SEAL: &str = "EqQBCgIYAhIMc2VhbGVkdGhvdWdodA==";

fn seal(origin: Dialect) -> Option<Seal> {
    let data = SEAL.to_owned();
    Some(Seal { origin, data })
}

fn thought(origin: Dialect, redacted: bool) -> Part {
    Part::Reasoning(Reasoning {
        texts: if redacted {
            Vec::new()
        } else {
            vec!["I think.".to_owned()]
        },
        is_summary: origin == Dialect::OpenaiResponses,
        seal: seal(origin),
        redacted,
        id: (origin == Dialect::OpenaiResponses).then(|| "rs_1".to_owned()),
    })
}

/// A thought that is summed up.
fn summary(origin: Dialect) -> Part {
    let mut part = thought(origin, false);
    if let Part::Reasoning(reasoning) = &mut part {
        reasoning.is_summary = true;
    }
    part
}

/// Answers with seals, each by the only vendor to whom they mean something.
fn sealed() -> Vec<(Dialect, Reply)> {
    let signed = |name: &str| {
        // As one that Google gave is known again.
        let mut part = call("call_tlgg_call_1", name, "{}");
        if let Part::ToolCall(call) = &mut part {
            call.seal = seal(Dialect::GeminiGenerate);
        }
        part
    };
    let answers = [
        (
            Dialect::AnthropicMessages,
            vec![
                thought(Dialect::AnthropicMessages, false),
                call("call_1", "now", "{}"),
            ],
        ),
        (
            Dialect::AnthropicMessages,
            vec![summary(Dialect::AnthropicMessages), call("call_1", "now", "{}")],
        ),
        (
            Dialect::AnthropicMessages,
            vec![
                thought(Dialect::AnthropicMessages, true),
                call("call_1", "now", "{}"),
            ],
        ),
        (
            Dialect::OpenaiResponses,
            vec![
                thought(Dialect::OpenaiResponses, false),
                call("call_1", "now", "{}"),
            ],
        ),
        (Dialect::GeminiGenerate, vec![signed("now")]),
    ];
    let reply = |parts| Reply {
        id: "id".to_owned(),
        model: "model".to_owned(),
        created_s: None,
        parts,
        finish: Finish::ToolCall,
        others: Vec::new(),
        usage: None,
        service_tier: None,
        logprobs: None,
        raw: Vec::new(),
    };
    answers
        .into_iter()
        .map(|(dialect, parts)| (dialect, reply(parts)))
        .collect()
}

/// The next request of a client that was answered so; `bare` for one that keeps no members that its dialect does not know,
/// or, of Gemini's, no thoughts.
fn continued(client: &Face, answer: &Value, bare: bool) -> Value {
    let parameters = json!({"type": "object", "properties": {}});
    match client.dialect {
        Dialect::OpenaiChat => {
            let mut message = answer["choices"][0]["message"].clone();
            if bare {
                message = json!({"role": "assistant", "content": message["content"], "tool_calls": message["tool_calls"]});
            }
            let result =
                json!({"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Noon"});
            json!({"model": "m", "messages": [{"role": "user", "content": "When?"}, message, result],
                "tools": [{"type": "function", "function": {"name": "now", "parameters": parameters}}]})
        }
        Dialect::OpenaiResponses => {
            let mut input = vec![json!({"role": "user", "content": "When?"})];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            let call = input.iter().find(|item| item["type"] == "function_call").unwrap();
            input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "Noon"}));
            json!({"model": "m", "store": false, "input": input,
                "tools": [{"type": "function", "name": "now", "parameters": parameters, "strict": false}]})
        }
        Dialect::AnthropicMessages => {
            let content = &answer["content"];
            let call = content
                .as_array()
                .unwrap()
                .iter()
                .find(|block| block["type"] == "tool_use")
                .unwrap();
            let result = json!({"type": "tool_result", "tool_use_id": call["id"], "content": "Noon"});
            json!({"model": "m", "max_tokens": 5_000, "messages": [{"role": "user", "content": "When?"},
                {"role": "assistant", "content": content}, {"role": "user", "content": [result]}],
                "tools": [{"name": "now", "input_schema": parameters}]})
        }
        Dialect::GeminiGenerate => {
            let mut content = answer["candidates"][0]["content"].clone();
            let parts = content["parts"].as_array_mut().unwrap();
            if bare {
                parts.retain(|part| part["thought"] != true);
            }
            let mut result = json!({"name": "now", "response": {"result": "Noon"}});
            let id = parts.iter().find_map(|part| part["functionCall"].get("id"));
            if let Some(id) = id {
                result["id"] = id.clone();
            }
            json!({"contents": [{"role": "user", "parts": [{"text": "When?"}]}, content,
                {"role": "user", "parts": [{"functionResponse": result}]}],
                "tools": [{"functionDeclarations": [{"name": "now"}]}]})
        }
    }
}

fn seals_of(parts: &[Part]) -> Vec<(&'static str, Seal, bool)> {
    let seal = |part: &Part| match part {
        Part::Reasoning(reasoning) => Some(("reasoning", reasoning.seal.clone()?, reasoning.redacted)),
        Part::ToolCall(call) => Some(("call", call.seal.clone()?, false)),
        Part::Text(text) => Some(("text", text.seal.clone()?, false)),
        _ => None,
    };
    parts.iter().filter_map(seal).collect()
}

fn written(face: &Face, request: &Request) -> Vec<u8> {
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    let mut losses = Losses::new(false);
    let way = |refusal| panic!("{}: {refusal:?}", face.folder);
    let written = (face.write_request)(request, &target, &mut losses).unwrap_or_else(way);
    let _: Undo = written.undo;
    written.body
}

#[test]
fn p7_p9_seals_come_back_to_their_vendor_and_go_to_no_other() {
    for (vendor, reply) in sealed() {
        for client in FACES.iter().filter(|client| client.dialect != vendor) {
            let answer = (client.write_reply)(&reply, &heading().as_heading());
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            for bare in [false, true] {
                let body = continued(client, &answer, bare).to_string();
                let way = format!("{} through {}: {body}", vendor.as_str(), client.folder);
                let asked =
                    (client.read_request)(body.as_bytes()).unwrap_or_else(|error| panic!("{way}: {error:?}"));
                for to in &FACES {
                    let sent = written(to, &asked);
                    let text = String::from_utf8_lossy(&sent);
                    if to.dialect != vendor {
                        assert!(!text.contains(SEAL), "{way} shown to {}: {text}", to.folder);
                        continue;
                    }
                    let arrived = (to.read_request)(&sent).unwrap();
                    let parts: Vec<Part> = arrived.turns.into_iter().flat_map(|turn| turn.parts).collect();
                    assert_eq!(seals_of(&parts), seals_of(&reply.parts), "{way} became {text}");
                    let id = parts.iter().find_map(|part| match part {
                        Part::ToolCall(call) => Some(call.id.as_str()),
                        _ => None,
                    });
                    assert_eq!(id, Some("call_1"), "{way} became {text}");
                }
            }
        }
    }
}

/// The parts with what their ids carry in its place, for whoever reads a provider's answer need not look for that in its
/// ids; and without ids of ours.
fn split(mut parts: Vec<Part>) -> Vec<Part> {
    for part in &mut parts {
        match part {
            Part::ToolCall(call) => {
                let (id, carried) = carry::split_tool_call_id(&call.id);
                let own = carried.into_iter().find(|carried| !carried.is_reasoning);
                call.id = id;
                call.seal = call.seal.take().or(own.map(|carried| carried.seal));
            }
            Part::Reasoning(reasoning) => {
                reasoning.id = None;
                // In Chat Completions only a seal tells, which comes after the text.
                reasoning.is_summary = false;
            }
            _ => {}
        }
    }
    parts
}

/// The ids of calls in a stream or an answer, which have to carry the same in both.
fn ids(text: &str) -> Vec<&str> {
    let pieces = text.split('"');
    let mut ids: Vec<_> = pieces.filter(|piece| piece.contains("--tlg1-")).collect();
    ids.dedup();
    ids
}

/// The next request of a client that was answered with words alone.
fn asked_again(client: &Face, answer: &Value) -> Value {
    match client.dialect {
        Dialect::OpenaiChat => {
            json!({"model": "m", "messages": [{"role": "user", "content": "When?"}, answer["choices"][0]["message"],
            {"role": "user", "content": "And now?"}]})
        }
        Dialect::OpenaiResponses => {
            let mut input = vec![json!({"role": "user", "content": "When?"})];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            input.push(json!({"role": "user", "content": "And now?"}));
            json!({"model": "m", "store": false, "input": input})
        }
        Dialect::AnthropicMessages => {
            json!({"model": "m", "max_tokens": 5_000, "messages": [{"role": "user", "content": "When?"},
            {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": "And now?"}]})
        }
        Dialect::GeminiGenerate => unreachable!("its own seals need no carrying"),
    }
}

#[test]
fn p7_p8_a_text_that_gemini_signed_is_signed_when_it_comes_back() {
    let text = Part::Text(Text {
        seal: seal(Dialect::GeminiGenerate),
        ..Text::new("It is late.")
    });
    let (_, mut reply) = sealed().pop().unwrap();
    reply.finish = Finish::End;
    let gemini = FACES.last().unwrap();
    for client in FACES.iter().take(3) {
        reply.parts = vec![text.clone()];
        if client.dialect == Dialect::AnthropicMessages {
            reply.parts.push(Part::text("So go."));
        }
        let whole = (client.write_reply)(&reply, &heading().as_heading());
        let answer: Value = serde_json::from_slice(&whole).unwrap();
        let body = asked_again(client, &answer).to_string();
        let asked = (client.read_request)(body.as_bytes()).unwrap();
        for to in &FACES {
            let sent = String::from_utf8(written(to, &asked)).unwrap();
            let way = format!("through {} to {}: {body} became {sent}", client.folder, to.folder);
            assert_eq!(sent.contains(SEAL), to.dialect == gemini.dialect, "{way}");
            let carriers = ["\"type\":\"reasoning\"", "_thinking\""];
            assert!(!carriers.iter().any(|carrier| sent.contains(carrier)), "{way}");
        }
        let arrived = (gemini.read_request)(&written(gemini, &asked)).unwrap();
        assert_eq!(arrived.turns[1].parts, reply.parts, "through {}", client.folder);
        let mut events = Vec::new();
        collect::events(reply.clone(), &mut events);
        let stream = (client.write_stream)(&events);
        (client.check_stream)(&stream).unwrap();
        let mut collector = collect::Collector::default();
        let told = (client.read_stream)(&stream);
        told.into_iter().for_each(|event| collector.event(event));
        let streamed = collector.reply().unwrap().parts;
        let whole = (client.read_reply)(&whole, &Profile::default()).unwrap();
        assert_eq!(split(streamed), split(whole.parts), "through {}", client.folder);
    }
}

/// There are agents whose whole answer is the last block of a message.
#[test]
fn p7_an_answer_of_anthropics_ends_with_its_text_and_not_with_a_seal() {
    let (_, mut reply) = sealed().pop().unwrap();
    let text = |seal| {
        Part::Text(Text {
            seal,
            ..Text::new("It is late.")
        })
    };
    let empty = Part::Text(Text {
        seal: seal(Dialect::GeminiGenerate),
        ..Text::default()
    });
    reply.finish = Finish::End;
    let anthropic = FACES
        .iter()
        .find(|face| face.dialect == Dialect::AnthropicMessages)
        .unwrap();
    for parts in [
        vec![text(seal(Dialect::GeminiGenerate))],
        vec![text(None), empty.clone()],
        vec![text(seal(Dialect::GeminiGenerate)), empty],
    ] {
        reply.parts = parts;
        let whole = (anthropic.write_reply)(&reply, &heading().as_heading());
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        let blocks = whole["content"].as_array().unwrap();
        let (text, carriers) = blocks.split_last().unwrap();
        assert_eq!(
            *text,
            json!({"type": "text", "text": "It is late.", "citations": null})
        );
        assert!(!carriers.is_empty(), "{whole}");
        let is_carrier = |block: &Value| block["type"] == "redacted_thinking";
        assert!(carriers.iter().all(is_carrier), "{whole}");
        // And they come back to it.
        let asked = (anthropic.read_request)(asked_again(anthropic, &whole).to_string().as_bytes()).unwrap();
        let sealed = |parts: &[Part]| {
            parts
                .iter()
                .filter(|part| seals_of(&[(*part).clone()]).len() == 1)
                .count()
        };
        assert_eq!(sealed(&asked.turns[1].parts), sealed(&reply.parts), "{whole}");
        assert_eq!(seals_of(&asked.turns[1].parts).len(), carriers.len());
        // A stream has told its text when the seal comes.
        let mut events = Vec::new();
        collect::events(reply.clone(), &mut events);
        let stream = (anthropic.write_stream)(&events);
        (anthropic.check_stream)(&stream).unwrap();
        let stream = String::from_utf8(stream).unwrap();
        assert_eq!(
            stream.matches("\"type\":\"content_block_start\"").count(),
            1,
            "{stream}"
        );
    }
}

#[test]
fn p7_seals_are_in_streams_as_they_are_in_whole_answers() {
    for (vendor, reply) in sealed() {
        for client in FACES.iter().filter(|client| client.dialect != vendor) {
            let mut events = Vec::new();
            collect::events(reply.clone(), &mut events);
            let stream = (client.write_stream)(&events);
            let text = String::from_utf8_lossy(&stream);
            let way = format!("{} through {}: {text}", vendor.as_str(), client.folder);
            (client.check_stream)(&stream).unwrap_or_else(|problem| panic!("{way}: {problem}"));
            let mut collector = collect::Collector::default();
            (client.read_stream)(&stream)
                .into_iter()
                .for_each(|event| collector.event(event));
            let streamed = collector
                .reply()
                .unwrap_or_else(|error| panic!("{way}: {error:?}"));
            let whole = (client.write_reply)(&reply, &heading().as_heading());
            if client.dialect == Dialect::OpenaiChat {
                assert_eq!(ids(&text), ids(&String::from_utf8_lossy(&whole)), "{way}");
            }
            let whole = (client.read_reply)(&whole, &Profile::default()).unwrap();
            assert_eq!(split(streamed.parts), split(whole.parts), "{way}");
        }
    }
}
