//! Requests and answers, one test for each thing that goes wrong elsewhere.

use serde_json::{Value, json};

use super::*;
use crate::Dialect;
use crate::neutral::{
    Arguments, CacheMark, Citation, Effort, Finish, Heading, Media, MediaKind, MediaSource, OutputFormat,
    Part, Raw, Reasoning, Role, Seal, Thinking, ThinkingAmount, Tool, ToolCall, ToolChoice, ToolKind,
    ToolResult, Turn,
};
use crate::refusal::Code;

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        id_is_ours: false,
        name: name.to_owned(),
        arguments: Arguments::Json(arguments.to_owned()),
        seal: None,
        cache: None,
        raw: Vec::new(),
    }
}

fn result(id: &str, text: &str) -> ToolResult {
    ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts: vec![Part::text(text)],
        is_error: false,
        is_free_text: false,
        cache: None,
        raw: Vec::new(),
    }
}

fn user(text: &str) -> Turn {
    Turn::new(Role::User, vec![Part::text(text)])
}

fn system(text: &str) -> Turn {
    Turn::new(Role::System, vec![Part::text(text)])
}

fn function(name: &str, schema: Option<&str>) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        kind: ToolKind::Function {
            schema: schema.map(raw_json),
            strict: None,
        },
        cache: None,
        raw: Vec::new(),
    }
}

fn raw_json(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(text.to_owned()).unwrap()
}

fn request(turns: Vec<Turn>) -> Request {
    Request {
        turns,
        ..Request::default()
    }
}

fn media(source: MediaSource, media_type: Option<&str>) -> Media {
    Media {
        kind: MediaKind::Image,
        source,
        media_type: media_type.map(str::to_owned),
        name: None,
        detail: None,
        cache: None,
        raw: Vec::new(),
    }
}

fn lost(request: &Request, profile: &Profile) -> Option<String> {
    written(request, profile).unwrap().1
}

fn refused(request: &Request, profile: &Profile) -> (Code, Option<&'static str>) {
    let refusal = written(request, profile).unwrap_err();
    (refusal.code, refusal.named())
}

/// A question, the calls of an answer, and these turns.
fn after_calls(calls: Vec<ToolCall>, turns: Vec<Turn>) -> Request {
    let calls = calls.into_iter().map(Part::ToolCall).collect();
    let mut all = vec![user("q"), Turn::new(Role::Assistant, calls)];
    all.extend(turns);
    request(all)
}

#[test]
fn p10_p11_p12_results_stand_in_call_order_under_the_functions_name_and_ids_go_back_where_google_gave_them() {
    let calls = vec![
        call("call_tlg_r_0", "a", "{}"),
        call("call_tlgg_g1", "b", "{}"),
        call("call_of_a_client", "a", ""),
    ];
    let results = vec![
        Turn::new(
            Role::User,
            vec![Part::ToolResult(result("call_of_a_client", "third"))],
        ),
        Turn::new(
            Role::User,
            vec![
                Part::ToolResult(result("call_tlg_r_0", "first")),
                Part::text("and now?"),
            ],
        ),
        Turn::new(
            Role::User,
            vec![Part::ToolResult(result("call_tlgg_g1", "{\"x\": 1.0}"))],
        ),
    ];
    let found = body(&after_calls(calls, results), &second());
    let contents = found["contents"].as_array().unwrap();
    assert_eq!(contents.len(), 4);
    assert_eq!(
        contents[2],
        json!({"role":"user","parts":[
            {"functionResponse":{"name":"a","response":{"result":"first"}}},
            {"functionResponse":{"id":"g1","name":"b","response":{"x":1.0}}},
            {"functionResponse":{"name":"a","response":{"result":"third"}}},
        ]})
    );
    assert_eq!(contents[3], json!({"role":"user","parts":[{"text":"and now?"}]}));
    assert_eq!(
        contents[1]["parts"][0],
        json!({"functionCall":{"name":"a","args":{}}})
    );
    assert_eq!(
        contents[1]["parts"][1],
        json!({"functionCall":{"id":"g1","name":"b","args":{}}})
    );
    assert_eq!(
        contents[1]["parts"][2],
        json!({"functionCall":{"name":"a","args":{}}})
    );
}

