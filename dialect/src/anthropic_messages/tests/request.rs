//! Requests: what each thing becomes on its way to Anthropic, and what is refused.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Dialect;
use crate::anthropic_messages::{read_request, write_request};
use crate::neutral::*;
use crate::refusal::Refusal;
use crate::spec::Spec;

const OWN: Dialect = Dialect::AnthropicMessages;

/// What became of a request: the body, what has to be turned back, and what was lost.
struct Outcome {
    body: Value,
    undo: Undo,
    lost: Vec<String>,
}

fn write(request: &Request, profile: &Profile) -> Result<Outcome, Refusal> {
    let mut losses = Losses::new(false);
    let target = Target {
        model: "claude",
        profile,
    };
    let written = write_request(request, &target, &mut losses)?;
    if let Some(spec) = Spec::anthropic() {
        // The document is older than effort, adaptive thinking and instructions among the messages.
        let problems = spec.problems("BetaCreateMessageParams", &written.body);
        let is_new = |problem: &String| {
            [
                "thinking",
                "role",
                "output_config",
                "messages",
                "eager_input_streaming",
            ]
            .iter()
            .any(|new| problem.contains(new))
        };
        let problems: Vec<_> = problems.into_iter().filter(|problem| !is_new(problem)).collect();
        assert_eq!(
            problems,
            Vec::<String>::new(),
            "{}",
            String::from_utf8_lossy(&written.body)
        );
    }
    Ok(Outcome {
        body: serde_json::from_slice(&written.body).unwrap(),
        undo: written.undo,
        lost: losses.lost().iter().map(|loss| loss.member.to_string()).collect(),
    })
}

fn written(request: &Request) -> Outcome {
    write(request, &Profile::default()).unwrap()
}

fn refused(request: &Request) -> Option<&'static str> {
    let refusal = write(request, &Profile::default()).err().expect("it is refused");
    refusal.named()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::text(text)])
}

fn asking(text: &str) -> Request {
    Request {
        model: "m".to_owned(),
        turns: vec![turn(Role::User, text)],
        ..Request::default()
    }
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        kind: ToolKind::Function {
            schema: None,
            strict: None,
        },
        cache: None,
        raw: Vec::new(),
    }
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: "look".to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
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

fn image(source: MediaSource, media_type: &str) -> Part {
    Part::Media(Media {
        kind: MediaKind::Image,
        source,
        media_type: Some(media_type.to_owned()),
        name: None,
        detail: None,
        cache: None,
        raw: Vec::new(),
    })
}

const BY_BUDGET: ThinkingStyle = ThinkingStyle::Budget {
    min: 1_024,
    max: 32_000,
    can_be_off: true,
};

#[test]
fn p22_only_the_leading_instructions_go_in_front() {
    let request = Request {
        turns: vec![
            turn(Role::System, "first"),
            turn(Role::User, "hi"),
            turn(Role::System, "later"),
        ],
        ..asking("")
    };
    let body = written(&request).body;
    assert_eq!(body["system"], "first");
    assert_eq!(
        body["messages"][1],
        json!({"role":"system","content":[{"type":"text","text":"later"}]})
    );
    let profile = Profile {
        system_anywhere: false,
        ..Profile::default()
    };
    let body = write(&request, &profile).unwrap().body;
    assert_eq!(body["messages"].as_array().unwrap().len(), 1);
    let told = body["messages"][0]["content"][1]["text"].as_str().unwrap();
    assert_eq!(told, "<system-reminder>\nlater\n</system-reminder>");
}

#[test]
fn p11_p22_results_stand_directly_after_their_calls_and_in_their_order() {
    let request = Request {
        turns: vec![
            turn(Role::User, "go"),
            Turn::new(Role::Assistant, vec![call("a", "{}")]),
            Turn::new(Role::Assistant, vec![call("b", "{\"x\": 1.0}")]),
            turn(Role::System, "be quick"),
            turn(Role::User, "and?"),
            Turn::new(Role::User, vec![result("b", vec![Part::text("2")])]),
            Turn::new(Role::User, vec![result("a", vec![Part::text("1")])]),
        ],
        tools: vec![tool("look")],
        ..asking("")
    };
    let body = written(&request).body;
    let roles: Vec<_> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "system", "user"]);
    let results = &body["messages"][2]["content"];
    assert_eq!(
        results[0],
        json!({"type":"tool_result","tool_use_id":"a","content":"1"})
    );
    assert_eq!(results[1]["tool_use_id"], "b");
    assert_eq!(body["messages"][1]["content"][1]["input"], json!({"x":1.0}));
}

