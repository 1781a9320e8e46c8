//! What holds for any bytes and any request.

use proptest::prelude::*;

use super::*;
use crate::neutral::{
    Arguments, Effort, Losses, OwnedHeading, Part, Profile, Request, Role, Sampling, Target, Thinking,
    ThinkingAmount, ToolCall, ToolChoice, ToolResult, Turn,
};

fn texts() -> impl Strategy<Value = String> {
    "[ -~\\u{e9}\\u{1f600}\\n\"\\\\]{1,12}"
}

/// A turn of the user, or of the model with a call and its result after it.
fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let user = texts().prop_map(|text| vec![Turn::new(Role::User, vec![Part::text(text)])]);
    let system = texts().prop_map(|text| vec![Turn::new(Role::System, vec![Part::text(text)])]);
    let called = (
        texts(),
        "[a-z]{1,8}",
        "[a-zA-Z0-9_-]{1,64}",
        texts(),
        any::<bool>(),
    );
    let called = called.prop_map(|(said, name, id, answer, is_free_text)| {
        let call = Part::ToolCall(ToolCall {
            id: id.clone(),
            id_is_ours: false,
            name,
            arguments: if is_free_text {
                Arguments::Text(answer.clone())
            } else {
                Arguments::Json("{}".to_owned())
            },
            seal: None,
            cache: None,
            raw: Vec::new(),
        });
        let result = Part::ToolResult(ToolResult {
            call_id: id,
            name: None,
            parts: vec![Part::text(answer)],
            is_error: false,
            is_free_text,
            cache: None,
            raw: Vec::new(),
        });
        vec![
            Turn::new(Role::Assistant, vec![Part::text(said), call]),
            Turn::new(Role::User, vec![result]),
        ]
    });
    prop::collection::vec(prop_oneof![user, system, called], 1..6).prop_map(|turns| {
        let mut turns: Vec<Turn> = turns.concat();
        turns.insert(0, Turn::new(Role::User, vec![Part::text("first")]));
        turns
    })
}

prop_compose! {
    fn requests()(
        turns in turns(),
        stream in any::<bool>(),
        max_tokens in prop::option::of(16_u64..1_000_000),
        temperature in prop::option::of(0_u8..20),
        parallel_tools in prop::option::of(any::<bool>()),
        logprobs in prop::option::of(0_u64..20),
        effort in prop::option::of(prop_oneof![Just(Effort::None), Just(Effort::Low), Just(Effort::Max)]),
        show in prop::option::of(Just(true)),
        choice in prop::option::of(prop_oneof![Just(ToolChoice::Auto), Just(ToolChoice::None), Just(ToolChoice::Tool("f".to_owned()))]),
    ) -> Request {
        Request {
            model: "m".to_owned(),
            stream,
            stream_usage: true,
            turns,
            max_tokens,
            parallel_tools,
            logprobs,
            tool_choice: choice,
            sampling: Sampling { temperature: temperature.map(|tenths| f64::from(tenths) / 10.0), ..Sampling::default() },
            thinking: effort.map(|effort| Thinking { amount: ThinkingAmount::Effort(effort), show }),
            ..Request::default()
        }
    }
}

proptest! {
    #[test]
    fn a_request_that_is_written_is_read_as_what_it_was(request in requests()) {
        let target = Target { model: "m", profile: &Profile::default() };
        let mut losses = Losses::new(true);
        let written = write_request(&request, &target, &mut losses).unwrap();
        let mut again = read_request(&written.body).unwrap();
        again.raw.retain(|raw| raw.name != "store");
        prop_assert_eq!(again, request);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_request(&bytes);
        let _ = read_reply(&bytes, &Profile::default());
        let _ = read_fault(500, &bytes);
        let mut out = Vec::new();
        let mut reader = StreamReader::new(&Profile::default());
        reader.read(&bytes, &mut out);
        reader.read(&[b"data: ", bytes.as_slice()].concat(), &mut out);
    }

    /// Events in any order, with any members missing.
    #[test]
    fn no_order_of_events_makes_a_reader_or_a_writer_panic(picked in prop::collection::vec((0_usize..16, 0_u8..3, 0_u8..3, any::<bool>()), 0..24)) {
        const KINDS: [&str; 16] = [
            "response.created", "response.output_item.added", "response.output_item.done", "response.content_part.added",
            "response.content_part.done", "response.output_text.delta", "response.output_text.done",
            "response.output_text.annotation.added", "response.refusal.delta", "response.reasoning_summary_text.delta",
            "response.reasoning_text.delta", "response.function_call_arguments.delta",
            "response.function_call_arguments.done", "response.completed", "response.incomplete", "error",
        ];
        let items = [
            r#"{"type":"message","content":[{"type":"output_text","text":"whole"},{"type":"refusal","refusal":"no"}]}"#,
            r#"{"type":"function_call","call_id":"","name":"f","arguments":"{}"}"#,
            r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"a"}],"encrypted_content":"x"}"#,
        ];
        let mut reader = StreamReader::new(&Profile::default());
        let mut writer = StreamWriter::new(OwnedHeading::default());
        let (mut read, mut written) = (Vec::new(), Vec::new());
        for (kind, index, item, has_text) in picked {
            let item = items[usize::from(item)];
            let text = if has_text { r#","delta":"d","text":"dt","arguments":"{","part":{"type":"output_text","text":"dt"},"annotation":{}"# } else { "" };
            let event = format!(
                r#"data: {{"type":"{}","output_index":{index},"content_index":{index},"item":{item}{text},"response":{{"status":"completed","output":[{item}]}}}}"#,
                KINDS[kind]
            );
            reader.read(format!("{event}\n\n").as_bytes(), &mut read);
        }
        // What a reader says is in order, whatever it was told.
        super::collect::collect(&read);
        for event in &read {
            writer.write(event, &mut written);
        }
        if !read.is_empty() && read.iter().any(|event| matches!(event, crate::neutral::Event::End | crate::neutral::Event::Fault(_))) {
            prop_assert_eq!(super::checker::problems(&written, super::checker::Leniency::default()), Vec::<String>::new());
        }
    }
}