#[test]
fn calls_without_results_and_results_without_calls_are_refused() {
    let calls = || vec![call("1", "a", "{}"), call("2", "a", "{}")];
    let one = Turn::new(Role::User, vec![Part::ToolResult(result("1", "x"))]);
    let other = Turn::new(Role::User, vec![Part::ToolResult(result("3", "x"))]);
    for turns in [vec![one.clone(), user("go on")], vec![one, other.clone()]] {
        assert_eq!(
            refused(&after_calls(calls(), turns), &third()).0,
            Code::InvalidValue
        );
    }
    assert_eq!(
        refused(&request(vec![user("a"), other]), &third()).0,
        Code::InvalidValue
    );
}

#[test]
fn p5_arguments_are_objects_whatever_the_model_wrote_and_keep_their_spelling() {
    let spelled = "{\"b\": 1.0,\"a\":12345678901234567890}";
    let (written, _) = written(
        &after_calls(
            vec![call("1", "f", spelled)],
            vec![Turn::new(Role::User, vec![Part::ToolResult(result("1", ""))])],
        ),
        &second(),
    )
    .unwrap();
    assert!(String::from_utf8(written.body).unwrap().contains(spelled));
    for (arguments, expected) in [
        ("", json!({})),
        ("[1]", json!({"_raw":"[1]"})),
        ("{\"a\":", json!({"_raw":"{\"a\":"})),
    ] {
        let request = after_calls(
            vec![call("1", "f", arguments)],
            vec![Turn::new(Role::User, vec![Part::ToolResult(result("1", ""))])],
        );
        assert_eq!(
            body(&request, &second())["contents"][1]["parts"][0]["functionCall"]["args"],
            expected
        );
    }
}

#[test]
fn p7_a_call_that_nothing_signed_says_so_once_a_turn_on_models_that_look() {
    let signed = ToolCall {
        seal: Some(Seal {
            origin: Dialect::GeminiGenerate,
            data: "c2VhbA==".to_owned(),
        }),
        ..call("1", "a", "{}")
    };
    let results = || {
        vec![Turn::new(
            Role::User,
            vec![
                Part::ToolResult(result("1", "")),
                Part::ToolResult(result("2", "")),
            ],
        )]
    };
    let signature = |calls: Vec<ToolCall>, profile: &Profile| {
        let found = body(&after_calls(calls, results()), profile);
        let parts = found["contents"][1]["parts"].as_array().unwrap().clone();
        parts
            .iter()
            .map(|part| part["thoughtSignature"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let bare = || vec![call("1", "a", "{}"), call("2", "b", "{}")];
    assert_eq!(
        signature(bare(), &third()),
        [Some("skip_thought_signature_validator".to_owned()), None]
    );
    assert_eq!(signature(bare(), &second()), [None, None]);
    assert_eq!(
        signature(vec![signed.clone(), call("2", "b", "{}")], &third()),
        [Some("c2VhbA==".to_owned()), None]
    );
    // A seal of another vendor is none here.
    let mut foreign = signed;
    foreign.seal.as_mut().unwrap().origin = Dialect::AnthropicMessages;
    assert_eq!(
        signature(vec![foreign, call("2", "b", "{}")], &second()),
        [None, None]
    );
}

#[test]
fn p8_what_a_client_kept_of_a_stream_piece_by_piece_is_what_was_said() {
    let asked = read_text(
        r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[
            {"text":"I th","thought":true},{"text":"ink.","thought":true},{"thought":true,"text":"","thoughtSignature":"c2VhbA=="},
            {"functionCall":{"name":"now"}},{"text":""}]},
            {"role":"user","parts":[{"functionResponse":{"name":"now","response":{}}}]}]}"#,
    );
    let parts = &asked.turns[1].parts;
    let [Part::Reasoning(thought), Part::ToolCall(_)] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert_eq!(thought.texts, ["I think."]);
    assert!(thought.seal.is_some() && !thought.redacted);
}

#[test]
fn p9_foreign_seals_are_never_written_to_google() {
    let reasoning = |origin: Dialect| {
        Part::Reasoning(Reasoning {
            texts: vec!["hm".to_owned()],
            seal: Some(Seal {
                origin,
                data: "secret".to_owned(),
            }),
            ..Reasoning::default()
        })
    };
    let turns = |origin| {
        vec![
            user("q"),
            Turn::new(Role::Assistant, vec![reasoning(origin), Part::text("a")]),
            user("r"),
        ]
    };
    for origin in [
        Dialect::OpenaiChat,
        Dialect::OpenaiResponses,
        Dialect::AnthropicMessages,
    ] {
        let (written, lost) = written(&request(turns(origin)), &third()).unwrap();
        assert!(!String::from_utf8(written.body).unwrap().contains("secret"));
        assert_eq!(lost.as_deref(), Some("reasoning"));
    }
    let own = body(&request(turns(Dialect::GeminiGenerate)), &third());
    assert_eq!(
        own["contents"][1]["parts"][0],
        json!({"text":"hm","thought":true,"thoughtSignature":"secret"})
    );
}

