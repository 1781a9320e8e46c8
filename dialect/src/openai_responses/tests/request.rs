//! Requests, case by case.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::neutral::carry::{CarriedSeal, opaque, tool_call_id};
use crate::neutral::{
    Arguments, CacheMark, Effort, Losses, Media, MediaKind, MediaSource, OutputFormat, Part, Profile, Raw,
    Reasoning, Request, Role, Seal, Target, Text, Thinking, ThinkingAmount, ThinkingStyle, Tool, ToolCall,
    ToolChoice, ToolKind, ToolResult, Turn, Written,
};
use crate::refusal::{Code, Refusal};
use crate::spec::Spec;

fn read(request: Value) -> Request {
    read_request(request.to_string().as_bytes()).unwrap()
}

fn read_input(input: Value) -> Request {
    read(json!({"model": "m", "input": input}))
}

fn write_for(request: &Request, profile: &Profile) -> Result<(Value, Written, Option<String>), Refusal> {
    let mut losses = Losses::new(false);
    let target = Target {
        model: "gpt",
        profile,
    };
    let written = write_request(request, &target, &mut losses)?;
    let value: Value = serde_json::from_slice(&written.body).unwrap();
    Ok((value, written, losses.header()))
}

fn write(request: &Request) -> (Value, Option<String>) {
    let (value, _, lost) = write_for(request, &Profile::default()).unwrap();
    if let Some(document) = Spec::openai() {
        // The document wants ids of reasoning, by which nothing is stored.
        let mut checked = value.clone();
        for item in checked["input"].as_array_mut().into_iter().flatten() {
            if item["type"] == "reasoning" {
                item["id"] = "rs_0".into();
            }
        }
        let found = document.problems("CreateResponse", checked.to_string().as_bytes());
        assert_eq!(found, Vec::<String>::new(), "{checked:#}");
    }
    (value, lost)
}

fn refused(request: &Request) -> (Code, Option<&'static str>) {
    let refusal = write_for(request, &Profile::default()).map(|_| ()).unwrap_err();
    (refusal.code, refusal.named())
}

fn asking(parts: Vec<Part>) -> Request {
    with_turns(vec![Turn::new(Role::User, parts)])
}

fn with_turns(turns: Vec<Turn>) -> Request {
    Request {
        model: "m".to_owned(),
        turns,
        ..Request::default()
    }
}

fn call(id: &str, arguments: Arguments) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: "look.up".to_owned(),
        arguments,
        seal: None,
        cache: None,
        raw: Vec::new(),
    })
}

fn result(id: &str, parts: Vec<Part>) -> Part {
    Part::ToolResult(ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts,
        is_error: false,
        is_free_text: false,
        cache: None,
        raw: Vec::new(),
    })
}

fn seal(origin: Dialect) -> Seal {
    Seal {
        origin,
        data: "c2VhbA==".to_owned(),
    }
}

fn image(source: MediaSource) -> Media {
    Media {
        kind: MediaKind::Image,
        source,
        media_type: Some("image/png".to_owned()),
        name: None,
        detail: None,
        cache: None,
        raw: Vec::new(),
    }
}

