//! OpenAI's form: `POST /v1/embeddings`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{EmbeddingReply, EmbeddingRequest, Encoding, Input};
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{BadAnswer, Losses};
use crate::refusal::{Code, Refusal};

/// OpenAI's bound of the inputs of one request.
const INPUTS_MAX: usize = 2_048;

#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u64>),
    TokenLists(Vec<Vec<u64>>),
}

#[derive(Deserialize)]
struct Answer {
    model: Option<String>,
    data: Vec<Item>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vector,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vector {
    Floats(Vec<f32>),
    Base64(String),
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Reads a client's request. What has no place in it is told as lost.
///
/// # Errors
/// When it is no such request.
pub fn read_request(body: &[u8], losses: &mut Losses) -> Result<EmbeddingRequest, Refusal> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let malformed = || Refusal::new(Code::InvalidJson, "the body is not a JSON object");
    let mut members = Members::read(text).ok_or_else(malformed)?;
    let missing = |name: &'static str| {
        Refusal::new(Code::MissingMember, format!("the member `{name}` is missing")).param(name)
    };
    let inputs = members
        .read_member::<Inputs>("input")?
        .ok_or_else(|| missing("input"))?;
    let request = EmbeddingRequest {
        model: members.text("model")?.ok_or_else(|| missing("model"))?,
        inputs: list(inputs)?,
        dimensions: members.read_member("dimensions")?,
        encoding: match members.text("encoding_format")?.as_deref() {
            None | Some("float") => Encoding::Float,
            Some("base64") => Encoding::Base64,
            Some(_) => return Err(invalid("encoding_format")),
        },
        user: members.text("user")?,
        task: None,
        title: None,
    };
    for (name, value) in members.rest() {
        if value.get() != "null" {
            losses.drop_unknown("", &name)?;
        }
    }
    Ok(request)
}

fn list(inputs: Inputs) -> Result<Vec<Input>, Refusal> {
    let inputs: Vec<Input> = match inputs {
        Inputs::Text(text) => vec![Input::Text(text)],
        // An empty list is a list of texts to the reader.
        Inputs::Texts(texts) => texts.into_iter().map(Input::Text).collect(),
        Inputs::Tokens(tokens) => vec![Input::Tokens(tokens)],
        Inputs::TokenLists(lists) => lists.into_iter().map(Input::Tokens).collect(),
    };
    if inputs.is_empty() || inputs.len() > INPUTS_MAX {
        return Err(invalid("input"));
    }
    Ok(inputs)
}

fn invalid(name: &'static str) -> Refusal {
    Refusal::new(
        Code::InvalidValue,
        format!("the member `{name}` has a wrong type or value"),
    )
    .param(name)
}

/// Writes a request for a provider of this form.
///
/// # Errors
/// When the tenant wants nothing left out that has no place here.
pub fn write_request(
    request: &EmbeddingRequest,
    model: &str,
    losses: &mut Losses,
) -> Result<Vec<u8>, Refusal> {
    if request.task.is_some() {
        losses.drop("taskType")?;
    }
    if request.title.is_some() {
        losses.drop("title")?;
    }
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    object.member("model", model);
    write_array(&request.inputs, object.begin("input"), |input, out| match input {
        Input::Text(text) => crate::json::write(text, out),
        Input::Tokens(tokens) => crate::json::write(tokens, out),
    });
    object.optional("dimensions", request.dimensions);
    if request.encoding == Encoding::Base64 {
        object.member("encoding_format", "base64");
    }
    object.end();
    Ok(body)
}

/// Reads a provider's answer.
///
/// # Errors
/// When it is none, or a vector is missing.
pub fn read_reply(body: &[u8]) -> Result<EmbeddingReply, BadAnswer> {
    let answer: Answer = serde_json::from_slice(body)?;
    let mut numbered = Vec::with_capacity(answer.data.len());
    for (place, item) in answer.data.into_iter().enumerate() {
        let vector = match item.embedding {
            Vector::Floats(vector) => vector,
            Vector::Base64(text) => decode(&text)
                .ok_or_else(|| BadAnswer::Malformed("a vector is no base64 of numbers".to_owned()))?,
        };
        numbered.push((item.index.unwrap_or(place), vector));
    }
    numbered.sort_by_key(|(index, _)| *index);
    if numbered
        .iter()
        .enumerate()
        .any(|(place, (index, _))| place != *index)
    {
        return Err(BadAnswer::Malformed("a vector is missing".to_owned()));
    }
    Ok(EmbeddingReply {
        model: answer.model.unwrap_or_default(),
        vectors: numbered.into_iter().map(|(_, vector)| vector).collect(),
        input_tokens: answer.usage.and_then(|usage| usage.prompt_tokens),
    })
}

/// Writes an answer for a client of this form.
pub fn write_reply(reply: &EmbeddingReply, encoding: Encoding, model: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    object.member("object", "list");
    write_array(
        reply.vectors.iter().enumerate(),
        object.begin("data"),
        |(index, vector), out| {
            let mut object = ObjectWriter::new(out);
            object.member("object", "embedding").member("index", &index);
            match encoding {
                Encoding::Float => object.member("embedding", vector),
                Encoding::Base64 => object.member("embedding", &encode(vector)),
            };
            object.end();
        },
    );
    let told = Some(reply.model.as_str()).filter(|model| !model.is_empty());
    object.member("model", told.unwrap_or(model));
    let tokens = reply.input_tokens.unwrap_or(0);
    let counts = Counts {
        prompt_tokens: tokens,
        total_tokens: tokens,
    };
    object.member("usage", &counts);
    object.end();
    body
}

fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<f32>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    rest.is_empty()
        .then(|| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect())
}