#[test]
fn calls_without_results_and_results_without_calls_are_refused() {
    for turns in [
        vec![
            Turn::new(Role::Assistant, vec![call("a", "{}")]),
            turn(Role::User, "and?"),
        ],
        vec![Turn::new(Role::User, vec![result("a", Vec::new())])],
        vec![
            turn(Role::User, "go"),
            Turn::new(Role::Assistant, vec![call("a", "{}")]),
        ],
    ] {
        let refusal = write(&Request { turns, ..asking("") }, &Profile::default()).err();
        assert_eq!(refusal.map(|refusal| refusal.code.status()), Some(400));
    }
}

#[test]
fn p3_p5_arguments_are_always_an_object() {
    let with = |arguments: Arguments| {
        let mut part = call("a", "");
        if let Part::ToolCall(call) = &mut part {
            call.arguments = arguments;
        }
        let turns = vec![
            Turn::new(Role::Assistant, vec![part]),
            Turn::new(Role::User, vec![result("a", Vec::new())]),
        ];
        written(&Request { turns, ..asking("") }).body["messages"][0]["content"][0]["input"].clone()
    };
    let json = |text: &str| Arguments::Json(text.to_owned());
    assert_eq!(with(json("")), json!({}));
    assert_eq!(with(json("{\"a\":1}")), json!({"a":1}));
    assert_eq!(with(json("{\"a\":")), json!({"_raw":"{\"a\":"}));
    assert_eq!(with(json("[1]")), json!({"_raw":"[1]"}));
    assert_eq!(with(Arguments::Text("x".to_owned())), json!({"input":"x"}));
}

#[test]
fn p21_arguments_keep_their_spelling() {
    let turns = vec![
        Turn::new(
            Role::Assistant,
            vec![call("a", "{\"b\": 1e3,\"a\":12345678901234567890123}")],
        ),
        Turn::new(Role::User, vec![result("a", Vec::new())]),
    ];
    let request = Request { turns, ..asking("") };
    let target = Target {
        model: "m",
        profile: &Profile::default(),
    };
    let written = write_request(&request, &target, &mut Losses::new(false)).unwrap();
    let text = String::from_utf8(written.body).unwrap();
    assert!(
        text.contains("\"input\":{\"b\": 1e3,\"a\":12345678901234567890123}"),
        "{text}"
    );
}

#[test]
fn p7_p9_only_anthropics_own_thoughts_go_back() {
    let thought = |origin: Dialect, redacted: bool, text: &str| {
        Part::Reasoning(Reasoning {
            texts: vec![text.to_owned()]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect(),
            seal: Some(Seal {
                origin,
                data: "c2VhbA==".to_owned(),
            }),
            redacted,
            ..Reasoning::default()
        })
    };
    let parts = vec![
        thought(Dialect::GeminiGenerate, false, "theirs"),
        thought(OWN, false, "ours"),
        thought(OWN, false, ""),
        thought(OWN, true, ""),
        Part::Reasoning(Reasoning {
            texts: vec!["unproved".to_owned()],
            ..Reasoning::default()
        }),
        Part::text("answer"),
    ];
    let turns = vec![
        turn(Role::User, "q"),
        Turn::new(Role::Assistant, parts),
        turn(Role::User, "more"),
    ];
    let outcome = written(&Request { turns, ..asking("") });
    assert_eq!(
        outcome.body["messages"][1]["content"],
        json!([
            {"type":"thinking","thinking":"ours","signature":"c2VhbA=="},
            {"type":"thinking","thinking":"","signature":"c2VhbA=="},
            {"type":"redacted_thinking","data":"c2VhbA=="},
            {"type":"text","text":"answer"},
        ])
    );
    assert_eq!(outcome.lost, ["reasoning"]);
}

