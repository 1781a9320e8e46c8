//! Google's form: `embedContent` for one text, `batchEmbedContents` for many, and the older `predict` of Vertex AI's
//! answers.

use serde::Deserialize;

use super::{EmbeddingReply, EmbeddingRequest, Encoding, Input};
use crate::json::{ObjectWriter, write_array};
use crate::neutral::{BadAnswer, Losses};
use crate::refusal::{Code, Refusal};

/// Google's bound of the requests of one batch.
pub const BATCH_MAX: usize = 100;

#[derive(Deserialize)]
struct Batch {
    requests: Vec<Single>,
}

/// A request for one text. Google takes both spellings of each name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Single {
    content: Content,
    #[serde(alias = "task_type")]
    task_type: Option<String>,
    title: Option<String>,
    #[serde(alias = "output_dimensionality")]
    output_dimensionality: Option<u64>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    embeddings: Option<Vec<Embedding>>,
    embedding: Option<Embedding>,
    predictions: Option<Vec<Prediction>>,
    usage_metadata: Option<Counts>,
}

#[derive(Deserialize)]
struct Embedding {
    values: Vec<f32>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Embedding,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(alias = "tokenCount")]
    token_count: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    prompt_token_count: Option<u64>,
}

/// Reads a client's `embedContent` or `batchEmbedContents` for the model of the path.
///
/// # Errors
/// When it is no such request, when it embeds something other than text, or when the texts of a batch are for different
/// purposes.
pub fn read_request(body: &[u8], model: &str, is_batch: bool) -> Result<EmbeddingRequest, Refusal> {
    let invalid = |_| Refusal::new(Code::InvalidValue, "the body is not a request for embeddings");
    let singles = if is_batch {
        serde_json::from_slice::<Batch>(body).map_err(invalid)?.requests
    } else {
        vec![serde_json::from_slice(body).map_err(invalid)?]
    };
    let mut request = EmbeddingRequest {
        model: model.to_owned(),
        encoding: Encoding::Float,
        ..EmbeddingRequest::default()
    };
    for (number, single) in singles.into_iter().enumerate() {
        if number == 0 {
            request.dimensions = single.output_dimensionality;
            request.task.clone_from(&single.task_type);
            request.title.clone_from(&single.title);
        } else if (request.dimensions, &request.task, &request.title)
            != (single.output_dimensionality, &single.task_type, &single.title)
        {
            return Err(Losses::refuse("requests"));
        }
        request.inputs.push(Input::Text(text_of(single.content)?));
    }
    if request.inputs.is_empty() {
        return Err(Refusal::new(Code::InvalidValue, "there is nothing to embed").param("requests"));
    }
    Ok(request)
}

/// The parts of one content are one input.
fn text_of(content: Content) -> Result<String, Refusal> {
    let texts = content
        .parts
        .into_iter()
        .map(|part| part.text.ok_or_else(|| Losses::refuse("content.parts")));
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Writes a `batchEmbedContents`.
///
/// # Errors
/// When an input is tokens, which only their own model understands, or there are too many.
pub fn write_request(
    request: &EmbeddingRequest,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, Refusal> {
    refuse_what_is_no_text(request, losses)?;
    if request.inputs.len() > BATCH_MAX {
        let message = format!("this model takes at most {BATCH_MAX} inputs at once");
        return Err(Refusal::new(Code::TooManyValues, message).param("input"));
    }
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    let model = format!("models/{model}");
    write_array(&request.inputs, object.begin("requests"), |input, out| {
        let mut object = ObjectWriter::new(out);
        object.member("model", &model);
        write_input(input, request, &mut object);
        object.end();
    });
    object.end();
    Ok(body)
}

/// Tokens mean something to their own model alone. Nor is there a place for the caller's user.
pub(super) fn refuse_what_is_no_text(request: &EmbeddingRequest, losses: &mut Losses) -> Result<(), Refusal> {
    if request.user.is_some() {
        losses.mention("user");
    }
    let is_text = |input: &Input| matches!(input, Input::Text(_));
    if request.inputs.iter().all(is_text) {
        return Ok(());
    }
    Err(Losses::refuse("input"))
}

/// Writes an `embedContent` for one of the inputs.
///
/// # Errors
/// When there is no such input, or it is tokens.
pub fn write_single(request: &EmbeddingRequest, number: usize) -> Result<Vec<u8>, Refusal> {
    let Some(input @ Input::Text(_)) = request.inputs.get(number) else {
        return Err(Losses::refuse("input"));
    };
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    write_input(input, request, &mut object);
    object.end();
    Ok(body)
}

fn write_input(input: &Input, request: &EmbeddingRequest, object: &mut ObjectWriter<'_>) {
    write_content(input, object);
    object.optional("taskType", request.task.as_deref());
    object.optional("title", request.title.as_deref());
    object.optional("outputDimensionality", request.dimensions);
}

pub(super) fn write_content(input: &Input, object: &mut ObjectWriter<'_>) {
    if let Input::Text(text) = input {
        let mut content = object.object("content");
        write_array([text], content.begin("parts"), |text, out| {
            let mut part = ObjectWriter::new(out);
            part.member("text", text);
            part.end();
        });
        content.end();
    }
}

/// Reads an answer of any of the methods.
///
/// # Errors
/// When it is none.
pub fn read_reply(body: &[u8]) -> Result<EmbeddingReply, BadAnswer> {
    let answer: Answer = serde_json::from_slice(body)?;
    let predictions = answer.predictions.unwrap_or_default();
    let embeddings: Vec<_> = answer
        .embeddings
        .unwrap_or_default()
        .into_iter()
        .chain(answer.embedding)
        .chain(predictions.into_iter().map(|prediction| prediction.embeddings))
        .collect();
    if embeddings.is_empty() {
        return Err(BadAnswer::Malformed("there is no vector in it".to_owned()));
    }
    let told = answer.usage_metadata.and_then(|counts| counts.prompt_token_count);
    Ok(EmbeddingReply {
        model: String::new(),
        input_tokens: told.or_else(|| counted(&embeddings)),
        vectors: embeddings.into_iter().map(|embedding| embedding.values).collect(),
    })
}

/// The tokens of all vectors, where each tells its own.
fn counted(embeddings: &[Embedding]) -> Option<u64> {
    let counts = embeddings
        .iter()
        .map(|embedding| embedding.statistics.as_ref()?.token_count);
    let sum: f64 = counts.sum::<Option<f64>>()?;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (0.0..=EXACT).contains(&sum).then_some(sum as u64)
}

/// Writes an answer for a client of this form.
pub fn write_reply(reply: &EmbeddingReply, is_batch: bool) -> Vec<u8> {
    let vector = |values: &[f32], out: &mut Vec<u8>| {
        let mut object = ObjectWriter::new(out);
        object.member("values", values);
        object.end();
    };
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    if is_batch {
        write_array(&reply.vectors, object.begin("embeddings"), |values, out| {
            vector(values, out)
        });
    } else {
        vector(
            reply.vectors.first().map_or(&[], Vec::as_slice),
            object.begin("embedding"),
        );
    }
    if let Some(tokens) = reply.input_tokens {
        let mut counts = object.object("usageMetadata");
        counts.member("promptTokenCount", &tokens);
        counts.end();
    }
    object.end();
    body
}
