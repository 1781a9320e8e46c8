//! Conversations that have to cross.

use serde_json::value::RawValue;

use crate::Dialect;
use crate::neutral::{
    Arguments, CacheMark, Effort, Media, MediaKind, MediaSource, OutputFormat, Part, Reasoning, Request,
    Role, Seal, ServiceTier, Text, Thinking, ThinkingAmount, Tool, ToolCall, ToolChoice, ToolKind,
    ToolResult, Turn,
};

pub(super) fn all() -> Vec<(&'static str, Request)> {
    let mut cases = conversations();
    cases.extend(with_media());
    cases.extend(with_tools());
    cases.extend(with_members());
    cases.extend(with_reasoning());
    cases
}

const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF: &str = "JVBERi0xLjQKJcOkw7zDtsOfCg==";

pub(super) fn user(text: &str) -> Turn {
    Turn::new(Role::User, vec![Part::text(text)])
}

pub(super) fn assistant(parts: Vec<Part>) -> Turn {
    Turn::new(Role::Assistant, parts)
}

pub(super) fn system(text: &str) -> Turn {
    Turn::new(Role::System, vec![Part::text(text)])
}

pub(super) fn of(turns: Vec<Turn>) -> Request {
    Request {
        model: "model".to_owned(),
        turns,
        max_tokens: Some(1_000),
        ..Request::default()
    }
}

fn media(kind: MediaKind, source: MediaSource, media_type: Option<&str>) -> Part {
    Part::Media(Media {
        kind,
        source,
        media_type: media_type.map(str::to_owned),
        name: (kind == MediaKind::Document).then(|| "a.pdf".to_owned()),
        detail: None,
        cache: None,
        raw: Vec::new(),
    })
}

fn image() -> Part {
    media(
        MediaKind::Image,
        MediaSource::Base64(PNG.to_owned()),
        Some("image/png"),
    )
}

fn conversations() -> Vec<(&'static str, Request)> {
    let with = |part: Part| {
        of(vec![Turn::new(
            Role::User,
            vec![Part::text("What is this?"), part],
        )])
    };
    vec![
        ("text", of(vec![user("Hello, \u{1F600} \u{e9}\u{2028}!")])),
        ("system", of(vec![system("Be brief."), user("Hello")])),
        (
            "two_systems",
            of(vec![system("Be brief."), system("Be kind."), user("Hello")]),
        ),
        (
            "multi_turn",
            of(vec![
                user("One"),
                assistant(vec![Part::text("Two")]),
                user("Three"),
            ]),
        ),
        (
            "system_in_the_middle",
            of(vec![
                user("One"),
                assistant(vec![Part::text("Two")]),
                system("From now on in French."),
                user("Three"),
            ]),
        ),
        (
            "consecutive_users",
            of(vec![user("One"), user("Two"), user("Three")]),
        ),
        (
            "consecutive_assistants",
            of(vec![
                user("One"),
                assistant(vec![Part::text("Two")]),
                assistant(vec![Part::text("Three")]),
                user("Four"),
            ]),
        ),
        ("image", with(image())),
        (
            "image_url",
            with(media(
                MediaKind::Image,
                MediaSource::Url("https://example.com/a.png".to_owned()),
                None,
            )),
        ),
        (
            "document",
            with(media(
                MediaKind::Document,
                MediaSource::Base64(PDF.to_owned()),
                Some("application/pdf"),
            )),
        ),
        (
            "image_before_text",
            of(vec![Turn::new(Role::User, vec![image(), Part::text("What?")])]),
        ),
        (
            "name",
            of(vec![Turn {
                name: Some("Ann".to_owned()),
                ..user("Hello")
            }]),
        ),
        (
            "empty_texts",
            of(vec![
                user(""),
                user("One"),
                assistant(vec![Part::text("")]),
                user("Two"),
            ]),
        ),
    ]
}

fn with_media() -> Vec<(&'static str, Request)> {
    let with = |part: Part| of(vec![Turn::new(Role::User, vec![Part::text("What?"), part])]);
    let url = |end: &str| MediaSource::Url(format!("https://example.com/a.{end}"));
    let data = || MediaSource::Base64(PDF.to_owned());
    let unnamed = |source: MediaSource| {
        let mut part = media(MediaKind::Document, source, Some("application/pdf"));
        if let Part::Media(media) = &mut part {
            media.name = None;
        }
        part
    };
    let mut near = image();
    if let Part::Media(media) = &mut near {
        media.detail = Some("low".to_owned());
    }
    vec![
        ("document_without_name", with(unnamed(data()))),
        ("document_url", with(unnamed(url("pdf")))),
        ("image_detail", with(near)),
        ("audio", with(media(MediaKind::Audio, data(), Some("audio/wav")))),
        ("video", with(media(MediaKind::Video, data(), Some("video/mp4")))),
    ]
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: name.to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
        seal: None,
        cache: None,
        raw: Vec::new(),
    })
}