#[test]
fn p18_what_the_model_said_between_two_things_of_the_user_is_one_turn() {
    let request = read_input(json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Look."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}], "encrypted_content": "x"},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
            "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1.0}"},
        {"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "g", "arguments": "{}", "namespace": "s"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_image", "image_url": "data:image/png;base64,AAEC"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "found"},
        {"role": "user", "content": "Go on."},
    ]));
    let roles: Vec<_> = request
        .turns
        .iter()
        .map(|turn| (turn.role.clone(), turn.parts.len()))
        .collect();
    let expected = [
        (Role::System, 1),
        (Role::User, 1),
        (Role::Assistant, 4),
        (Role::User, 2),
        (Role::User, 1),
    ];
    assert_eq!(roles, expected);
    let Part::Reasoning(reasoning) = &request.turns[2].parts[0] else {
        panic!("{:?}", request.turns[2]);
    };
    assert_eq!(reasoning.texts, ["a", "b"]);
    assert_eq!(
        reasoning.seal.as_ref().map(|seal| seal.origin),
        Some(Dialect::OpenaiResponses)
    );
    let Part::ToolCall(second) = &request.turns[2].parts[3] else {
        panic!("{:?}", request.turns[2]);
    };
    assert_eq!((second.id.as_str(), second.name.as_str()), ("c2", "s::g"));
    // And back: one item for each thing, the phase with its message.
    let (written, lost) = write(&request);
    assert_eq!(lost, None);
    let kinds: Vec<_> = written["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "message",
            "reasoning",
            "message",
            "function_call",
            "function_call",
            "function_call_output",
            "function_call_output",
            "message",
        ]
    );
    assert_eq!(written["instructions"], "Be brief.");
    assert_eq!(written["input"][2]["phase"], "commentary");
    assert_eq!(written["input"][3]["arguments"], "{\"a\":1.0}");
}

#[test]
fn p67_nothing_is_stored_and_reasoning_goes_back_without_its_id() {
    let sealed = |origin| {
        Part::Reasoning(Reasoning {
            texts: vec!["thought".to_owned()],
            is_summary: true,
            seal: Some(seal(origin)),
            redacted: false,
            id: Some("rs_1".to_owned()),
        })
    };
    let request = with_turns(vec![
        Turn::new(Role::User, vec![Part::text("a")]),
        Turn::new(
            Role::Assistant,
            vec![sealed(Dialect::OpenaiResponses), Part::text("b")],
        ),
        Turn::new(Role::User, vec![Part::text("c")]),
    ]);
    let (written, lost) = write(&request);
    assert_eq!((written["store"].clone(), lost), (json!(false), None));
    assert_eq!(written["include"], json!(["reasoning.encrypted_content"]));
    let expected = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "thought"}], "encrypted_content": "c2VhbA=="});
    assert_eq!(written["input"][1], expected);
    // P9: a seal of another vendor never goes there.
    let mut foreign = request.clone();
    foreign.turns[1].parts[0] = sealed(Dialect::AnthropicMessages);
    let (written, lost) = write(&foreign);
    assert_eq!(lost.as_deref(), Some("reasoning"));
    assert!(!written.to_string().contains("c2VhbA"));
    // Reasoning with nothing after it is refused by the vendor.
    let mut last = request;
    last.turns[1].parts.pop();
    assert_eq!(write(&last).0["input"].as_array().unwrap().len(), 2);
}

#[test]
fn p7_p8_seals_of_other_vendors_come_back_out_of_what_carried_them() {
    let anthropics = opaque(&seal(Dialect::AnthropicMessages));
    let geminis = CarriedSeal {
        seal: seal(Dialect::GeminiGenerate),
        is_reasoning: false,
        redacted: false,
    };
    let id = tool_call_id("c1", &[geminis]);
    let request = read_input(json!([
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": ""}], "encrypted_content": anthropics},
        {"type": "reasoning", "summary": [], "encrypted_content": anthropics},
        {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": id, "output": "x"},
    ]));
    let told: Vec<_> = request.turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::Reasoning(reasoning) => (
                reasoning.seal.clone().unwrap().origin,
                reasoning.redacted,
                reasoning.texts.len(),
            ),
            Part::ToolCall(call) => (call.seal.clone().unwrap().origin, call.id != "c1", 0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        [
            (Dialect::AnthropicMessages, false, 0),
            (Dialect::AnthropicMessages, true, 0),
            (Dialect::GeminiGenerate, false, 0),
        ]
    );
    let Part::ToolResult(result) = &request.turns[1].parts[0] else {
        panic!("{:?}", request.turns[1]);
    };
    assert_eq!(result.call_id, "c1");
}

#[test]
fn what_is_stored_with_the_vendor_is_refused_by_name_elsewhere() {
    let foreign = |request: &Request| {
        let mut losses = Losses::new(false);
        crate::neutral::foreign(
            request,
            Dialect::AnthropicMessages,
            &Profile::default(),
            &mut losses,
        )
        .map_err(|refusal| refusal.named())
    };
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
        ("truncation", json!("auto")),
    ] {
        let mut request = json!({"model": "m", "input": "a"});
        request[member] = value;
        assert_eq!(foreign(&read(request)), Err(Some(member)));
    }
    let reference = json!([{"role": "user", "content": "a"}, {"type": "item_reference", "id": "msg_1"}]);
    assert_eq!(foreign(&read_input(reference)), Err(Some("input.item_reference")));
    // Without any input at all, what it stands for is named.
    assert_eq!(
        foreign(&read(json!({"model": "m", "prompt": {"id": "p"}}))),
        Err(Some("prompt"))
    );
    for tool in [
        json!({"type": "web_search"}),
        json!({"type": "tool_search", "execution": "client"}),
    ] {
        let request = read(json!({"model": "m", "input": "a", "tools": [tool]}));
        assert_eq!(foreign(&request), Err(Some("tools")));
    }
    let usual = json!({"model": "m", "input": "a", "background": false, "truncation": "disabled", "store": false,
        "include": ["reasoning.encrypted_content"], "stream_options": {"include_obfuscation": false}});
    assert_eq!(foreign(&read(usual)), Ok(()));
}

