//! The model that a body names once more, beside the path: each request of a batch does, and one that is to be counted.
//!
//! Only the path is held against what a key may use, and routed: a body that named another model would reach that.

use std::iter;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::look::whole_requests;
use crate::json::{Limits, Object, scan};
use crate::look::LookError;
use crate::refusal::Refusal;
use crate::splice::edit;

/// The body to send, in pieces, with `model` wherever it names one. Every other byte is the client's.
///
/// # Errors
/// When a request in it is no object of which each member is there once.
pub fn rename(body: &Bytes, model: &str) -> Result<Vec<Bytes>, Refusal> {
    let name = serde_json::Value::from(format!("models/{model}")).to_string();
    let mut edits = Vec::new();
    for at in requests(body)? {
        let request = object(body, at.clone())?;
        let named = request
            .get("model")
            .map(|model| at.start + model.start..at.start + model.end);
        edits.extend(named.filter(|named| body.get(named.clone()) != Some(name.as_bytes())));
    }
    Ok(edit(
        body,
        edits.into_iter().map(|at| (at, name.clone())).collect(),
    ))
}

/// Where requests stand that may name a model: the body itself, and those in it.
fn requests(body: &[u8]) -> Result<Vec<Range<usize>>, Refusal> {
    let whole = object(body, 0..body.len())?;
    let mut found: Vec<_> = iter::once(0..body.len()).chain(whole_requests(&whole)).collect();
    if let Some(list) = whole.get("requests").and_then(|at| body.get(at)) {
        let items: Vec<&RawValue> = serde_json::from_slice(list).map_err(|_| invalid())?;
        found.extend(items.into_iter().map(|item| {
            // They are slices of the body.
            let start = (item.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
            start..start + item.get().len()
        }));
    }
    Ok(found)
}

/// An object, whose places are counted from its own beginning.
fn object(body: &[u8], at: Range<usize>) -> Result<Object<'_>, Refusal> {
    let text = body.get(at).unwrap_or_default();
    scan(text, &Limits::default()).map_err(|_| invalid())
}

fn invalid() -> Refusal {
    LookError::Invalid("requests").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(body: &'static str) -> String {
        let pieces = rename(&Bytes::from_static(body.as_bytes()), "new").unwrap();
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn a_body_names_the_model_of_its_path() {
        for (body, expected) in [
            (r#"{"contents": []}"#, r#"{"contents": []}"#),
            (
                r#"{ "model":"models/old" , "content":{"model":"x"}}"#,
                r#"{ "model":"models/new" , "content":{"model":"x"}}"#,
            ),
            (
                r#"{"requests":[ {"model":"models/old","content":{}}, {"content":{}},{"model" : "models/new"}]}"#,
                r#"{"requests":[ {"model":"models/new","content":{}}, {"content":{}},{"model" : "models/new"}]}"#,
            ),
            (
                r#"{"generateContentRequest": {"contents":[],"model":"old"}}"#,
                r#"{"generateContentRequest": {"contents":[],"model":"models/new"}}"#,
            ),
        ] {
            assert_eq!(renamed(body), expected);
        }
    }
    #[test]
    fn a_model_that_is_named_twice_is_refused() {
        for body in [
            r#"{"requests":[{"model":"a","model":"b"}]}"#,
            r#"{"requests":["a"]}"#,
            r#"{"generate_content_request":{"model":"a","model":"b"}}"#,
        ] {
            assert!(
                rename(&Bytes::from_static(body.as_bytes()), "new").is_err(),
                "{body}"
            );
        }
    }
}
