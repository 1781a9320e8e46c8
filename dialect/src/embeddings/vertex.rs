//! Vertex AI's forms: `embedContent` and `batchEmbedContents` for Gemini's models, `embedContent` alone for those that others
//! made, and the older `predict` for all else. Which model is asked how is told by its name, as Google's own SDKs go by that.

use super::gemini::{refuse_what_is_no_text, write_content};
use super::{EmbeddingRequest, Form, Input};
use crate::json::{ObjectWriter, write_array};
use crate::neutral::Losses;
use crate::refusal::{Code, Refusal};

/// Google's bound of the texts of one prediction.
const INSTANCES_MAX: usize = 250;

impl Form {
    /// How this model is asked for so many vectors.
    pub fn of_vertex(model: &str, inputs: usize) -> Self {
        let is_of = |maker: &str| model.contains(maker);
        match inputs {
            _ if !is_of("gemini") && !is_of("maas") => Self::VertexPredict,
            0 | 1 => Self::VertexOne,
            _ => Self::VertexMany,
        }
    }

    /// Whether Vertex AI takes a request of this form for the model as a client of the Gemini API sends it.
    pub fn is_vertex_own(self, model: &str) -> bool {
        self == Self::GeminiOne && Self::of_vertex(model, 1) == Self::VertexOne
    }
}

/// Writes an `embedContent`.
///
/// # Errors
/// When an input is no text.
pub fn write_one(request: &EmbeddingRequest, losses: &mut Losses) -> Result<Vec<u8>, Refusal> {
    refuse_what_is_no_text(request, losses)?;
    let mut body = Vec::new();
    for input in request.inputs.iter().take(1) {
        write_single(input, request, &mut body);
    }
    Ok(body)
}

/// Writes a `batchEmbedContents`.
///
/// # Errors
/// When an input is no text, or the model takes one at a time.
pub fn write_many(request: &EmbeddingRequest, model: &str, losses: &mut Losses) -> Result<Vec<u8>, Refusal> {
    refuse_what_is_no_text(request, losses)?;
    hold_to(
        request,
        if model.contains("maas") {
            1
        } else {
            super::gemini::BATCH_MAX
        },
    )?;
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    write_array(&request.inputs, object.begin("requests"), |input, out| {
        write_single(input, request, out);
    });
    object.end();
    Ok(body)
}

/// Writes a `predict`.
///
/// # Errors
/// When an input is no text, or there are too many.
pub fn write_predict(request: &EmbeddingRequest, losses: &mut Losses) -> Result<Vec<u8>, Refusal> {
    refuse_what_is_no_text(request, losses)?;
    hold_to(request, INSTANCES_MAX)?;
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    write_array(&request.inputs, object.begin("instances"), |input, out| {
        let mut instance = ObjectWriter::new(out);
        if let Input::Text(text) = input {
            instance.member("content", text);
        }
        instance
            .optional("task_type", request.task.as_deref())
            .optional("title", request.title.as_deref());
        instance.end();
    });
    if let Some(dimensions) = request.dimensions {
        let mut parameters = object.object("parameters");
        parameters.member("outputDimensionality", &dimensions);
        parameters.end();
    }
    object.end();
    Ok(body)
}

fn write_single(input: &Input, request: &EmbeddingRequest, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    write_content(input, &mut object);
    if request.task.is_some() || request.title.is_some() || request.dimensions.is_some() {
        let mut config = object.object("embedContentConfig");
        config
            .optional("taskType", request.task.as_deref())
            .optional("title", request.title.as_deref())
            .optional("outputDimensionality", request.dimensions);
        config.end();
    }
    object.end();
}

fn hold_to(request: &EmbeddingRequest, inputs_max: usize) -> Result<(), Refusal> {
    if request.inputs.len() <= inputs_max {
        return Ok(());
    }
    let message = format!("this model takes at most {inputs_max} inputs at once");
    Err(Refusal::new(Code::TooManyValues, message).param("input"))
}
