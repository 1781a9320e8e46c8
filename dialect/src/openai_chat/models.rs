//! Lists of models: `GET /v1/models`, ours and a provider's.

use serde::{Deserialize, Serialize};

/// One model as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    pub id: String,
    /// Seconds since the Unix epoch; 0 where nobody knows.
    pub created_at_s: i64,
    pub owned_by: String,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Deserialize)]
struct ProviderList {
    data: Vec<ProviderModel>,
}

#[derive(Deserialize)]
struct ProviderModel {
    id: String,
    #[serde(default, deserialize_with = "lenient")]
    created: Option<i64>,
}

/// The answer to `GET /v1/models`.
pub fn write_model_list(models: &[ModelEntry]) -> Vec<u8> {
    let list = List {
        object: "list",
        data: models.iter().map(model).collect(),
    };
    serde_json::to_vec(&list).unwrap_or_default()
}

/// The answer to `GET /v1/models/{id}`.
pub fn write_model(entry: &ModelEntry) -> Vec<u8> {
    serde_json::to_vec(&model(entry)).unwrap_or_default()
}

/// What a provider's list names, under the provider's name as owner; `None` when it is no such list. Together sends
/// the array alone.
pub fn read_model_list(body: &[u8], owned_by: &str) -> Option<Vec<ModelEntry>> {
    let models = serde_json::from_slice::<ProviderList>(body)
        .map(|list| list.data)
        .or_else(|_| serde_json::from_slice::<Vec<ProviderModel>>(body))
        .ok()?;
    let entries = models.into_iter().map(|model| ModelEntry {
        id: model.id,
        created_at_s: model.created.unwrap_or(0),
        owned_by: owned_by.to_owned(),
    });
    Some(entries.collect())
}

fn model(entry: &ModelEntry) -> Model<'_> {
    Model {
        id: &entry.id,
        object: "model",
        created: entry.created_at_s,
        owned_by: &entry.owned_by,
    }
}

/// A number, or nothing: vendors also send null, texts and fractions here, and none of that makes a model unusable.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_i64())
}
