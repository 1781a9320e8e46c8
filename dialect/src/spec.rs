//! The vendors' own documents of their APIs and what was recorded of them, where they are at hand: tests hold what is
//! written here against the first, and what is read against the second.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::{Value, json};

/// A vendor's OpenAPI document.
pub(crate) struct Spec {
    schemas: Value,
    /// Building one takes long in the larger documents.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The folder of documents and recordings: named in the environment, or beside the repository.
pub(crate) fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("TOLLGATE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    Some(named.unwrap_or(beside)).filter(|folder| folder.is_dir())
}

/// The recorded files of a dialect's folder whose names end so, by name; none where they are not at hand.
pub(crate) fn recorded(folder: &str, ending: &str) -> Vec<(String, Vec<u8>)> {
    let Some(shared) = shared() else {
        println!("skipped: nothing recorded here");
        return Vec::new();
    };
    let files = std::fs::read_dir(shared.join("fixtures").join(folder)).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path));
    let mut found: Vec<_> = named.filter(|(name, _)| name.ends_with(ending)).collect();
    found.sort();
    let read = |(name, path)| (name, std::fs::read(path).unwrap());
    found.into_iter().map(read).collect()
}

impl Spec {
    pub(crate) fn openai() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<Spec>> = OnceLock::new();
        LOADED
            .get_or_init(|| Self::load("openai-openapi.trimmed.json"))
            .as_ref()
    }

    pub(crate) fn anthropic() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<Spec>> = OnceLock::new();
        LOADED
            .get_or_init(|| Self::load("anthropic-openapi.trimmed.json"))
            .as_ref()
    }

    pub(crate) fn google() -> Option<&'static Self> {
        static LOADED: OnceLock<Option<Spec>> = OnceLock::new();
        LOADED
            .get_or_init(|| Self::load("google-generativelanguage-v1beta.trimmed.json"))
            .as_ref()
    }

    fn load(file: &str) -> Option<Self> {
        let Some(shared) = shared() else {
            println!("skipped: no documents of APIs here");
            return None;
        };
        let text = std::fs::read(shared.join("specs").join(file)).unwrap();
        let mut document: Value = serde_json::from_slice(&text).unwrap();
        let mut schemas = document["components"]["schemas"].take();
        as_json_schema(&mut schemas);
        Some(Self {
            schemas,
            validators: Mutex::default(),
        })
    }

    /// What is wrong with a text by the schema of this name; nothing when it is as the document wants it.
    pub(crate) fn problems(&self, schema: &str, text: &[u8]) -> Vec<String> {
        match serde_json::from_slice::<Value>(text) {
            Ok(value) => {
                let validator = self.validator(schema);
                let errors = validator.iter_errors(&value);
                errors
                    .map(|error| {
                        format!("{}: {error}", error.instance_path())
                            .chars()
                            .take(600)
                            .collect()
                    })
                    .collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    fn validator(&self, schema: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let built = validators.entry(schema.to_owned()).or_insert_with(|| {
            let root = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#/components/schemas/{schema}"),
                "components": { "schemas": self.schemas },
            });
            Arc::new(jsonschema::validator_for(&root).unwrap())
        });
        Arc::clone(built)
    }
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

#[test]
fn documents_tell_right_from_wrong() {
    if let Some(openai) = Spec::openai() {
        let right = br#"{"type":"response.refusal.delta","item_id":"i","output_index":0,"content_index":0,"delta":"","sequence_number":1}"#;
        assert_eq!(
            openai.problems("ResponseStreamEvent", right),
            Vec::<String>::new()
        );
        assert!(
            !openai
                .problems(
                    "ResponseRefusalDeltaEvent",
                    br#"{"type":"response.refusal.delta"}"#
                )
                .is_empty()
        );
        assert!(openai.problems("CreateResponse", br#"{"input":1}"#).len() == 1);
    }
    if let Some(anthropic) = Spec::anthropic() {
        assert!(
            !anthropic
                .problems("CreateMessageParams", br#"{"model":"m"}"#)
                .is_empty()
        );
    }
    if let Some(google) = Spec::google() {
        assert!(
            google
                .problems("GenerateContentRequest", br#"{"model":"m","contents":[]}"#)
                .is_empty()
        );
        assert!(
            !google
                .problems("GenerateContentRequest", br#"{"model":"m","contents":{}}"#)
                .is_empty()
        );
    }
}

#[test]
fn recordings_are_found_by_how_their_names_end() {
    for (name, body) in recorded("openai-responses", ".response.json") {
        assert!(serde_json::from_slice::<Value>(&body).is_ok(), "{name}");
    }
}