#[test]
fn p7_a_model_that_thinks_by_number_does_not_think_where_a_thought_is_missing() {
    let request = Request {
        turns: vec![
            turn(Role::User, "go"),
            Turn::new(Role::Assistant, vec![call("a", "{}")]),
            Turn::new(Role::User, vec![result("a", Vec::new())]),
        ],
        tools: vec![tool("look")],
        thinking: Some(Thinking {
            amount: ThinkingAmount::Effort(Effort::High),
            show: None,
        }),
        ..asking("")
    };
    let profile = Profile {
        thinking: BY_BUDGET,
        ..Profile::default()
    };
    let outcome = write(&request, &profile).unwrap();
    assert_eq!(
        (&outcome.body["thinking"], outcome.lost),
        (&Value::Null, vec!["reasoning".to_owned()])
    );
    let outcome = written(&request);
    assert_eq!(outcome.body["thinking"], json!({"type":"adaptive"}));
    assert!(outcome.lost.is_empty());
}

#[test]
fn p25_thinking_is_told_in_the_models_way_and_never_raises_a_cap() {
    use ThinkingAmount::{Budget, Free};
    let effort = ThinkingAmount::Effort;
    let with = |amount, cap, style| {
        let request = Request {
            max_tokens: cap,
            thinking: Some(Thinking {
                amount,
                show: Some(true),
            }),
            ..asking("q")
        };
        let profile = Profile {
            thinking: style,
            max_tokens: 64_000,
            ..Profile::default()
        };
        let Outcome { mut body, lost, .. } = write(&request, &profile).unwrap();
        if let Some(thinking) = body["thinking"].as_object_mut() {
            thinking.remove("display");
        }
        (
            body["thinking"].clone(),
            body["output_config"]["effort"].clone(),
            body["max_tokens"].clone(),
            lost.len(),
        )
    };
    let enabled = |budget| json!({"type":"enabled","budget_tokens":budget});
    let adaptive = json!({"type":"adaptive"});
    let off = json!({"type":"disabled"});
    let table = [
        (
            effort(Effort::High),
            None,
            ThinkingStyle::Effort,
            adaptive.clone(),
            json!("high"),
            64_000,
            0,
        ),
        (
            effort(Effort::Minimal),
            None,
            ThinkingStyle::Effort,
            adaptive.clone(),
            json!("low"),
            64_000,
            0,
        ),
        (
            effort(Effort::None),
            Some(9),
            ThinkingStyle::Effort,
            off.clone(),
            Value::Null,
            9,
            0,
        ),
        (
            Free,
            None,
            ThinkingStyle::Effort,
            adaptive.clone(),
            Value::Null,
            64_000,
            0,
        ),
        (
            Budget(5_000),
            None,
            ThinkingStyle::Effort,
            adaptive.clone(),
            json!("medium"),
            64_000,
            0,
        ),
        (
            effort(Effort::Low),
            None,
            BY_BUDGET,
            enabled(2_048),
            Value::Null,
            64_000,
            0,
        ),
        (
            effort(Effort::Max),
            None,
            BY_BUDGET,
            enabled(32_000),
            Value::Null,
            64_000,
            0,
        ),
        (
            effort(Effort::High),
            Some(4_096),
            BY_BUDGET,
            enabled(3_072),
            Value::Null,
            4_096,
            0,
        ),
        (
            effort(Effort::High),
            Some(2_000),
            BY_BUDGET,
            Value::Null,
            Value::Null,
            2_000,
            1,
        ),
        (
            Budget(100),
            None,
            BY_BUDGET,
            enabled(1_024),
            Value::Null,
            64_000,
            0,
        ),
        (effort(Effort::None), None, BY_BUDGET, off, Value::Null, 64_000, 0),
        (
            effort(Effort::High),
            None,
            ThinkingStyle::None,
            Value::Null,
            Value::Null,
            64_000,
            1,
        ),
    ];
    for (amount, cap, style, thinking, word, tokens, lost) in table {
        let told = format!("{amount:?} within {cap:?} for {style:?}");
        assert_eq!(
            with(amount, cap, style),
            (thinking, word, json!(tokens), lost),
            "{told}"
        );
    }
}

