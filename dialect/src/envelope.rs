//! What must be known of a request before it can be routed, whatever its dialect; all else passes unseen.

use std::ops::Range;

/// A request as the gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The model name that the client asked for.
    pub model: String,
    pub stream: bool,
    /// Whether usage comes at the end of the stream without being asked for: in Chat Completions because the client did
    /// ask, elsewhere always.
    pub include_usage: bool,
    /// How many answers were asked for.
    pub choices: u64,
    /// The most tokens that each of them may have, where the client says.
    pub max_tokens: Option<u64>,
    /// The tier of service that was asked for, in the vendor's word.
    pub tier: Option<String>,
    /// Where the model's name stands, unless that is outside the body.
    pub(crate) model_at: Option<Range<usize>>,
    pub(crate) stream_options_at: Option<Range<usize>>,
    /// The place of the brace that closes the request.
    pub(crate) end_at: usize,
}

impl Envelope {
    /// The envelope of a request for one whole answer, in a dialect that always tells usage.
    pub(crate) fn new(body: &[u8], model: String, model_at: Option<Range<usize>>) -> Self {
        Self {
            model,
            stream: false,
            include_usage: true,
            choices: 1,
            max_tokens: None,
            tier: None,
            model_at,
            stream_options_at: None,
            end_at: body.iter().rposition(|byte| *byte == b'}').unwrap_or(body.len()),
        }
    }
}
