//! Lists of models: `GET /v1beta/models`, ours and Google's.

use serde::Serialize;

use super::look::bare_model;
use super::wire::{Number, Str, object};

/// One model as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelEntry {
    /// Without the collection `models/`.
    pub id: String,
    /// The most tokens of a request and of an answer; `None` where nobody knows.
    pub input_tokens_max: Option<u64>,
    pub output_tokens_max: Option<u64>,
    /// What can be done with it (`generateContent`, `embedContent`), as Google spells it.
    pub methods: Vec<String>,
}

/// What of a provider's list was read, and where its next page begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelPage {
    pub models: Vec<ModelEntry>,
    pub next_page_token: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Model<'a> {
    name: String,
    base_model_id: &'a str,
    version: &'static str,
    display_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_token_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_token_limit: Option<u64>,
    supported_generation_methods: &'a [String],
}

object! {
    struct ProviderList<'a> {
        models: Vec<ProviderModel<'a>> = "models" | "publisherModels",
        next: Str<'a> = "nextPageToken",
    }
}

object! {
    struct ProviderModel<'a> {
        name: Str<'a> = "name",
        input: Number = "inputTokenLimit",
        output: Number = "outputTokenLimit",
        methods: Vec<Str<'a>> = "supportedGenerationMethods" | "supportedActions",
    }
}

/// The answer to `GET /v1beta/models`. It is one page, so it has no token of a next one.
pub fn write_model_list(models: &[ModelEntry]) -> Vec<u8> {
    let list = List {
        models: models.iter().map(model).collect(),
    };
    serde_json::to_vec(&list).unwrap_or_default()
}

/// The answer to `GET /v1beta/models/{id}`.
pub fn write_model(entry: &ModelEntry) -> Vec<u8> {
    serde_json::to_vec(&model(entry)).unwrap_or_default()
}

/// A page of Google's list; `None` when it is no such list.
pub fn read_model_list(body: &[u8]) -> Option<ModelPage> {
    let list: ProviderList<'_> = serde_json::from_slice(body).ok()?;
    let entries = list.models?.into_iter().filter_map(|model| {
        Some(ModelEntry {
            id: bare_model(model.name?.as_str()).to_owned(),
            input_tokens_max: model.input.and_then(Number::count),
            output_tokens_max: model.output.and_then(Number::count),
            methods: model
                .methods
                .unwrap_or_default()
                .into_iter()
                .map(Str::into_owned)
                .collect(),
        })
    });
    Some(ModelPage {
        models: entries.collect(),
        next_page_token: list.next.map(Str::into_owned).filter(|token| !token.is_empty()),
    })
}

fn model(entry: &ModelEntry) -> Model<'_> {
    Model {
        name: format!("models/{}", entry.id),
        base_model_id: &entry.id,
        version: "1",
        display_name: &entry.id,
        input_token_limit: entry.input_tokens_max,
        output_token_limit: entry.output_tokens_max,
        supported_generation_methods: &entry.methods,
    }
}