#[test]
fn p16_p17_tool_choice() {
    let with = |choice: Option<ToolChoice>, parallel| {
        let request = Request {
            tools: vec![tool("a"), tool("b")],
            tool_choice: choice,
            parallel_tools: parallel,
            ..asking("q")
        };
        written(&request).body
    };
    let table = [
        (None, None, Value::Null),
        (
            None,
            Some(false),
            json!({"type":"auto","disable_parallel_tool_use":true}),
        ),
        (Some(ToolChoice::Auto), None, json!({"type":"auto"})),
        (Some(ToolChoice::None), Some(false), json!({"type":"none"})),
        (
            Some(ToolChoice::Required),
            Some(false),
            json!({"type":"any","disable_parallel_tool_use":true}),
        ),
        (
            Some(ToolChoice::Tool("a".to_owned())),
            None,
            json!({"type":"tool","name":"a"}),
        ),
    ];
    for (choice, parallel, expected) in table {
        assert_eq!(
            with(choice.clone(), parallel)["tool_choice"],
            expected,
            "{choice:?}"
        );
    }
    let among = ToolChoice::Among {
        names: vec!["b".to_owned()],
        required: true,
    };
    let body = with(Some(among), None);
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tool_choice"], json!({"type":"any"}));
    let request = Request {
        tools: vec![tool("a")],
        tool_choice: Some(ToolChoice::Required),
        thinking: Some(Thinking {
            amount: ThinkingAmount::Free,
            show: None,
        }),
        ..asking("q")
    };
    let outcome = written(&request);
    assert_eq!(outcome.body["thinking"], Value::Null);
    assert_eq!(outcome.lost, ["reasoning"]);
    for (amount, is_refused) in [
        (ThinkingAmount::Effort(Effort::High), true),
        (ThinkingAmount::Budget(2_000), true),
        (ThinkingAmount::Effort(Effort::None), false),
    ] {
        let request = Request {
            thinking: Some(Thinking { amount, show: None }),
            ..request.clone()
        };
        let refusal = write(&request, &Profile::default()).err();
        let named = refusal.map(|refusal| refusal.named());
        assert_eq!(named, is_refused.then_some(Some("tool_choice")));
    }
    assert_eq!(
        written(&Request {
            tool_choice: Some(ToolChoice::Auto),
            ..asking("q")
        })
        .body["tool_choice"],
        Value::Null,
        "a choice without tools is refused there"
    );
}

#[test]
fn p14_names_that_anthropic_does_not_take_are_turned_back() {
    let mut request = asking("q");
    request.tools = vec![tool("a.b c"), tool("fine")];
    request.tool_choice = Some(ToolChoice::Tool("a.b c".to_owned()));
    let Outcome { body, undo, .. } = written(&request);
    let sent = body["tools"][0]["name"].as_str().unwrap();
    assert_eq!(body["tool_choice"]["name"], sent);
    assert_eq!(undo.names.original(sent), Some("a.b c"));
    assert_eq!(undo.names.original("fine"), None);
}

#[test]
fn p13_ids_are_cleaned_alike_in_call_and_result() {
    let turns = vec![
        Turn::new(Role::Assistant, vec![call("functions.Bash:0", "{}")]),
        Turn::new(Role::User, vec![result("functions.Bash:0", Vec::new())]),
    ];
    let body = written(&Request { turns, ..asking("") }).body;
    let id = body["messages"][0]["content"][0]["id"].as_str().unwrap();
    assert!(
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    );
    assert_eq!(body["messages"][1]["content"][0]["tool_use_id"], id);
}

