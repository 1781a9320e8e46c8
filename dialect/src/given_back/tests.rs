use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::json::{Limits, scan};
use crate::neutral::{Profile, Seal};
use crate::splice::edit;

const DIALECTS: [Dialect; 4] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
];

fn opaque(origin: Dialect) -> String {
    carry::opaque(&Seal {
        origin,
        data: "EqQBCgIYAhIMc2VhbGVkdGhvdWdodA==".to_owned(),
    })
}

fn edited(dialect: Dialect, profile: &Profile, body: &str) -> (String, Option<String>) {
    let target = Target { model: "m", profile };
    let mut losses = Losses::new(false);
    let edits = edits(dialect, body.as_bytes(), &target, &mut losses).unwrap();
    let sent = edit(&Bytes::copy_from_slice(body.as_bytes()), edits).concat();
    (String::from_utf8(sent).unwrap(), losses.header())
}

#[test]
fn p9_what_is_taken_out_takes_one_comma_with_it() {
    let seal = opaque(Dialect::AnthropicMessages);
    let [thought, own] =
        [&seal, "gAAAAA"].map(|seal| format!(r#"{{"type":"reasoning","encrypted_content":"{seal}"}}"#));
    let said = r#"{"role":"user","content":"x"}"#;
    let table = [
        (format!("[ {thought} , {said} ]"), format!("[ {said} ]")),
        (
            format!("[{thought},{thought}, {said},{thought}]"),
            format!("[ {said}]"),
        ),
        (format!("[{said} , {thought},{thought} ]"), format!("[{said} ]")),
        (
            format!("[{said},{thought} , {own},{said}]"),
            format!("[{said} , {own},{said}]"),
        ),
        (format!("[ {thought} ]"), "[]".to_owned()),
    ];
    for (input, expected) in table {
        let body = |input: &str| format!(r#"{{"input": {input} ,"model":"m"}}"#);
        let (sent, lost) = edited(Dialect::OpenaiResponses, &Profile::default(), &body(&input));
        assert_eq!(sent, body(&expected), "{input}");
        assert_eq!(lost.as_deref(), Some("reasoning"));
    }
}

#[test]
fn p9_a_strict_tenant_loses_no_thoughts() {
    let seal = opaque(Dialect::GeminiGenerate);
    let body = format!(
        r#"{{"messages":[{{"role":"assistant","content":[{{"type":"thinking","thinking":"","signature":"{seal}"}},{{"type":"text","text":"x"}}]}}]}}"#
    );
    let profile = Profile::default();
    let target = Target {
        model: "m",
        profile: &profile,
    };
    let mut losses = Losses::new(true);
    let refusal = edits(Dialect::AnthropicMessages, body.as_bytes(), &target, &mut losses).unwrap_err();
    assert_eq!(refusal.named(), Some("reasoning"));
}

/// Who is told to think by a number of tokens may think again, once the calls without thoughts are answered for good.
#[test]
fn p9_only_a_call_that_is_being_answered_keeps_a_model_from_thinking() {
    let seal = opaque(Dialect::GeminiGenerate);
    let calls = format!(
        r#"{{"role":"assistant","content":[{{"type":"redacted_thinking","data":"{seal}"}},{{"type":"tool_use","id":"a","name":"n","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a","content":"x"}}]}}"#
    );
    let profile = Profile {
        thinking: crate::neutral::ThinkingStyle::Budget {
            min: 1_024,
            max: 32_768,
            can_be_off: true,
        },
        ..Profile::default()
    };
    for (more, thinks) in [
        ("", false),
        (
            r#",{"role":"assistant","content":"y"},{"role":"user","content":"z"}"#,
            true,
        ),
        (r#",{"role":"user","content":[{"type":"text","text":"z"}]}"#, true),
    ] {
        let body = format!(r#"{{"thinking":{{"type":"enabled"}},"messages":[{calls}{more}]}}"#);
        let (sent, _) = edited(Dialect::AnthropicMessages, &profile, &body);
        assert_eq!(sent.contains("enabled"), thinks, "{sent}");
        assert_eq!(sent.contains("disabled"), !thinks, "{sent}");
    }
}

#[test]
fn p9_a_provider_keeps_what_it_understands() {
    let thoughts = r#"{"input":[{"type":"reasoning","id":"rs_01JZ5QW8X9ABCDEFGHJKMNPQRS_0","content":[]},{"role":"user","content":"x"}]}"#;
    let google = r#"{"messages":[{"role":"assistant","content":"x","extra_content":{"google":{"thought_signature":"AB=="}}},{"role":"user","content":"x"}]}"#;
    let blank = r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature" : ""},{"type":"text","text":"x"}]}]}"#;
    let open = Profile {
        extra_content: true,
        reasoning: ReasoningField::ReasoningContent,
        ..Profile::default()
    };
    for (dialect, body) in [
        (Dialect::OpenaiResponses, thoughts),
        (Dialect::OpenaiChat, google),
        (Dialect::AnthropicMessages, blank),
    ] {
        assert_eq!(edited(dialect, &open, body), (body.to_owned(), None));
        let (sent, lost) = edited(dialect, &Profile::default(), body);
        assert_ne!(sent, body);
        assert_eq!(lost.as_deref(), Some("reasoning"));
    }
}

proptest! {
    /// Wherever marks stand, and whatever is around them, what is sent is JSON.
    #[test]
    fn p9_what_is_left_is_json(
        pieces in proptest::collection::vec(0_usize..12, 1..9),
        which in 0_usize..4,
    ) {
        let seal = opaque(Dialect::AnthropicMessages);
        let carried = carry::CarriedSeal {
            seal: Seal { origin: Dialect::GeminiGenerate, data: "AAAA".to_owned() },
            is_reasoning: false,
            redacted: false,
        };
        let id = carry::tool_call_id("call_1", &[carried]);
        let [names, lists] = [
            ["messages", "input", "messages", "contents"],
            ["tool_calls", "x", "content", "parts"],
        ];
        let values = [
            format!(r#"{{"type":"thinking","signature":"{seal}"}}"#),
            format!(r#"{{"type":"reasoning","encrypted_content":"{seal}"}}"#),
            format!(r#"{{"type":"tool_use","id":"{id}" , "thoughtSignature" :"{seal}","thought":true}}"#),
            format!(r#"{{"thoughtSignature":"{seal}","functionCall":{{"id":"{id}"}}}}"#),
            format!(r#"{{"call_id":"{id}","tool_use_id": "{id}","tool_call_id":"{id}"}}"#),
            r#"{"extra_content": {"google":{"thought_signature":"AB=="}} , "id":"x"}"#.to_owned(),
            format!(r#"{{"reasoning_details":[{{"signature":"{seal}"}} , {{"data":"{seal}"}}], "reasoning_content":""}}"#),
            "3".to_owned(),
            "[]".to_owned(),
            r#""--tlg1- dGxnMW""#.to_owned(),
            "null".to_owned(),
            "{}".to_owned(),
        ];
        let list: Vec<_> = pieces.iter().map(|piece| values[*piece].as_str()).collect();
        let inner = format!(r#"{{"{}":[ {} ],"role":"assistant"}}"#, lists[which], list.join(" ,"));
        let body = format!(r#"{{"{}":[{},{inner}], "thinking":{{}}}}"#, names[which], list.join(","));
        let (sent, _) = edited(DIALECTS[which], &Profile::default(), &body);
        prop_assert!(scan(sent.as_bytes(), &Limits::default()).is_ok(), "{body} became {sent}");
    }
}
