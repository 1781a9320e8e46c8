//! Reading usage from an answer, whole or one chunk of a stream, and how a stream ended.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::{Number, Str, object};
use super::words;
use crate::json::scan_answer;
use crate::needle::Needle;
use crate::relay::{self, StreamEnd, StreamMeter};
use crate::sse;
use crate::tier::TierWord;
use crate::usage::{Usage, output_by_total};

/// An answer, or a chunk of one, as far as the gateway looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// `None` when it reports none.
    pub usage: Option<Usage>,
}

object! {
    /// `usageMetadata`
    struct Counts<'a> {
        prompt: Number = "promptTokenCount",
        tool_prompt: Number = "toolUsePromptTokenCount",
        cached: Number = "cachedContentTokenCount",
        candidates: Number = "candidatesTokenCount",
        thoughts: Number = "thoughtsTokenCount",
        total: Number = "totalTokenCount",
        prompt_details: Vec<Detail<'a>> = "promptTokensDetails",
        candidates_details: Vec<Detail<'a>> = "candidatesTokensDetails",
        tier: Str<'a> = "serviceTier",
        traffic: Str<'a> = "trafficType",
    }
}

object! {
    struct Detail<'a> {
        modality: Str<'a> = "modality",
        tokens: Number = "tokenCount",
    }
}

/// Google tells the whole answer's usage in each chunk, as far as it has come: the last one counts. There is no other
/// sign of the end than the reason for it.
#[derive(Debug, Clone, Default)]
pub struct ChunkMeter {
    failed: bool,
    /// The prompt was held back: there is no candidate.
    blocked: bool,
    /// Which candidates have begun, and which have ended: a bit for each.
    begun: u64,
    finished: u64,
    usage: Option<Usage>,
    /// That was told with the reason for the end, or after it.
    told_all: bool,
}

/// What of a chunk concerns whoever relays it.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    candidates: Option<Vec<Finished<'a>>>,
    #[serde(rename = "promptFeedback")]
    feedback: Option<Blocked>,
    #[serde(borrow, rename = "usageMetadata")]
    usage: Option<Counts<'a>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Finished<'a> {
    index: Option<Number>,
    #[serde(borrow, rename = "finishReason")]
    reason: Option<Str<'a>>,
}

#[derive(Deserialize)]
struct Blocked {
    #[serde(rename = "blockReason")]
    reason: Option<IgnoredAny>,
}

impl Metered {
    /// Looks at an answer; `None` when it is no JSON object from its beginning to its end.
    pub fn look(body: &[u8]) -> Option<Self> {
        let [usage] = scan_answer(body, ["usageMetadata"]).ok()?;
        let counts = usage.and_then(|usage| serde_json::from_slice::<Option<Counts<'_>>>(usage).ok()?);
        Some(Self {
            usage: counts.and_then(|counts| counts.usage()),
        })
    }
}

impl Counts<'_> {
    /// Input includes what Google's own tools have read, and output the thoughts, as everywhere here.
    pub(super) fn usage(&self) -> Option<Usage> {
        let count = |number: Option<Number>| number.and_then(Number::count).unwrap_or(0);
        let thoughts = count(self.thoughts);
        let input_tokens = self.prompt?.count()?.saturating_add(count(self.tool_prompt));
        let told = count(self.candidates).saturating_add(thoughts);
        Some(Usage {
            input_tokens,
            cached_input_tokens: count(self.cached),
            cache_write_tokens: 0,
            cache_write_1h_tokens: 0,
            output_tokens: output_by_total(input_tokens, told, self.total.and_then(Number::count)),
            reasoning_tokens: thoughts,
            audio_input_tokens: of_kind(self.prompt_details.as_deref(), words::is_audio),
            audio_output_tokens: of_kind(self.candidates_details.as_deref(), words::is_audio),
            image_output_tokens: of_kind(self.candidates_details.as_deref(), words::is_image),
            tier: self
                .tier
                .as_ref()
                .or(self.traffic.as_ref())
                .and_then(|word| TierWord::new(word.as_str())),
        })
    }
}

fn of_kind(details: Option<&[Detail<'_>]>, is_kind: fn(&str) -> bool) -> u64 {
    let is_kind = |detail: &&Detail<'_>| {
        let modality = detail.modality.as_ref();
        modality.is_some_and(|modality| is_kind(modality.as_str()))
    };
    let counts = details.unwrap_or_default().iter().filter(is_kind);
    counts.filter_map(|detail| detail.tokens?.count()).sum()
}

/// Whether there is something of the answer in a chunk.
pub(super) fn says(chunk: &[u8]) -> bool {
    static TEXT: [Needle; 1] = [Needle::new(b"\"text\"")];
    static PARTS: [Needle; 5] = [
        Needle::new(b"\"functionCall\""),
        Needle::new(b"\"inlineData\""),
        Needle::new(b"\"fileData\""),
        Needle::new(b"\"executableCode\""),
        Needle::new(b"\"codeExecutionResult\""),
    ];
    relay::has_text(chunk, &TEXT) || PARTS.iter().any(|part| part.is_in(chunk))
}

impl ChunkMeter {
    /// Reads a chunk: the data of an event, or an item of an array.
    pub fn read_chunk(&mut self, json: &[u8]) {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(json) else {
            return;
        };
        let usage = chunk.usage.and_then(|counts| counts.usage());
        self.usage = usage.or(self.usage);
        let is_reason = |reason: &Str<'_>| !matches!(reason.as_str(), "" | "0" | "FINISH_REASON_UNSPECIFIED");
        self.failed |= chunk.error.is_some();
        self.blocked |= chunk.feedback.is_some_and(|feedback| feedback.reason.is_some());
        for candidate in chunk.candidates.iter().flatten() {
            let index = candidate.index.and_then(Number::count).unwrap_or(0);
            let place = 1_u64 << index.min(63);
            self.begun |= place;
            if candidate.reason.as_ref().is_some_and(is_reason) {
                self.finished |= place;
            }
        }
        self.told_all |= usage.is_some() && self.is_complete();
    }

    /// Whether all candidates that have begun have the reason for their end.
    fn is_complete(&self) -> bool {
        self.blocked || self.finished != 0 && self.finished == self.begun
    }
}

impl StreamMeter for ChunkMeter {
    fn read(&mut self, event: &[u8]) -> bool {
        let data = sse::data(event);
        if !data.is_empty() {
            self.read_chunk(&data);
        }
        true
    }

    fn end(&self) -> StreamEnd {
        match (self.failed, self.is_complete()) {
            (true, _) => StreamEnd::ProviderError,
            (false, true) => StreamEnd::Complete,
            (false, false) => StreamEnd::Cut,
        }
    }

    fn says(&self, event: &[u8]) -> bool {
        says(event)
    }

    /// Google has no last event: what comes after the reason for the end may still hold usage.
    fn is_done(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn has_told_all(&self) -> bool {
        self.told_all
    }

    fn said_under(&self) -> &'static Needle {
        static PARTS: Needle = Needle::new(b"\"parts\"");
        &PARTS
    }
}
