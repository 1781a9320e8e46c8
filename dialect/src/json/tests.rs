use proptest::prelude::*;

use super::*;

fn scanned(text: &str) -> Result<Object<'_>, JsonError> {
    scan(text.as_bytes(), &Limits::default())
}

#[test]
fn members_are_found_where_they_stand() {
    let text = " {\"model\" : \"gpt-4o\", \"n\":-1.5e3 ,\"messages\": [ {\"a\":[]} ] , \"x\":null}\n";
    let object = scanned(text).unwrap();
    let found: Vec<(&str, &str)> = object
        .members
        .iter()
        .map(|member| {
            let name = std::str::from_utf8(&member.name).unwrap();
            (name, &text[member.value.clone()])
        })
        .collect();
    assert_eq!(
        found,
        [
            ("model", "\"gpt-4o\""),
            ("n", "-1.5e3"),
            ("messages", "[ {\"a\":[]} ]"),
            ("x", "null")
        ]
    );
}

#[test]
fn one_name_twice_is_refused_in_any_spelling() {
    for text in [r#"{"model":1,"model":1}"#, r#"{"model":1,"mod\u0065l":2}"#] {
        assert_eq!(
            scanned(text),
            Err(JsonError::Duplicate {
                name: "model".to_owned()
            })
        );
    }
    assert!(scanned(r#"{"a":{"b":1},"b":2}"#).is_ok());
}

#[test]
fn bounds_hold_and_no_depth_exhausts_the_stack() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(scanned(&nested(126)).is_ok());
    assert!(matches!(scanned(&nested(127)), Err(JsonError::TooDeep { .. })));
    assert!(matches!(
        scanned(&nested(1_000_000)),
        Err(JsonError::TooDeep { .. })
    ));
    let few = Limits {
        nodes_max: 3,
        ..Limits::default()
    };
    assert!(scan(br#"{"a":1,"b":2}"#, &few).is_ok());
    assert!(matches!(
        scan(br#"{"a":1,"b":2,"c":3}"#, &few),
        Err(JsonError::TooManyNodes { .. })
    ));
}

#[test]
fn numbers_that_nobody_can_hold_are_refused() {
    let with = |number: &str| format!("{{\"a\":[{number}]}}");
    for number in [
        "-0",
        "1e308",
        "-1E-400",
        &"1".repeat(309),
        &format!("0.{}", "1".repeat(500)),
    ] {
        assert!(scanned(&with(number)).is_ok(), "{number}");
    }
    for number in [
        "1e309",
        "-1e400",
        "1e99999999999999999999",
        &"9".repeat(310),
        &"1".repeat(1 << 20),
    ] {
        assert!(
            matches!(scanned(&with(number)), Err(JsonError::Malformed { at: 6 })),
            "{number:.20}"
        );
    }
    assert!(scan_answer(with("1e400").as_bytes(), []).is_ok());
}

#[test]
fn what_is_no_object_is_told_apart_from_what_is_no_json() {
    for text in ["null", "[]", "\"x\"", "1", "[{}]"] {
        assert_eq!(scanned(text), Err(JsonError::NotAnObject), "{text}");
    }
    assert!(matches!(
        scan(b"{\"a\":\"\xff\"}", &Limits::default()),
        Err(JsonError::NotUtf8 { at: 6 })
    ));
    let malformed = "| |{|{}}|{} {}|{,}|{\"a\"}|{\"a\":}|{\"a\":1,}|{a:1}|{'a':1}|{\"a\":01}|{\"a\":1.}|{\"a\":.5}|{\"a\":+1}\
                     |{\"a\":1e}|{\"a\":NaN}|{\"a\":Infinity}|{\"a\":tru}|{\"a\":[1,]}|{\"a\":[1 2]}|{\"a\":\"\\x\"}|{\"a\":\"\\ud800\"}\
                     |{\"a\":\"\\udc00\"}|{\"a\":\"\\ud800\\u0041\"}|{\"a\":\"\n\"}|{\"a\":\"|{\"a\":1]|{}//|\u{feff}{}";
    for text in malformed.split('|') {
        assert!(
            matches!(scanned(text), Err(JsonError::Malformed { .. })),
            "{text:?}"
        );
    }
}

/// JSON texts of many shapes, of which some are broken by one changed byte.
fn texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
        "\"([a-z \u{e9}]|\\\\n|\\\\u00e9|\\\\ud83d\\\\ude00){0,5}\"",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(inner, 0..4).prop_map(|items| {
                let members = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| format!("\"k{index}\" : {item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_about_what_is_json(
        text in texts(), at in any::<prop::sample::Index>(), byte in any::<u8>(), change in any::<bool>(),
    ) {
        let mut bytes = text.into_bytes();
        if change && !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&bytes).is_ok()
            && serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
        let ours = match scan(&bytes, &Limits::default()) {
            Ok(_) | Err(JsonError::NotAnObject | JsonError::Duplicate { .. }) => true,
            Err(_) => false,
        };
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn an_answer_is_taken_as_its_sender_made_it() {
    for answer in [
        &br#"{"text":"\ud83d","usage":{"n":1}}"#[..],
        b"{\"text\":\"\xff\",\"usage\":{\"n\":1}}",
        br#"{"usage":0,"usage":{"n":1}}"#,
        br#"{"text":"\ud83d","\u0075sage":{"n":1}, "x" : 1}"#,
        b"{\"\xff\":1,\"usage\":{\"n\":1}}",
    ] {
        assert!(scan(answer, &Limits::default()).is_err());
        let found = scan_answer(answer, ["nobody", "usage"]);
        assert_eq!(found, Ok([None, Some(&br#"{"n":1}"#[..])]));
    }
    for none in [&br#"{"a":1"#[..], b"[]", b"{}{}", b"", br#"{"a":01}"#] {
        assert!(scan_answer(none, ["a"]).is_err(), "{}", none.escape_ascii());
    }
}

#[test]
fn what_ends_a_string_is_found_wherever_it_stands() {
    for length in 0..100 {
        let plain = "x".repeat(length);
        let text = format!(r#"{{"a":"{plain}\"{plain}","b":1}}"#);
        assert_eq!(scanned(&text).unwrap().members.len(), 2, "{length}");
        for control in ["\n", "\0", "\u{1f}"] {
            let text = format!(r#"{{"a":"{plain}{control}{plain}"}}"#);
            assert_eq!(scanned(&text), Err(JsonError::Malformed { at: 6 + length }));
        }
    }
}