#[test]
fn tools_are_defined_in_anthropics_way() {
    let mut request = asking("q");
    let schema = raw(r#"{"properties":{"b":{},"a":{}},"required":["b"]}"#);
    request.tools = vec![
        tool("bare"),
        Tool {
            kind: ToolKind::Function {
                schema: Some(schema),
                strict: Some(false),
            },
            description: Some("d".to_owned()),
            cache: Some(CacheMark {
                ttl: Some("1h".to_owned()),
            }),
            ..tool("typeless")
        },
        Tool {
            kind: ToolKind::FreeText { format: None },
            ..tool("patch")
        },
    ];
    let Outcome { body, undo, .. } = written(&request);
    assert_eq!(
        body["tools"][0],
        json!({"name":"bare","input_schema":{"type":"object","properties":{}}})
    );
    assert_eq!(body["tools"][1]["input_schema"]["type"], "object");
    assert_eq!(
        body["tools"][1]["cache_control"],
        json!({"type":"ephemeral","ttl":"1h"})
    );
    assert_eq!(body["tools"][2]["input_schema"]["required"], json!(["input"]));
    assert_eq!(undo.free_text_tools, ["patch"]);
    request.tools = vec![Tool {
        kind: ToolKind::Server(Raw::new(
            Dialect::OpenaiResponses,
            "",
            raw(r#"{"type":"web_search"}"#),
        )),
        ..tool("")
    }];
    assert_eq!(refused(&request), Some("tools"));
}

#[test]
fn p33_strict_is_kept_where_the_model_can_be_held_to_the_schema() {
    let with = |schema: &str| {
        let mut request = asking("q");
        request.tools = vec![Tool {
            kind: ToolKind::Function {
                schema: Some(raw(schema)),
                strict: Some(true),
            },
            ..tool("a")
        }];
        let Outcome { body, lost, .. } = written(&request);
        (body["tools"][0]["strict"] == true, lost)
    };
    let closed = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    assert_eq!(with(closed), (true, Vec::new()));
    let recursive = r##"{"type":"object","properties":{"a":{"$ref":"#"}},"additionalProperties":false}"##;
    assert_eq!(with(recursive), (false, vec!["tools.strict".to_owned()]));
}

#[test]
fn p31_p35_a_schema_for_the_answer_is_native_or_a_tool() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;
    let mut request = asking("q");
    request.output = OutputFormat::JsonSchema {
        name: Some("n".to_owned()),
        description: None,
        schema: raw(schema),
        strict: Some(true),
    };
    let Outcome { body, undo, .. } = written(&request);
    assert_eq!(body["output_config"]["format"]["type"], "json_schema");
    assert!(undo.is_empty());
    let old = Profile {
        json_schema: false,
        thinking: BY_BUDGET,
        ..Profile::default()
    };
    let Outcome { body, undo, .. } = write(&request, &old).unwrap();
    let name = undo.schema_tool.unwrap();
    assert_eq!(body["tools"][0]["name"], name);
    assert_eq!(body["tool_choice"], json!({"type":"tool","name":name}));
    request.tools = vec![tool(&name)];
    let Outcome { body, undo, .. } = write(&request, &old).unwrap();
    assert_ne!(
        undo.schema_tool.as_ref(),
        Some(&name),
        "a client's tool keeps its name"
    );
    assert_eq!(body["tool_choice"], json!({"type":"any"}));
    request.tools.clear();
    request.thinking = Some(Thinking {
        amount: ThinkingAmount::Budget(2_000),
        show: None,
    });
    let Outcome { body, .. } = write(&request, &old).unwrap();
    assert_eq!(body["tool_choice"], json!({"type":"auto"}));
    assert_eq!(body["thinking"]["type"], "enabled");
    assert!(body["system"].as_str().unwrap().contains(&name));
}

#[test]
fn any_json_object_is_asked_for_in_words() {
    let request = Request {
        turns: vec![turn(Role::System, "be kind"), turn(Role::User, "q")],
        output: OutputFormat::JsonObject,
        ..asking("")
    };
    let body = written(&request).body;
    assert_eq!(body["system"][0]["text"], "be kind");
    assert!(
        body["system"][1]["text"]
            .as_str()
            .unwrap()
            .contains("JSON object")
    );
}

#[test]
fn p26_sampling_is_clamped_or_left_out() {
    let with = |sampling: &Sampling, taken| {
        let request = Request {
            sampling: sampling.clone(),
            ..asking("q")
        };
        let profile = Profile {
            sampling: taken,
            ..Profile::default()
        };
        let Outcome { body, lost, .. } = write(&request, &profile).unwrap();
        (
            body["temperature"].clone(),
            body["top_p"].clone(),
            body["top_k"].clone(),
            lost,
        )
    };
    let all = Sampling {
        temperature: Some(1.5),
        top_p: Some(0.5),
        top_k: Some(40),
        seed: Some(1),
        frequency_penalty: Some(0.0),
        presence_penalty: Some(0.1),
    };
    let lost = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let expected = (
        json!(1.0),
        json!(0.5),
        json!(40),
        lost(&["temperature", "seed", "presence_penalty"]),
    );
    assert_eq!(with(&all, true), expected);
    let expected = (
        Value::Null,
        Value::Null,
        Value::Null,
        lost(&["temperature", "top_p", "top_k", "seed", "presence_penalty"]),
    );
    assert_eq!(with(&all, false), expected);
    let both = Sampling {
        temperature: Some(0.2),
        top_p: Some(0.5),
        ..Sampling::default()
    };
    assert_eq!(
        with(&both, true),
        (json!(0.2), Value::Null, Value::Null, lost(&["top_p"]))
    );
    let usual = Sampling {
        temperature: Some(1.0),
        top_p: Some(1.0),
        ..Sampling::default()
    };
    assert_eq!(
        with(&usual, false),
        (json!(1.0), Value::Null, Value::Null, lost(&[]))
    );
}

#[test]
fn p42_blank_stop_sequences_are_watched_for_here() {
    let mut request = asking("q");
    request.stop = vec!["\n\n".to_owned(), "END".to_owned()];
    let Outcome { body, undo, .. } = written(&request);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(undo.stop, ["\n\n"]);
    request.stop = vec![String::new()];
    assert_eq!(refused(&request), Some("stop"));
}

#[test]
fn p40_p41_the_end_of_a_conversation() {
    let with = |turns: Vec<Turn>, prefill| {
        let profile = Profile {
            prefill,
            ..Profile::default()
        };
        write(&Request { turns, ..asking("") }, &profile)
    };
    let beginning = || vec![turn(Role::User, "q"), turn(Role::Assistant, "It is \n")];
    assert_eq!(with(beginning(), false).err().unwrap().named(), Some("messages"));
    let body = with(beginning(), true).unwrap().body;
    assert_eq!(body["messages"][1]["content"][0]["text"], "It is");
    let paused = vec![
        turn(Role::User, "q"),
        Turn::new(
            Role::Assistant,
            vec![Part::Raw(Raw::new(OWN, "", raw(r#"{"type":"server_tool_use"}"#)))],
        ),
    ];
    assert!(
        with(paused, false).is_ok(),
        "a paused turn is sent back to be continued"
    );
    let blank = vec![
        turn(Role::User, "q"),
        turn(Role::Assistant, "  "),
        Turn::new(Role::User, vec![Part::text(""), Part::text("more")]),
    ];
    let body = with(blank, false).unwrap().body;
    assert_eq!(
        body["messages"],
        json!([{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"more"}]}])
    );
    assert_eq!(
        with(vec![turn(Role::System, "only")], false)
            .err()
            .unwrap()
            .named(),
        Some("messages")
    );
}

#[test]
fn p39_media_are_what_their_bytes_say() {
    let with = |part: Part| written_media(part, &Profile::default());
    let png = "iVBORw0KGgoAAAANSUhEUg==";
    let source = with(image(MediaSource::Base64(png.to_owned()), "image/jpeg")).unwrap();
    assert_eq!(
        source["source"],
        json!({"type":"base64","media_type":"image/png","data":png})
    );
    assert_eq!(
        with(image(MediaSource::Base64("AAEC".to_owned()), "image/tiff")),
        Err(Some("messages.content.media_type"))
    );
    let url = || image(MediaSource::Url("https://x/y.png".to_owned()), "image/png");
    assert_eq!(
        with(url()).unwrap()["source"],
        json!({"type":"url","url":"https://x/y.png"})
    );
    let profile = Profile {
        image_urls: false,
        ..Profile::default()
    };
    assert_eq!(written_media(url(), &profile), Err(Some("messages.content.url")));
    let file = |origin| MediaSource::File {
        origin,
        id: "f".to_owned(),
    };
    assert_eq!(
        with(image(file(OWN), "")).unwrap()["source"],
        json!({"type":"file","file_id":"f"})
    );
    assert_eq!(
        with(image(file(Dialect::OpenaiChat), "")),
        Err(Some("messages.content.file_id"))
    );
    let document = |source, media_type: &str, kind| {
        Part::Media(Media {
            kind,
            source,
            media_type: Some(media_type.to_owned()),
            name: Some("t".to_owned()),
            detail: None,
            cache: None,
            raw: Vec::new(),
        })
    };
    let text = with(document(
        MediaSource::Base64("aGk=".to_owned()),
        "text/csv",
        MediaKind::Document,
    ))
    .unwrap();
    assert_eq!(
        text["source"],
        json!({"type":"text","media_type":"text/plain","data":"hi"})
    );
    assert_eq!(text["title"], "t");
    let pdf = with(document(
        MediaSource::Base64("JVBERi0x".to_owned()),
        "",
        MediaKind::Document,
    ))
    .unwrap();
    assert_eq!(pdf["source"]["media_type"], "application/pdf");
    let audio = document(
        MediaSource::Base64("AAEC".to_owned()),
        "audio/wav",
        MediaKind::Audio,
    );
    assert_eq!(with(audio), Err(Some("messages.content.input_audio")));
}

fn written_media(part: Part, profile: &Profile) -> Result<Value, Option<&'static str>> {
    let request = Request {
        turns: vec![Turn::new(Role::User, vec![part])],
        ..asking("")
    };
    let outcome = write(&request, profile).map_err(|refusal| refusal.named())?;
    Ok(outcome.body["messages"][0]["content"][0].clone())
}

#[test]
fn results_may_hold_images_and_be_errors() {
    let mut failed = result(
        "a",
        vec![
            Part::text("no"),
            image(MediaSource::Base64("R0lGODlh".to_owned()), ""),
        ],
    );
    if let Part::ToolResult(result) = &mut failed {
        result.is_error = true;
    }
    let turns = vec![
        Turn::new(Role::Assistant, vec![call("a", "{}")]),
        Turn::new(Role::User, vec![failed]),
    ];
    let body = written(&Request { turns, ..asking("") }).body;
    let block = &body["messages"][1]["content"][0];
    assert_eq!(block["is_error"], true);
    assert_eq!(block["content"][1]["source"]["media_type"], "image/gif");
}

#[test]
fn p20_at_most_four_marks_are_set_and_the_last_reach_furthest() {
    let marked = |text: &str| {
        Part::Text(Text {
            cache: Some(CacheMark { ttl: None }),
            ..Text::new(text)
        })
    };
    let mut request = asking("");
    request.turns = vec![
        Turn::new(Role::System, vec![marked("s"), Part::text("t")]),
        Turn::new(Role::User, ["1", "2", "3", "4"].map(marked).to_vec()),
    ];
    let outcome = written(&request);
    let set: Vec<_> = outcome.body["messages"][0]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["cache_control"].is_object())
        .collect();
    assert_eq!(set, [false, true, true, true]);
    assert_eq!(
        outcome.body["system"][0]["cache_control"],
        json!({"type":"ephemeral"})
    );
    assert_eq!(outcome.lost, ["cache_control"]);
}

#[test]
fn p44_p57_tiers_and_caps() {
    let with = |tier| {
        let request = Request {
            service_tier: Some(tier),
            ..asking("q")
        };
        let Outcome { body, lost, .. } = written(&request);
        (body["service_tier"].as_str().map(str::to_owned), lost.len())
    };
    assert_eq!(with(ServiceTier::Standard), (Some("standard_only".to_owned()), 0));
    assert_eq!(with(ServiceTier::Auto), (Some("auto".to_owned()), 0));
    assert_eq!(with(ServiceTier::Priority), (Some("auto".to_owned()), 1));
    assert_eq!(with(ServiceTier::Flex), (None, 1));
    let profile = Profile {
        max_tokens: 8_192,
        ..Profile::default()
    };
    assert_eq!(write(&asking("q"), &profile).unwrap().body["max_tokens"], 8_192);
}

#[test]
fn what_has_no_word_is_refused_or_told() {
    let request = Request {
        choices: Some(2),
        ..asking("q")
    };
    assert_eq!(refused(&request), Some("n"));
    let request = Request {
        logprobs: Some(0),
        ..asking("q")
    };
    assert_eq!(refused(&request), Some("logprobs"));
    let request = Request {
        user: Some("someone".to_owned()),
        raw: vec![Raw::new(Dialect::OpenaiChat, "verbosity", raw("\"low\""))],
        ..asking("q")
    };
    let outcome = written(&request);
    assert_eq!(outcome.lost, ["verbosity"]);
    assert_eq!(outcome.body["metadata"], json!({"user_id": "someone"}));
    let mut losses = Losses::new(true);
    let target = Target {
        model: "m",
        profile: &Profile::default(),
    };
    assert!(
        write_request(&request, &target, &mut losses).is_err(),
        "a strict tenant loses nothing"
    );
}

/// As a coding agent sends it.
const CLAUDE_CODE: &str = r#"{
    "model": "claude-sonnet", "max_tokens": 32000, "stream": true,
    "metadata": {"user_id": "user_ab_account_12_session_34"},
    "system": [
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ],
    "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tools": [{"name": "Bash", "description": "run", "input_schema": {"type": "object"}, "eager_input_streaming": true}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a", "is_error": false},
            {"type": "text", "text": "<system-reminder>x</system-reminder>"}
        ]}
    ]
}"#;

