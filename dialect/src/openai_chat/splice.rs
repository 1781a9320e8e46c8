//! The named edits of a request that is otherwise forwarded as it came.

use bytes::Bytes;

use super::look::Envelope;

const OPTIONS: &str = r#"{"include_usage":true}"#;

/// The body to send, in pieces: `model` in place of the model name and, with `ask_usage` on a stream whose client did
/// not ask, `stream_options` that ask for usage. Every other byte is the client's; pieces share the client's buffer.
///
/// `stream_options` that the client gave keep their other members; only when they already ask for usage are they left
/// as they are written.
pub fn splice(body: &Bytes, envelope: &Envelope, model: &str, ask_usage: bool) -> Vec<Bytes> {
    let mut edits = Vec::with_capacity(2);
    if model != envelope.model {
        edits.push((
            envelope.model_at.clone(),
            serde_json::Value::from(model).to_string(),
        ));
    }
    if ask_usage && envelope.stream && !envelope.include_usage {
        edits.push(match &envelope.stream_options_at {
            Some(at) => (at.clone(), asking(body.get(at.clone()).unwrap_or_default())),
            None => (
                envelope.end_at..envelope.end_at,
                format!(r#","stream_options":{OPTIONS}"#),
            ),
        });
    }
    edits.sort_by_key(|(at, _)| at.start);
    let mut pieces = Vec::with_capacity(5);
    let mut rest = body.clone();
    let mut passed = 0;
    for (at, text) in edits {
        let mut tail = rest.split_off(at.start.saturating_sub(passed).min(rest.len()));
        pieces.push(rest);
        pieces.push(Bytes::from(text));
        rest = tail.split_off((at.end - at.start).min(tail.len()));
        passed = at.end;
    }
    pieces.push(rest);
    pieces
}

/// The client's `stream_options`, asking for usage.
fn asking(given: &[u8]) -> String {
    let options = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(given);
    let Ok(mut options) = options else {
        return OPTIONS.to_owned();
    };
    options.insert("include_usage".to_owned(), true.into());
    serde_json::Value::from(options).to_string()
}
