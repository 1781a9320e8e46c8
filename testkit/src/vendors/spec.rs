//! The vendors' own documents of their APIs, where they are at hand: requests are held against them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

/// Building one takes long in the larger documents.
static VALIDATORS: Mutex<Option<HashMap<String, Option<Arc<Validator>>>>> = Mutex::new(None);

/// What is wrong with a value by a document's schema of this name; nothing where the document is not at hand.
pub(super) fn problems(document: &str, schema: &str, value: &Value) -> Vec<String> {
    let validator = {
        let mut built = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
        let built = built.get_or_insert_default();
        let entry = built.entry(schema.to_owned());
        entry
            .or_insert_with(|| build(document, schema).map(Arc::new))
            .clone()
    };
    let Some(validator) = validator else {
        return Vec::new();
    };
    let errors = validator.iter_errors(value);
    errors
        .map(|error| {
            let text = format!("{}: {error}", error.instance_path());
            text.chars().take(300).collect()
        })
        .collect()
}

#[expect(clippy::expect_used, reason = "a document that is at hand can be read")]
fn build(document: &str, schema: &str) -> Option<Validator> {
    let path = shared().join("specs").join(document);
    let text = std::fs::read(path).ok()?;
    let mut document: Value = serde_json::from_slice(&text).expect("JSON");
    let mut schemas = document["components"]["schemas"].take();
    as_json_schema(&mut schemas);
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{schema}"),
        "components": { "schemas": schemas },
    });
    Some(jsonschema::validator_for(&root).expect("a schema"))
}

/// The folder of documents: named in the environment, or beside the repository.
fn shared() -> PathBuf {
    let named = std::env::var_os("TOLLGATE_SHARED").map(PathBuf::from);
    named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"))
}

/// Makes plain JSON schemas of OpenAPI's. Members of a `oneOf` are told apart by a discriminator there, not by all but
/// one being wrong; and what is `nullable` in the older version may be null.
fn as_json_schema(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(as_json_schema);
            if members.get("oneOf").is_some_and(Value::is_array)
                && !members.contains_key("anyOf")
                && let Some(options) = members.remove("oneOf")
            {
                members.insert("anyOf".to_owned(), options);
            }
            if members.get("nullable") == Some(&Value::Bool(true)) {
                let rest = std::mem::take(members);
                members.insert("anyOf".to_owned(), json!([rest, { "type": "null" }]));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(as_json_schema),
        _ => {}
    }
}