pub(super) fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
    Part::ToolResult(ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts,
        is_error,
        is_free_text: false,
        cache: None,
        raw: Vec::new(),
    })
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn weather() -> Tool {
    Tool {
        name: "weather".to_owned(),
        description: Some("Tells the weather.".to_owned()),
        kind: ToolKind::Function {
            schema: Some(raw(
                r#"{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]}"#,
            )),
            strict: None,
        },
        cache: None,
        raw: Vec::new(),
    }
}

fn now() -> Tool {
    Tool {
        name: "now".to_owned(),
        description: None,
        kind: ToolKind::Function {
            schema: None,
            strict: None,
        },
        cache: None,
        raw: Vec::new(),
    }
}

pub(super) fn tooled(mut turns: Vec<Turn>, choice: Option<ToolChoice>) -> Request {
    turns.insert(0, user("What is the weather?"));
    Request {
        tools: vec![weather(), now()],
        tool_choice: choice,
        ..of(turns)
    }
}

fn answered(results: Vec<Part>) -> Request {
    let calls = assistant(vec![
        call("call_1", "weather", r#"{"city":"Paris","days":2}"#),
        call("call_2", "weather", r#"{"city":"Rome"}"#),
    ]);
    tooled(vec![calls, Turn::new(Role::User, results)], None)
}

fn with_tools() -> Vec<(&'static str, Request)> {
    let text = |text: &str| vec![Part::text(text)];
    let one = |parts, is_error| {
        let calls = assistant(vec![Part::text("I look."), call("call_1", "now", "")]);
        tooled(
            vec![
                calls,
                Turn::new(Role::User, vec![result("call_1", parts, is_error)]),
            ],
            None,
        )
    };
    vec![
        ("tools", tooled(Vec::new(), None)),
        ("tools_auto", tooled(Vec::new(), Some(ToolChoice::Auto))),
        ("tools_required", tooled(Vec::new(), Some(ToolChoice::Required))),
        ("tools_none", tooled(Vec::new(), Some(ToolChoice::None))),
        (
            "tools_one",
            tooled(Vec::new(), Some(ToolChoice::Tool("now".to_owned()))),
        ),
        (
            "tools_among",
            tooled(
                Vec::new(),
                Some(ToolChoice::Among {
                    names: vec!["now".to_owned()],
                    required: true,
                }),
            ),
        ),
        (
            "tools_not_parallel",
            Request {
                parallel_tools: Some(false),
                ..tooled(Vec::new(), None)
            },
        ),
        ("call_and_result", one(text("Sunny"), false)),
        (
            "result_object",
            one(text(r#"{"degrees":20,"wind":[1.5]}"#), false),
        ),
        ("result_empty", one(Vec::new(), false)),
        ("result_error", one(text("No such city"), true)),
        ("result_image", one(vec![Part::text("A map"), image()], false)),
        (
            "parallel_calls",
            answered(vec![
                result("call_1", text("Sunny"), false),
                result("call_2", text("Rain"), false),
            ]),
        ),
        (
            "results_out_of_order_and_text",
            answered(vec![
                result("call_2", text("Rain"), false),
                result("call_1", text("Sunny"), false),
                Part::text("And now?"),
            ]),
        ),
        (
            "a_name_that_breaks_rules",
            Request {
                tools: vec![Tool {
                    name: "mcp.weather".to_owned(),
                    ..weather()
                }],
                ..of(vec![
                    user("What?"),
                    assistant(vec![call(
                        "functions.weather:0",
                        "mcp.weather",
                        r#"{"city":"Paris"}"#,
                    )]),
                    Turn::new(
                        Role::User,
                        vec![result("functions.weather:0", text("Sunny"), false)],
                    ),
                ])
            },
        ),
        (
            "strict_tool",
            Request {
                tools: vec![Tool {
                    kind: ToolKind::Function {
                        schema: Some(raw(
                            r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#,
                        )),
                        strict: Some(true),
                    },
                    ..weather()
                }],
                ..of(vec![user("What?")])
            },
        ),
        (
            "free_text_tool",
            Request {
                tools: vec![Tool {
                    kind: ToolKind::FreeText { format: None },
                    name: "patch".to_owned(),
                    ..weather()
                }],
                ..of(vec![user("Patch it.")])
            },
        ),
    ]
}

fn with_members() -> Vec<(&'static str, Request)> {
    let with = |change: fn(&mut Request)| {
        let mut request = of(vec![user("Hello")]);
        change(&mut request);
        request
    };
    let schema = || OutputFormat::JsonSchema {
        name: Some("person".to_owned()),
        description: None,
        schema: raw(
            r#"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}"#,
        ),
        strict: Some(true),
    };
    vec![
        ("no_cap", with(|request| request.max_tokens = None)),
        (
            "temperature",
            with(|request| request.sampling.temperature = Some(0.5)),
        ),
        ("hot", with(|request| request.sampling.temperature = Some(1.5))),
        ("top_p", with(|request| request.sampling.top_p = Some(0.25))),
        ("top_k", with(|request| request.sampling.top_k = Some(5))),
        ("seed", with(|request| request.sampling.seed = Some(7))),
        (
            "penalties",
            with(|request| {
                request.sampling.frequency_penalty = Some(0.5);
                request.sampling.presence_penalty = Some(0.25);
            }),
        ),
        (
            "stop",
            with(|request| request.stop = vec!["END".to_owned(), "\n\n".to_owned()]),
        ),
        ("logprobs", with(|request| request.logprobs = Some(2))),
        (
            "flex",
            with(|request| request.service_tier = Some(ServiceTier::Flex)),
        ),
        (
            "json_object",
            with(|request| request.output = OutputFormat::JsonObject),
        ),
        (
            "json_schema",
            Request {
                output: schema(),
                ..of(vec![user("Who?")])
            },
        ),
        (
            "json_schema_and_tools",
            Request {
                output: schema(),
                ..tooled(Vec::new(), None)
            },
        ),
        (
            "low_effort",
            with(|request| request.thinking = Some(effort(Effort::Low))),
        ),
        (
            "high_effort",
            with(|request| request.thinking = Some(effort(Effort::High))),
        ),
        (
            "no_effort",
            with(|request| request.thinking = Some(effort(Effort::None))),
        ),
        (
            "budget",
            Request {
                thinking: Some(Thinking {
                    amount: ThinkingAmount::Budget(2_048),
                    show: Some(true),
                }),
                max_tokens: Some(10_000),
                ..of(vec![user("Hello")])
            },
        ),
        (
            "cache_mark",
            with(|request| {
                request.turns = vec![Turn::new(
                    Role::User,
                    vec![
                        Part::Text(Text {
                            cache: Some(CacheMark::default()),
                            ..Text::new("A long text")
                        }),
                        Part::text("and more"),
                    ],
                )];
            }),
        ),
    ]
}

fn effort(effort: Effort) -> Thinking {
    Thinking {
        amount: ThinkingAmount::Effort(effort),
        show: None,
    }
}

fn with_reasoning() -> Vec<(&'static str, Request)> {
    let sealed = |origin: Dialect, redacted: bool| {
        let reasoning = Part::Reasoning(Reasoning {
            texts: if redacted {
                Vec::new()
            } else {
                vec!["I think.".to_owned()]
            },
            is_summary: origin == Dialect::OpenaiResponses,
            seal: Some(Seal {
                origin,
                data: "EqQBCgIYAhIMc2VhbGVkdGhvdWdodA==".to_owned(),
            }),
            redacted,
            id: None,
        });
        let call = call("call_1", "now", "{}");
        let turn = Turn::new(
            Role::User,
            vec![result("call_1", vec![Part::text("Noon")], false)],
        );
        tooled(vec![assistant(vec![reasoning, call]), turn], None)
    };
    let mut signed = call("call_1", "now", "{}");
    if let Part::ToolCall(call) = &mut signed {
        call.seal = Some(Seal {
            origin: Dialect::GeminiGenerate,
            data: "CiQBVKhc7vB+dGhvdWdodHNpZ25hdHVyZQ==".to_owned(),
        });
    }
    let noon = Turn::new(
        Role::User,
        vec![result("call_1", vec![Part::text("Noon")], false)],
    );
    vec![
        ("thought_of_anthropic", sealed(Dialect::AnthropicMessages, false)),
        (
            "redacted_thought_of_anthropic",
            sealed(Dialect::AnthropicMessages, true),
        ),
        ("thought_of_openai", sealed(Dialect::OpenaiResponses, false)),
        (
            "signed_call_of_gemini",
            tooled(vec![assistant(vec![signed]), noon], None),
        ),
    ]
}