#[test]
fn p33_strict_is_always_said() {
    let schema = RawValue::from_string("{\"type\":\"object\"}".to_owned()).unwrap();
    let tool = |strict| Tool {
        name: "f".to_owned(),
        description: None,
        kind: ToolKind::Function {
            schema: Some(schema.clone()),
            strict,
        },
        cache: None,
        raw: Vec::new(),
    };
    for (strict, said) in [(None, false), (Some(false), false), (Some(true), true)] {
        let request = Request {
            tools: vec![tool(strict)],
            ..asking(vec![Part::text("a")])
        };
        assert_eq!(write(&request).0["tools"][0]["strict"], said);
    }
    let request = read(json!({"model": "m", "input": "a", "tools": [{"type": "function", "name": "f"}]}));
    assert_eq!(
        request.tools[0].kind,
        ToolKind::Function {
            schema: None,
            strict: None
        }
    );
    assert_eq!(
        write(&request).0["tools"][0]["parameters"],
        json!({"type": "object", "properties": {}})
    );
}

#[test]
fn p66_free_text_tools_keep_their_grammar_or_become_functions() {
    let request = read(json!({"model": "m",
        "input": [
            {"role": "user", "content": "a"},
            {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        ],
        "tools": [{"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}],
        "tool_choice": {"type": "custom", "name": "patch"},
    }));
    let (written, _) = write(&request);
    assert_eq!(written["tools"][0]["format"]["definition"], "start: x");
    assert_eq!(written["input"][1]["input"], "*** Begin");
    assert_eq!(written["input"][2]["type"], "custom_tool_call_output");
    assert_eq!(written["tool_choice"], json!({"type": "custom", "name": "patch"}));
    let profile = Profile {
        free_text_tools: false,
        ..Profile::default()
    };
    let (written, sent, _) = write_for(&request, &profile).unwrap();
    assert_eq!(sent.undo.free_text_tools, ["patch"]);
    assert_eq!(written["tools"][0]["type"], "function");
    assert_eq!(written["input"][1]["arguments"], "{\"input\":\"*** Begin\"}");
    assert_eq!(
        written["tool_choice"],
        json!({"type": "function", "name": "patch"})
    );
    // As Chat Completions writes it.
    let mut nested = request;
    let grammar = json!({"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}});
    nested.tools[0].kind = ToolKind::FreeText {
        format: Some(serde_json::value::to_raw_value(&grammar).unwrap()),
    };
    let flat = json!({"type": "grammar", "syntax": "regex", "definition": "a+"});
    assert_eq!(write(&nested).0["tools"][0]["format"], flat);
}

#[test]
fn tools_in_namespaces_and_tools_to_search_for_are_tools_like_others() {
    let function =
        |name: &str| json!({"type": "function", "name": name, "parameters": {}, "defer_loading": true});
    let request = read(json!({"model": "m",
        "input": [
            {"role": "user", "content": "a"},
            {"type": "tool_search_call", "execution": "server", "arguments": {}, "call_id": null},
            {"type": "tool_search_output", "execution": "server", "tools": [{"type": "namespace", "name": "n", "description": "", "tools": [function("late")]}]},
            {"type": "additional_tools", "role": "developer", "tools": [function("more"), function("f")]},
        ],
        "tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [function("g")]}, function("f"), {"type": "tool_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
    }));
    let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["n::g", "f", "n::late", "more"]);
    let among = ToolChoice::Among {
        names: vec!["f".to_owned()],
        required: true,
    };
    assert_eq!(request.tool_choice, Some(among));
    assert_eq!(request.turns.len(), 1);
    assert_eq!(
        write(&request).0["tool_choice"]["tools"][0],
        json!({"type": "function", "name": "f"})
    );
}

#[test]
fn p13_p14_names_and_ids_that_openai_refuses_are_fitted_the_same_in_call_and_result() {
    let long = "c".repeat(100);
    let request = with_turns(vec![
        Turn::new(Role::User, vec![Part::text("a")]),
        Turn::new(
            Role::Assistant,
            vec![
                call(&long, Arguments::Json(String::new())),
                call("f.x:0", Arguments::Json("{broken".to_owned())),
            ],
        ),
        Turn::new(
            Role::User,
            vec![result("f.x:0", vec![Part::text("y")]), result(&long, vec![])],
        ),
    ]);
    let (value, written, _) = write_for(&request, &Profile::default()).unwrap();
    let input = &value["input"];
    assert_eq!(input[1]["call_id"], input[4]["call_id"]);
    assert_eq!(input[2]["call_id"], input[3]["call_id"]);
    assert!(input[1]["call_id"].as_str().unwrap().len() <= 64);
    assert_eq!(
        (&input[1]["arguments"], &input[2]["arguments"]),
        (&json!("{}"), &json!("{broken"))
    );
    let sent = input[1]["name"].as_str().unwrap();
    assert_ne!(sent, "look.up");
    assert_eq!(written.undo.names.original(sent), Some("look.up"));
}

#[test]
fn calls_and_results_belong_together_and_words_are_not_gone_on_with() {
    let asked = || Turn::new(Role::User, vec![Part::text("a")]);
    let alone = with_turns(vec![
        asked(),
        Turn::new(Role::Assistant, vec![call("c", Arguments::Json(String::new()))]),
        asked(),
    ]);
    assert_eq!(refused(&alone).0, Code::InvalidValue);
    let orphan = asking(vec![result("c", vec![])]);
    assert_eq!(refused(&orphan).0, Code::InvalidValue);
    // P41
    let prefill = with_turns(vec![asked(), Turn::new(Role::Assistant, vec![Part::text("{")])]);
    assert_eq!(refused(&prefill), (Code::CannotTranslate, Some("messages")));
}

#[test]
fn media_are_written_or_refused_and_never_left_out() {
    let png = MediaSource::Base64("AAEC".to_owned());
    let document = Media {
        kind: MediaKind::Document,
        media_type: Some("application/pdf".to_owned()),
        ..image(png.clone())
    };
    let parts = vec![
        Part::Media(image(png.clone())),
        Part::Media(image(MediaSource::Url("https://example.com/a.png".to_owned()))),
        Part::Media(document.clone()),
        Part::Media(Media {
            source: MediaSource::Text("plain".to_owned()),
            ..document.clone()
        }),
        Part::Media(Media {
            source: MediaSource::Url("https://example.com/a.pdf".to_owned()),
            ..document
        }),
    ];
    let (written, lost) = write(&asking(parts));
    assert_eq!(lost, None);
    let content = &written["input"][0]["content"];
    assert_eq!(
        content[0],
        json!({"type": "input_image", "image_url": "data:image/png;base64,AAEC", "detail": "auto"})
    );
    assert_eq!(content[1]["image_url"], "https://example.com/a.png");
    assert_eq!(content[2]["file_data"], "data:application/pdf;base64,AAEC");
    assert_eq!(content[3], json!({"type": "input_text", "text": "plain"}));
    assert_eq!(content[4]["file_url"], "https://example.com/a.pdf");
    let file = MediaSource::File {
        origin: Dialect::AnthropicMessages,
        id: "file_1".to_owned(),
    };
    for media in [
        Media {
            kind: MediaKind::Audio,
            ..image(png.clone())
        },
        Media {
            kind: MediaKind::Video,
            ..image(png.clone())
        },
        image(file),
    ] {
        assert_eq!(
            refused(&asking(vec![Part::Media(media)])).0,
            Code::CannotTranslate
        );
    }
    // Results of tools may hold images here.
    let request = with_turns(vec![
        Turn::new(Role::User, vec![Part::text("a")]),
        Turn::new(Role::Assistant, vec![call("c", Arguments::Json(String::new()))]),
        Turn::new(
            Role::User,
            vec![result("c", vec![Part::text("see"), Part::Media(image(png))])],
        ),
    ]);
    assert_eq!(write(&request).0["input"][2]["output"][1]["type"], "input_image");
}

#[test]
fn each_parameter_is_mapped_dropped_by_name_or_refused_by_name() {
    let plain = asking(vec![Part::text("a")]);
    let mut request = plain.clone();
    request.sampling.top_k = Some(5);
    request.sampling.seed = Some(1);
    request.sampling.frequency_penalty = Some(0.5);
    request.sampling.presence_penalty = Some(0.0);
    request.sampling.temperature = Some(0.5);
    request.user = Some("someone".to_owned());
    request.max_tokens = Some(100);
    request.parallel_tools = Some(false);
    request.logprobs = Some(3);
    request.metadata = vec![("a".to_owned(), "b".to_owned())];
    request.stop = vec!["END".to_owned()];
    request.raw = vec![Raw::new(
        Dialect::OpenaiChat,
        "verbosity",
        serde_json::value::to_raw_value("low").unwrap(),
    )];
    let (written, lost) = write(&request);
    assert_eq!(lost.as_deref(), Some("top_k, seed, frequency_penalty"));
    assert_eq!(written["user"], "someone");
    assert_eq!(written["max_output_tokens"], 100);
    assert_eq!(written["temperature"], 0.5);
    assert_eq!(written["parallel_tool_calls"], false);
    assert_eq!(written["text"]["verbosity"], "low");
    assert_eq!(written["top_logprobs"], 3);
    assert_eq!(written["include"][1], "message.output_text.logprobs");
    assert!(written.get("metadata").is_none() && written.get("stop").is_none());
    // P42: no such member, so the gateway itself ends the text.
    let (_, sent, _) = write_for(&request, &Profile::default()).unwrap();
    assert_eq!(sent.undo.stop, ["END"]);
    assert_eq!(
        refused(&Request {
            choices: Some(2),
            ..plain.clone()
        }),
        (Code::CannotTranslate, Some("n"))
    );
    let marked = Part::Text(Text {
        cache: Some(CacheMark::default()),
        ..Text::new("a")
    });
    assert_eq!(write(&asking(vec![marked])).1.as_deref(), Some("cache_control"));
}

#[test]
fn p26_p29_thinking_is_told_as_the_model_takes_it() {
    let with = |amount, show| Request {
        thinking: Some(Thinking { amount, show }),
        ..asking(vec![Part::text("a")])
    };
    let told = |request: &Request| write(request).0["reasoning"].clone();
    assert_eq!(
        told(&with(ThinkingAmount::Effort(Effort::Xhigh), Some(true))),
        json!({"effort": "xhigh", "summary": "auto"})
    );
    assert_eq!(
        told(&with(ThinkingAmount::Budget(2_000), None)),
        json!({"effort": "low"})
    );
    assert_eq!(
        told(&with(ThinkingAmount::Budget(30_000), Some(false))),
        json!({"effort": "high"})
    );
    assert_eq!(told(&with(ThinkingAmount::Free, None)), Value::Null);
    let none = Profile {
        thinking: ThinkingStyle::None,
        sampling: false,
        ..Profile::default()
    };
    let (written, _, lost) = write_for(&with(ThinkingAmount::Effort(Effort::High), None), &none).unwrap();
    assert_eq!(lost.as_deref(), Some("reasoning"));
    assert!(written.get("include").is_none());
    let read =
        read(json!({"model": "m", "input": "a", "reasoning": {"effort": "new", "summary": "detailed"}}));
    let thinking = read.thinking.unwrap();
    assert_eq!(
        thinking.amount,
        ThinkingAmount::Effort(Effort::Other("new".to_owned()))
    );
    assert_eq!(thinking.show, Some(true));
}

#[test]
fn forms_of_the_answer_cross() {
    let request = read(
        json!({"model": "m", "input": "a", "text": {"verbosity": "high", "format":
        {"type": "json_schema", "name": "x", "strict": true, "schema": {"type": "object"}}}}),
    );
    let written = write(&request).0;
    assert_eq!(written["text"]["format"]["strict"], true);
    assert_eq!(written["text"]["verbosity"], "high");
    // The word has to be there somewhere.
    let request = Request {
        output: OutputFormat::JsonObject,
        ..asking(vec![Part::text("a")])
    };
    let written = write(&request).0;
    assert_eq!(written["text"]["format"], json!({"type": "json_object"}));
    assert_eq!(written["input"].as_array().unwrap().len(), 2);
    let request = Request {
        output: OutputFormat::JsonObject,
        ..asking(vec![Part::text("as Json")])
    };
    assert_eq!(write(&request).0["input"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let refused = |body: &str| {
        let refusal = read_request(body.as_bytes()).unwrap_err();
        (refusal.code, refusal.named())
    };
    assert_eq!(refused("[]"), (Code::InvalidJson, None));
    assert_eq!(refused("{}"), (Code::MissingMember, Some("model")));
    for (body, param) in [
        (r#"{"model":"m","input":5}"#, "input"),
        (r#"{"model":"m","input":[5]}"#, "input"),
        (r#"{"model":"m","input":[{"role":"user"}]}"#, "content"),
        (
            r#"{"model":"m","input":[{"type":"function_call","name":"f"}]}"#,
            "call_id",
        ),
        (
            r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#,
            "image_url",
        ),
        (r#"{"model":"m","input":"a","tools":{}}"#, "tools"),
        (r#"{"model":"m","input":"a","tool_choice":5}"#, "tool_choice"),
        (
            r#"{"model":"m","input":"a","text":{"format":{"type":"xml"}}}"#,
            "text.format",
        ),
    ] {
        assert_eq!(refused(body), (Code::InvalidValue, Some(param)), "{body}");
    }
}

#[test]
fn an_envelope_needs_a_model_and_no_input() {
    let looked = |body: Value| look(body.to_string().as_bytes(), &crate::json::Limits::default());
    let envelope =
        looked(json!({"model": "m", "previous_response_id": "r", "stream": true, "max_output_tokens": 9}))
            .unwrap();
    assert_eq!(
        (envelope.model.as_str(), envelope.stream, envelope.max_tokens),
        ("m", true, Some(9))
    );
    assert_eq!(looked(json!({"input": "a"})), Err(LookError::Missing("model")));
    assert_eq!(
        looked(json!({"model": "m", "input": 5})),
        Err(LookError::Invalid("input"))
    );
    assert_eq!(
        looked(json!({"model": "m", "api_base": "x"})),
        Err(LookError::Forbidden("api_base"))
    );
}
