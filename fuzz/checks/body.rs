//! What holds for every body: the scan and serde_json agree about what is JSON, but for what the scan refuses besides;
//! and a splice changes what it names and nothing else.

use bytes::Bytes;
use dialect::json::{JsonError, Limits, scan};
use dialect::openai_chat::{look, splice};
use serde_json::Value;

pub fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let theirs: Result<Value, _> = serde_json::from_slice(bytes);
    match (scan(bytes, &limits), &theirs) {
        (Ok(_), Ok(value)) => assert!(value.is_object()),
        (Ok(_), Err(error)) => panic!("taken, though {error}"),
        (Err(JsonError::Malformed { .. } | JsonError::NotUtf8 { .. }), Ok(_)) => {
            // The one thing that serde_json takes and we do not.
            assert!(has_long_number(bytes), "refused without a reason");
        }
        (Err(_), _) => {}
    }
    let (Ok(envelope), Ok(before)) = (look(bytes, &limits), theirs) else {
        return;
    };
    let body = Bytes::copy_from_slice(bytes);
    for ask_usage in [false, true] {
        let sent = splice(&body, &envelope, "other/\"model", ask_usage).concat();
        scan(&sent, &limits).expect("what is sent has been checked");
        let after: Value = serde_json::from_slice(&sent).expect("JSON");
        assert_eq!(after["model"], "other/\"model");
        let mut expected = before.clone();
        expected["model"] = after["model"].clone();
        if ask_usage && envelope.stream {
            let options = &mut expected["stream_options"];
            if options.is_null() {
                *options = Value::Object(serde_json::Map::new());
            }
            options["include_usage"] = Value::Bool(true);
        }
        assert_eq!(after, expected);
    }
}

fn has_long_number(bytes: &[u8]) -> bool {
    let digits = |run: &&[u8]| run.len() > 300;
    bytes
        .split(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
        .any(|run| digits(&run))
}