#[test]
fn p52_p60_what_a_coding_agent_sends_can_cross() {
    let request = read_request(CLAUDE_CODE.as_bytes()).unwrap();
    assert_eq!(request.user.as_deref(), Some("user_ab_account_12_session_34"));
    assert_eq!(
        request.thinking.as_ref().unwrap().amount,
        ThinkingAmount::Effort(Effort::High)
    );
    assert_eq!(request.turns.len(), 4);
    let mut losses = Losses::new(false);
    foreign(&request, Dialect::OpenaiChat, &Profile::default(), &mut losses).unwrap();
    assert_eq!(losses.header(), None, "it asks to keep what is kept anyway");
    let back = written(&request).body;
    let original: Value = serde_json::from_str(CLAUDE_CODE).unwrap();
    for name in [
        "metadata",
        "system",
        "thinking",
        "output_config",
        "context_management",
        "tools",
    ] {
        assert_eq!(back[name], original[name], "{name}");
    }
}

#[test]
fn what_is_no_request_is_refused_by_name() {
    let with = |members: &str| {
        let body = format!("{{\"model\":\"m\",\"max_tokens\":1,{members}}}");
        read_request(body.as_bytes()).err().map(|refusal| refusal.named())
    };
    assert_eq!(with(r#""messages":[{"role":"user"}]"#), Some(Some("messages")));
    assert_eq!(
        with(r#""messages":[{"role":"user","content":5}]"#),
        Some(Some("messages"))
    );
    assert_eq!(
        with(r#""messages":[],"tools":[{"input_schema":{}}]"#),
        Some(Some("tools"))
    );
    assert_eq!(
        with(r#""messages":[],"tool_choice":{"type":"tool"}"#),
        Some(Some("tool_choice"))
    );
    assert_eq!(
        with(r#""messages":[],"thinking":{"type":"enabled"}"#),
        Some(Some("thinking"))
    );
    assert_eq!(
        with(r#""messages":[],"output_config":{"format":{"type":"xml"}}"#),
        Some(Some("output_config"))
    );
    assert_eq!(
        read_request(b"[]").err().map(|refusal| refusal.named()),
        Some(None)
    );
}

#[test]
fn p7_seals_come_back_from_clients_in_blocks_and_ids() {
    let gemini = Seal {
        origin: Dialect::GeminiGenerate,
        data: "Z2VtaW5p".to_owned(),
    };
    let carried = carry::opaque(&gemini);
    let id = carry::tool_call_id(
        "call_1",
        &[carry::CarriedSeal {
            seal: gemini.clone(),
            is_reasoning: false,
            redacted: false,
        }],
    );
    let body = json!({"model":"m","max_tokens":1,"messages":[
        {"role":"assistant","content":[
            {"type":"thinking","thinking":"t","signature":carried},
            {"type":"redacted_thinking","data":carried},
            {"type":"tool_use","id":id,"name":"n","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":id}]}]});
    let request = read_request(body.to_string().as_bytes()).unwrap();
    let Turn { parts, .. } = &request.turns[0];
    let sealed = |part: &Part| match part {
        Part::Reasoning(reasoning) => (reasoning.seal.clone(), reasoning.redacted),
        Part::ToolCall(call) => (call.seal.clone(), call.id != "call_1"),
        _ => (None, false),
    };
    let expected = [
        (Some(gemini.clone()), false),
        (Some(gemini.clone()), true),
        (Some(gemini), false),
    ];
    assert_eq!(parts.iter().map(sealed).collect::<Vec<_>>(), expected);
    assert!(matches!(&request.turns[1].parts[0], Part::ToolResult(result) if result.call_id == "call_1"));
}