#[test]
fn p14_p66_names_and_free_text_tools_are_turned_back() {
    let mut asked = request(vec![user("q")]);
    asked.tools = vec![
        function("1 apply.patch", None),
        Tool {
            kind: ToolKind::FreeText {
                format: Some(raw_json(r#"{"type":"grammar"}"#)),
            },
            ..function("patch", None)
        },
    ];
    asked.tool_choice = Some(ToolChoice::Tool("1 apply.patch".to_owned()));
    let (written, lost) = written(&asked, &third()).unwrap();
    let found: Value = serde_json::from_slice(&written.body).unwrap();
    let functions = &found["tools"][0]["functionDeclarations"];
    let sent = functions[0]["name"].as_str().unwrap();
    assert_eq!(written.undo.names.original(sent), Some("1 apply.patch"));
    assert_eq!(
        found["toolConfig"]["functionCallingConfig"],
        json!({"mode":"ANY","allowedFunctionNames":[sent]})
    );
    assert_eq!(functions[1]["parametersJsonSchema"]["required"], json!(["input"]));
    assert_eq!(written.undo.free_text_tools, ["patch"]);
    assert_eq!(lost.as_deref(), Some("tools.format"));
}

#[test]
fn choices_of_tools_have_their_mode() {
    let among = |required: bool| ToolChoice::Among {
        names: vec!["a".to_owned(), "b".to_owned()],
        required,
    };
    for (choice, mode, names) in [
        (ToolChoice::Auto, "AUTO", json!(null)),
        (ToolChoice::None, "NONE", json!(null)),
        (ToolChoice::Required, "ANY", json!(null)),
        (ToolChoice::Tool("a".to_owned()), "ANY", json!(["a"])),
        (among(true), "ANY", json!(["a", "b"])),
        (among(false), "VALIDATED", json!(["a", "b"])),
    ] {
        let mut asked = request(vec![user("q")]);
        asked.tools = vec![function("a", None), function("b", None)];
        asked.tool_choice = Some(choice.clone());
        let (written, _) = written(&asked, &third()).unwrap();
        let found: Value = serde_json::from_slice(&written.body).unwrap();
        let calling = &found["toolConfig"]["functionCallingConfig"];
        assert_eq!(
            (&calling["mode"], &calling["allowedFunctionNames"]),
            (&json!(mode), &names)
        );
        let again = read_request(&written.body, "m", false).unwrap();
        assert_eq!(again.tool_choice, Some(choice));
    }
}

#[test]
fn p17_p26_p42_what_cannot_be_said_is_told_or_refused_by_name() {
    let mut asked = request(vec![user("q")]);
    asked.parallel_tools = Some(false);
    asked.user = Some("Not a label".to_owned());
    asked.cache = Some(CacheMark::default());
    asked.sampling.temperature = Some(0.5);
    asked.sampling.seed = Some(1 << 40);
    let profile = Profile {
        sampling: false,
        ..third()
    };
    let expected = "user, parallel_tool_calls, cache_control, temperature, seed";
    assert_eq!(lost(&asked, &profile).as_deref(), Some(expected));
    asked.stop = vec![String::new(); 6];
    assert_eq!(refused(&asked, &third()), (Code::InvalidValue, Some("stop")));
    let several = Request {
        choices: Some(9),
        ..request(vec![user("q")])
    };
    assert_eq!(refused(&several, &third()), (Code::InvalidValue, Some("n")));
    let alone = Profile {
        several_answers: false,
        ..third()
    };
    let two = Request {
        choices: Some(2),
        ..several
    };
    assert_eq!(refused(&two, &alone), (Code::CannotTranslate, Some("n")));
    let prefill = request(vec![
        user("q"),
        Turn::new(Role::Assistant, vec![Part::text("The")]),
    ]);
    assert_eq!(
        refused(&prefill, &third()),
        (Code::CannotTranslate, Some("messages"))
    );
}

#[test]
fn p22_instructions_stand_apart_and_later_ones_say_what_they_are() {
    let turns = vec![
        system("first"),
        system("second"),
        user("q"),
        Turn::new(Role::Assistant, vec![Part::ToolCall(call("1", "f", "{}"))]),
        system("between"),
        Turn::new(Role::User, vec![Part::ToolResult(result("1", "r"))]),
    ];
    let found = body(&request(turns), &second());
    assert_eq!(
        found["systemInstruction"],
        json!({"parts":[{"text":"first"},{"text":"second"}]})
    );
    let contents = found["contents"].as_array().unwrap();
    assert!(contents[2]["parts"][0].get("functionResponse").is_some());
    assert_eq!(
        contents[3],
        json!({"role":"user","parts":[{"text":"<system-reminder>\nbetween\n</system-reminder>"}]})
    );
}

#[test]
fn contents_are_never_empty() {
    let found = body(&request(vec![system("Say hello.")]), &third());
    assert_eq!(
        found,
        json!({"contents":[{"role":"user","parts":[{"text":"Say hello."}]}]})
    );
}

#[test]
fn p32_p37_schemas_go_as_they_are_or_cut_in_their_order() {
    let schema = r##"{"$schema":"x","type":"object","properties":{"z":{"$ref":"#/$defs/t"},"a":{"type":["string","null"]}},"$defs":{"t":{"const":"c"}},"additionalProperties":false}"##;
    let mut asked = request(vec![user("q")]);
    asked.tools = vec![
        function("f", Some(schema)),
        function("g", Some(r#"{"type":"object","properties":{}}"#)),
    ];
    let (whole, none) = written(&asked, &third()).unwrap();
    assert!(String::from_utf8(whole.body).unwrap().contains(schema));
    assert_eq!(none, None);
    let (cut, _) = written(&asked, &second()).unwrap();
    let text = String::from_utf8(cut.body).unwrap();
    for word in ["$schema", "$ref", "$defs", "const", "additionalProperties"] {
        assert!(!text.contains(&format!("\"{word}\"")), "{text}");
    }
    assert!(text.find("\"z\"") < text.find("\"a\""));
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        found["tools"][0]["functionDeclarations"][1].get("parameters"),
        None
    );
    // Google's own kind of schema becomes JSON Schema.
    let googles = r#"{"type":"OBJECT","nullable":true,"properties":{"some_name":{"type":"STRING","enum":["a"],"nullable":true,"max_length":"5"}},"property_ordering":["some_name"],"example":{}}"#;
    let read = read_text(&format!(
        r#"{{"contents":[],"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{googles}}}]}}]}}"#
    ));
    let found: Value = serde_json::from_str(read.tools[0].schema_text().unwrap()).unwrap();
    let expected = json!({"type":["object","null"],"properties":{"some_name":{"type":["string","null"],"enum":["a",null],"maxLength":5}},"examples":[{}]});
    assert_eq!(found, expected);
}

#[test]
fn p35_p36_a_schema_beside_tools_is_a_tool_where_the_model_does_not_take_both() {
    let mut asked = request(vec![user("q")]);
    asked.tools = vec![function("give_answer", None)];
    asked.output = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: raw_json(r#"{"type":"object","properties":{"a":{"type":"string"}}}"#),
        strict: None,
    };
    let (native, _) = written(&asked, &third()).unwrap();
    let native: Value = serde_json::from_slice(&native.body).unwrap();
    assert_eq!(native["generationConfig"]["responseMimeType"], "application/json");
    assert_eq!(
        native["tools"][0]["functionDeclarations"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let (own, _) = written(&asked, &second()).unwrap();
    assert_eq!(own.undo.schema_tool.as_deref(), Some("give_answer_"));
    let own: Value = serde_json::from_slice(&own.body).unwrap();
    assert_eq!(own["tools"][0]["functionDeclarations"][1]["name"], "give_answer_");
    assert_eq!(own["toolConfig"]["functionCallingConfig"], json!({"mode":"ANY"}));
    assert_eq!(own.get("generationConfig"), None);
    asked.output = OutputFormat::JsonObject;
    assert_eq!(
        refused(&asked, &second()),
        (Code::CannotTranslate, Some("response_format"))
    );
    asked.tools.clear();
    assert_eq!(
        body(&asked, &second())["generationConfig"],
        json!({"responseMimeType":"application/json"})
    );
}

#[test]
fn p38_p39_media_are_inline_or_refused_by_name() {
    let png = "iVBORw0KGgoAAAANSUhEUgAA";
    let with = |media: Media| request(vec![Turn::new(Role::User, vec![Part::Media(media)])]);
    let base64 = || MediaSource::Base64(png.to_owned());
    let url = || MediaSource::Url("https://example.com/cat.png?x=1".to_owned());
    for told in [None, Some("image/jpeg"), Some("image/png")] {
        let found = body(&with(media(base64(), told)), &third());
        assert_eq!(
            found["contents"][0]["parts"][0],
            json!({"inlineData":{"mimeType":"image/png","data":png}})
        );
    }
    let found = body(&with(media(url(), None)), &third());
    assert_eq!(
        found["contents"][0]["parts"][0],
        json!({"fileData":{"mimeType":"image/png","fileUri":"https://example.com/cat.png?x=1"}})
    );
    assert_eq!(
        refused(&with(media(url(), None)), &second()),
        (Code::CannotTranslate, Some("image_url"))
    );
    let file = MediaSource::File {
        origin: Dialect::OpenaiChat,
        id: "file-1".to_owned(),
    };
    assert_eq!(
        refused(&with(media(file, None)), &third()),
        (Code::CannotTranslate, Some("file_id"))
    );
    let unknown = MediaSource::Base64("AAAA".to_owned());
    assert_eq!(
        refused(&with(media(unknown, None)), &third()),
        (Code::InvalidValue, Some("media_type"))
    );
    let read = read_text(
        r#"{"contents":[{"parts":[{"inline_data":{"mime_type":"audio/wav","data":"_-8"}},{"fileData":{"fileUri":"https://youtu.be/x"}},{"file_data":{"file_uri":"gs://b/a.pdf","mime_type":"application/pdf"}}]}]}"#,
    );
    let kinds: Vec<_> = read.turns[0]
        .parts
        .iter()
        .map(|part| match part {
            Part::Media(media) => (media.kind, media.source.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (MediaKind::Audio, MediaSource::Base64("/+8=".to_owned())),
        (
            MediaKind::Video,
            MediaSource::Url("https://youtu.be/x".to_owned()),
        ),
        (
            MediaKind::Document,
            MediaSource::File {
                origin: Dialect::GeminiGenerate,
                id: "gs://b/a.pdf".to_owned(),
            },
        ),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn results_hold_errors_and_media_as_the_model_takes_them() {
    let answer = |parts: Vec<Part>, is_error: bool, profile: &Profile| {
        let result = ToolResult {
            parts,
            is_error,
            ..result("1", "")
        };
        let turn = Turn::new(Role::User, vec![Part::ToolResult(result)]);
        body(&after_calls(vec![call("1", "f", "{}")], vec![turn]), profile)["contents"].clone()
    };
    let image = || Part::Media(media(MediaSource::Base64("iVBORw0KGgoA".to_owned()), None));
    let third_generation = answer(vec![Part::text("seen"), image()], false, &third());
    let inline = json!({"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgoA"}});
    assert_eq!(
        third_generation[2]["parts"],
        json!([{"functionResponse":{"name":"f","response":{"result":"seen"},"parts":[inline]}}])
    );
    let before = answer(vec![image()], false, &second());
    assert_eq!(before[2]["parts"][0]["functionResponse"].get("parts"), None);
    assert_eq!(
        before[3]["parts"],
        json!([{"text":"What the tool f has returned:"}, inline])
    );
    let error = answer(vec![Part::text("{\"a\":1}")], true, &third());
    assert_eq!(
        error[2]["parts"][0]["functionResponse"]["response"],
        json!({"error":"{\"a\":1}"})
    );
    let reference = answer(vec![Part::text("{\"$ref\":\"x\"}")], false, &third());
    assert_eq!(
        reference[2]["parts"][0]["functionResponse"]["response"],
        json!({"result":"{\"$ref\":\"x\"}"})
    );
    let read = read_text(
        r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f"}}]},
        {"role":"function","parts":[{"functionResponse":{"name":"f","response":{"error":"no"}}},{"functionResponse":{"name":"f","response":{"output":"yes"}}},{"functionResponse":{"name":"g","response":{"a":1,"b":2}}}]}]}"#,
    );
    let results: Vec<_> = read.turns[1]
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolResult(result) => (result.call_id.as_str(), result.is_error, result.parts.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("call_tlg_0", true, vec![Part::text("no")]),
        ("call_tlg_2", false, vec![Part::text("yes")]),
        ("call_tlg_1", false, vec![Part::text("{\"a\":1,\"b\":2}")]),
    ];
    assert_eq!(results, expected);
}

#[test]
fn thinking_is_a_level_or_a_budget_by_the_model() {
    let config = |amount: ThinkingAmount, profile: &Profile| {
        let mut asked = request(vec![user("q")]);
        asked.thinking = Some(Thinking {
            amount,
            show: Some(true),
        });
        let (written, lost) = written(&asked, profile).unwrap();
        let found: Value = serde_json::from_slice(&written.body).unwrap();
        let thinking = found["generationConfig"]["thinkingConfig"].clone();
        (
            thinking["thinkingLevel"].clone(),
            thinking["thinkingBudget"].clone(),
            lost.is_some(),
        )
    };
    let effort = ThinkingAmount::Effort;
    for (amount, level, budget, losses) in [
        (effort(Effort::None), json!("MINIMAL"), json!(0), (true, false)),
        (
            effort(Effort::Minimal),
            json!("MINIMAL"),
            json!(1_024),
            (false, false),
        ),
        (
            effort(Effort::Medium),
            json!("MEDIUM"),
            json!(8_192),
            (false, false),
        ),
        (effort(Effort::Max), json!("HIGH"), json!(24_576), (true, false)),
        (
            ThinkingAmount::Budget(100),
            json!("LOW"),
            json!(128),
            (false, true),
        ),
        (
            ThinkingAmount::Budget(5_000),
            json!("MEDIUM"),
            json!(5_000),
            (false, false),
        ),
        (ThinkingAmount::Free, json!(null), json!(-1), (false, false)),
    ] {
        assert_eq!(
            config(amount.clone(), &third()),
            (level, json!(null), losses.0),
            "{amount:?}"
        );
        assert_eq!(
            config(amount.clone(), &second()),
            (json!(null), budget, losses.1),
            "{amount:?}"
        );
    }
    let pro = Profile {
        thinking: ThinkingStyle::Budget {
            min: 128,
            max: 32_768,
            can_be_off: false,
        },
        ..second()
    };
    assert_eq!(
        config(effort(Effort::None), &pro),
        (json!(null), json!(128), true)
    );
    let silent = Profile {
        thinking: ThinkingStyle::None,
        ..second()
    };
    assert_eq!(
        config(effort(Effort::High), &silent),
        (json!(null), json!(null), true)
    );
}

#[test]
fn server_tools_and_their_parts_are_carried_and_go_to_google_alone() {
    let asked = read_text(
        r#"{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK"}},{"text":"1"}]},{"role":"user","parts":[{"text":"r"}]}],
        "tools":[{"googleSearch":{},"url_context":{}},{"codeExecution":{}}],"safetySettings":[{"category":"C","threshold":"T"}]}"#,
    );
    assert!(
        asked
            .tools
            .iter()
            .all(|tool| matches!(tool.kind, ToolKind::Server(_)))
    );
    let found = body(&asked, &third());
    assert_eq!(
        found["tools"],
        json!([{"googleSearch":{}},{"urlContext":{}},{"codeExecution":{}}])
    );
    assert_eq!(
        found["contents"][1]["parts"][0],
        json!({"executableCode":{"language":"PYTHON","code":"1"}})
    );
    assert_eq!(found["safetySettings"][0]["category"], "C");
    let mut losses = Losses::new(false);
    let refusal =
        crate::neutral::foreign(&asked, Dialect::OpenaiChat, &Profile::default(), &mut losses).unwrap_err();
    assert_eq!(refusal.named(), Some("tools"));
}

fn heading() -> Heading<'static> {
    Heading {
        id: "id",
        created_s: 7,
        model: "asked",
    }
}

#[test]
fn p30_p40_answers_without_text_are_answers() {
    let cut = reply(
        r#"{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":1,"thoughtsTokenCount":9,"totalTokenCount":10}}"#,
    );
    assert_eq!((cut.parts.len(), &cut.finish), (0, &Finish::MaxTokens));
    assert_eq!(cut.usage.unwrap().output_tokens, 9);
    let empty = reply(
        r#"{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"m"}]}"#,
    );
    assert_eq!(
        empty.finish,
        Finish::BadToolCall("MALFORMED_FUNCTION_CALL".to_owned())
    );
    let written: Value = serde_json::from_slice(&write_reply(&empty, &heading())).unwrap();
    assert_eq!(written["candidates"][0]["finishMessage"], "m");
    assert!(read_reply(b"{\"candidates\":[]}", &third()).is_err());
    assert!(read_reply(b"<html>", &third()).is_err());
}

#[test]
fn p43_a_held_back_prompt_has_no_candidates_and_says_why() {
    let blocked = reply(r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"}}"#);
    assert_eq!(
        blocked.finish,
        Finish::Blocked(Some("PROHIBITED_CONTENT".to_owned()))
    );
    let written: Value = serde_json::from_slice(&write_reply(&blocked, &heading())).unwrap();
    assert_eq!(written["promptFeedback"]["blockReason"], "PROHIBITED_CONTENT");
    assert_eq!(written.get("candidates"), None);
    // Held back by another vendor: Google's word for that, and the other's beside it.
    let foreign = Reply {
        finish: Finish::Blocked(Some("content_filter".to_owned())),
        raw: Vec::new(),
        ..blocked
    };
    let written: Value = serde_json::from_slice(&write_reply(&foreign, &heading())).unwrap();
    assert_eq!(written["candidates"][0]["finishReason"], "SAFETY");
}

#[test]
fn p45_citations_count_characters_here_and_bytes_there() {
    let text = "Größe: 5 °C. Ende.";
    let start = text.find("5").unwrap();
    let end = text.find(". Ende").unwrap();
    let answer = json!({"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":text}],"role":"model"},"finishReason":"STOP",
        "groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://x"}}],"groundingSupports":[{"segment":{"startIndex":start,"endIndex":end},"groundingChunkIndices":[0,7]}]}}]});
    let read = reply(&answer.to_string());
    let Part::Text(cited) = &read.parts[1] else {
        panic!("{read:?}")
    };
    let Citation::Url {
        start: from, end: to, ..
    } = &cited.citations[0]
    else {
        panic!("{cited:?}")
    };
    let found: String = text.chars().take(to.unwrap()).skip(from.unwrap()).collect();
    assert_eq!(found, "5 °C");
    let without = Reply {
        raw: Vec::new(),
        ..read
    };
    let written: Value = serde_json::from_slice(&write_reply(&without, &heading())).unwrap();
    let segment = &written["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"];
    assert_eq!(segment, &json!({"startIndex":start,"endIndex":end}));
}

