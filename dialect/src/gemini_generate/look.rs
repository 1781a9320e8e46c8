//! What must be known of a request before it can be routed. The model, and whether the answer is streamed, stand in the
//! path; of the body only its form and its size matter.

use std::ops::Range;

use super::wire::Number;
use crate::envelope::Envelope;
use crate::json::{Limits, Object, scan};
use crate::look::{LookError, hold_to_limits, is_a_name, refuse_forbidden, refuse_unstorable, tier};

/// What is done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    GenerateContent,
    StreamGenerateContent,
    CountTokens,
    EmbedContent,
    BatchEmbedContents,
}

/// Google's bound of `candidateCount`.
pub(super) const CHOICES_MAX: u64 = 8;

/// The model and the method of a path's last piece, `{model}:{method}`, where the model may be spelled with the
/// collection that it is from: `gemini-x`, `models/gemini-x`, `publishers/google/models/gemini-x`. `None` for all else.
pub fn split_path(path: &str) -> Option<(&str, Method)> {
    let (model, method) = path.rsplit_once(':')?;
    let method = match method {
        "generateContent" => Method::GenerateContent,
        "streamGenerateContent" => Method::StreamGenerateContent,
        "countTokens" => Method::CountTokens,
        "embedContent" => Method::EmbedContent,
        "batchEmbedContents" => Method::BatchEmbedContents,
        _ => return None,
    };
    let model = bare_model(model);
    is_a_name(model).then_some((model, method))
}

/// A model's name without the collection that it is from.
pub fn bare_model(model: &str) -> &str {
    let model = model.strip_prefix('/').unwrap_or(model);
    let model = model.strip_prefix("publishers/google/").unwrap_or(model);
    model.strip_prefix("models/").unwrap_or(model)
}

/// Looks at a request for the model of the path.
///
/// # Errors
/// When it is no JSON object within the limits, has no contents, or a member that is not allowed.
pub fn look(body: &[u8], model: &str, stream: bool, limits: &Limits) -> Result<Envelope, LookError> {
    let object = scan(body, limits)?;
    refuse_forbidden(&object)?;
    if !is_a_name(model) {
        return Err(LookError::Invalid("model"));
    }
    hold_to_limits(body, &object, "contents")?;
    refuse_unstorable(body, &object, &["labels"])?;
    let mut envelope = Envelope::new(body, model.to_owned(), None);
    envelope.stream = stream;
    envelope.tier = tier(body, &object);
    if let Some(config) = under_one_name(&object, ["generationConfig", "generation_config"])? {
        look_at_config(body.get(config).unwrap_or_default(), limits, &mut envelope)?;
    }
    Ok(envelope)
}

/// Looks at a request to count: of contents alone, or of a whole request, which then stands in it.
///
/// # Errors
/// As [`look`]; but nothing of how to answer is looked at.
pub fn look_count(body: &[u8], model: &str, limits: &Limits) -> Result<Envelope, LookError> {
    let object = scan(body, limits)?;
    refuse_forbidden(&object)?;
    if !is_a_name(model) {
        return Err(LookError::Invalid("model"));
    }
    match whole_requests(&object).next().and_then(|at| body.get(at)) {
        Some(whole) => {
            let inner = scan(whole, limits).map_err(|_| LookError::Invalid("generateContentRequest"))?;
            refuse_forbidden(&inner)?;
            hold_to_limits(whole, &inner, "contents")?;
        }
        None => hold_to_limits(body, &object, "contents")?,
    }
    Ok(Envelope::new(body, model.to_owned(), None))
}

/// Where the whole request stands that is to be counted, in either spelling.
pub(super) fn whole_requests(object: &Object<'_>) -> impl Iterator<Item = Range<usize>> {
    ["generateContentRequest", "generate_content_request"]
        .into_iter()
        .filter_map(|name| object.get(name))
}

fn look_at_config(config: &[u8], limits: &Limits, envelope: &mut Envelope) -> Result<(), LookError> {
    if config == b"null" {
        return Ok(());
    }
    let object = scan(config, limits).map_err(|_| LookError::Invalid("generationConfig"))?;
    let choices = count(config, &object, ["candidateCount", "candidate_count"])?;
    envelope.choices = choices.unwrap_or(1);
    if !(1..=CHOICES_MAX).contains(&envelope.choices) {
        return Err(LookError::Invalid("candidateCount"));
    }
    let max_tokens = count(config, &object, ["maxOutputTokens", "max_output_tokens"])?;
    envelope.max_tokens = max_tokens.filter(|tokens| *tokens > 0);
    Ok(())
}

/// A count under either of its names; null counts as absent.
fn count(config: &[u8], object: &Object<'_>, names: [&'static str; 2]) -> Result<Option<u64>, LookError> {
    let [name, _] = names;
    let Some(at) = under_one_name(object, names)? else {
        return Ok(None);
    };
    let value: Option<Number> =
        serde_json::from_slice(config.get(at).unwrap_or_default()).map_err(|_| LookError::Invalid(name))?;
    let count = value.map(|value| value.count().filter(|count| *count <= i32::MAX as u64));
    match count {
        Some(None) => Err(LookError::Invalid(name)),
        count => Ok(count.flatten()),
    }
}

/// A member that has two names. Under both of them nobody knows which one Google goes by, and limits have to.
fn under_one_name(object: &Object<'_>, names: [&'static str; 2]) -> Result<Option<Range<usize>>, LookError> {
    let [name, other] = names;
    match (object.get(name), object.get(other)) {
        (Some(_), Some(_)) => Err(LookError::Invalid(name)),
        (one, another) => Ok(one.or(another)),
    }
}
