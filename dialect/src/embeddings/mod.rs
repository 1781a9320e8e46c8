//! Embeddings: texts into vectors. There are OpenAI's `/v1/embeddings`, Google's `batchEmbedContents` and Vertex AI's ways,
//! and one neutral request and answer between them.

mod form;
pub mod gemini;
pub mod openai;
pub mod vertex;

pub use form::{Form, Manner};

#[cfg(test)]
mod tests;

/// What a client wants embedded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingRequest {
    /// The model name that the client asked for.
    pub model: String,
    /// In the order in which the vectors are wanted.
    pub inputs: Vec<Input>,
    /// How long each vector shall be.
    pub dimensions: Option<u64>,
    pub encoding: Encoding,
    /// By which the caller tells its own users apart. It goes to no other vendor.
    pub user: Option<String>,
    /// What the vectors are for, as Google spells it (`RETRIEVAL_QUERY`).
    pub task: Option<String>,
    /// The title of a document, for Google.
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Text(String),
    /// A text as the numbers that the model's own tokenizer gives it, which mean nothing to any other model.
    Tokens(Vec<u64>),
}

/// How vectors are written to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    Float,
    /// Base64 of the numbers as 32-bit floats, lowest byte first.
    Base64,
}

/// The vectors, in the order of the inputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EmbeddingReply {
    /// As the provider reports it; empty where it does not.
    pub model: String,
    pub vectors: Vec<Vec<f32>>,
    /// `None` where the provider tells none: unknown, which is not zero.
    pub input_tokens: Option<u64>,
}

impl EmbeddingReply {
    /// Makes each vector of length one. Google shortens vectors without doing so, and OpenAI's have that length always, on
    /// which clients build who take a product of two for their likeness.
    pub fn normalize(&mut self) {
        for vector in &mut self.vectors {
            let square: f64 = vector
                .iter()
                .map(|number| f64::from(*number) * f64::from(*number))
                .sum();
            let length = square.sqrt();
            if length.is_normal() {
                for number in vector {
                    // Back to the precision in which it came.
                    #[expect(clippy::cast_possible_truncation)]
                    let scaled = (f64::from(*number) / length) as f32;
                    *number = scaled;
                }
            }
        }
    }
}