#[test]
fn p63_p64_an_answer_names_the_model_that_answered_and_has_our_id() {
    let read = reply(
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"modelVersion":"gemini-x-001","responseId":"theirs","createTime":"2026-04-02T17:03:50.399550Z"}"#,
    );
    assert_eq!(
        (read.id.as_str(), read.model.as_str(), read.created_s),
        ("theirs", "gemini-x-001", Some(1_775_149_430))
    );
    let written: Value = serde_json::from_slice(&write_reply(&read, &heading())).unwrap();
    assert_eq!(
        (&written["modelVersion"], &written["responseId"]),
        (&json!("gemini-x-001"), &json!("id"))
    );
}

#[test]
fn logprobs_cross_between_openai_and_google() {
    let googles = r#"{"chosenCandidates":[{"token":"a","logProbability":-0.5,"tokenId":3}],"topCandidates":[{"candidates":[{"token":"a","logProbability":-0.5},{"token":"b","logProbability":-2}]}]}"#;
    let raw = Raw::new(Dialect::GeminiGenerate, "logprobsResult", raw_json(googles));
    let openais = openai_logprobs(&raw).unwrap();
    let found: Value = serde_json::from_str(openais.get()).unwrap();
    let expected = json!({"content":[{"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":null},{"token":"b","logprob":-2,"bytes":null}]}],"refusal":null});
    assert_eq!(found, expected);
    let mut back = reply(r#"{"candidates":[{"finishReason":"STOP"}]}"#);
    back.logprobs = Some(Raw::new(Dialect::OpenaiChat, "logprobs", openais));
    let written: Value = serde_json::from_slice(&write_reply(&back, &heading())).unwrap();
    let chosen = &written["candidates"][0]["logprobsResult"]["chosenCandidates"];
    assert_eq!(chosen, &json!([{"token":"a","logProbability":-0.5}]));
}
