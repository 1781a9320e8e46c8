//! What can be seen of an answer of Google's on its way to the program: why the model ended, and the usage; or after how long
//! Google may be asked again.

use serde::Deserialize;

use super::answer::Counts;
use super::wait;

/// Of the last answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// In Google's word; none as long as it goes on.
    pub(super) reason: Option<String>,
    pub(super) counts: Option<Counts>,
    /// In seconds, of an answer that is an error.
    pub(super) wait_s: Option<u64>,
}

/// Reads an answer as it passes.
pub(super) enum Reader {
    Events(Lines),
    /// An error, as far as it has come.
    Error(Vec<u8>),
}

/// Of a stream of events.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// A line that is longer than is kept, of which the rest is passed over.
    is_over: bool,
}

#[derive(Deserialize)]
struct Event {
    response: Option<Told>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    candidates: Vec<Candidate>,
    usage_metadata: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    #[serde(default)]
    prompt_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    thoughts_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
}

const LINE_BYTES_MAX: usize = 1 << 20;
const ERROR_BYTES_MAX: usize = 64 << 10;
const REASON_LEN_MAX: usize = 40;

impl Reader {
    pub(super) fn of(is_success: bool) -> Self {
        if is_success {
            Self::Events(Lines::default())
        } else {
            Self::Error(Vec::new())
        }
    }

    pub(super) fn read(&mut self, bytes: &[u8], seen: &mut Seen) {
        match self {
            Self::Events(lines) => lines.read(bytes, seen),
            Self::Error(error) if error.len() + bytes.len() > ERROR_BYTES_MAX => {}
            Self::Error(error) => {
                error.extend_from_slice(bytes);
                // Nobody says which piece is the last.
                seen.wait_s = wait::in_answer(error).or(seen.wait_s);
            }
        }
    }
}

impl Lines {
    fn read(&mut self, bytes: &[u8], seen: &mut Seen) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LINE_BYTES_MAX {
                self.is_over = true;
                self.line.clear();
            }
            if !self.is_over {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                seen.take(&self.line);
                self.line.clear();
                self.is_over = false;
            }
        }
    }
}

impl Seen {
    fn take(&mut self, line: &[u8]) {
        let Some(event) = line.strip_prefix(b"data:") else {
            return;
        };
        // What it cannot read is the program's to judge.
        let event: Option<Event> = serde_json::from_slice(event).ok();
        let Some(told) = event.and_then(|event| event.response) else {
            return;
        };
        let mut reasons = told.candidates.into_iter().filter_map(|one| one.finish_reason);
        if let Some(reason) = reasons.next().filter(|reason| is_word(reason)) {
            self.reason = Some(reason);
        }
        if let Some(usage) = told.usage_metadata {
            self.counts = Some(Counts {
                input: usage.prompt_token_count,
                output: usage.candidates_token_count,
                thoughts: usage.thoughts_token_count,
                cached: usage.cached_content_token_count,
            });
        }
    }
}

fn is_word(reason: &str) -> bool {
    (1..=REASON_LEN_MAX).contains(&reason.len())
        && reason
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_and_the_usage_are_seen_however_the_stream_is_cut() {
        let stream = b"data: {\"response\":{\"candidates\":[{\"content\":{}}],\"usageMetadata\":{\"promptTokenCount\":3}}}\r\n\r\n\
            data: {\"response\":{\"candidates\":[{\"finishReason\":\"SAFETY\"}],\"usageMetadata\":{\"promptTokenCount\":3,\
            \"candidatesTokenCount\":4,\"thoughtsTokenCount\":5,\"cachedContentTokenCount\":1}}}\r\n\r\n: x\r\ndata: nonsense\n";
        for size in 1..stream.len() {
            let (mut reader, mut seen) = (Reader::of(true), Seen::default());
            for piece in stream.chunks(size) {
                reader.read(piece, &mut seen);
            }
            let counts = Counts {
                input: 3,
                output: 4,
                thoughts: Some(5),
                cached: Some(1),
            };
            assert_eq!(seen.reason.as_deref(), Some("SAFETY"));
            assert_eq!(seen.counts, Some(counts));
        }
    }

    #[test]
    fn when_to_ask_again_is_seen_however_the_error_is_cut() {
        let error = br#"{"error": {"code": 429, "details": [{"retryDelay": "6.5s"}]}}"#;
        for size in 1..=error.len() {
            let (mut reader, mut seen) = (Reader::of(false), Seen::default());
            for piece in error.chunks(size) {
                reader.read(piece, &mut seen);
            }
            assert_eq!(seen.wait_s, Some(7));
        }
        let (mut reader, mut seen) = (Reader::of(false), Seen::default());
        for _ in 0..40 {
            reader.read(&[b'x'; 1 << 14], &mut seen);
        }
        assert!(matches!(reader, Reader::Error(error) if error.len() <= ERROR_BYTES_MAX));
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let (mut reader, mut seen) = (Lines::default(), Seen::default());
        for _ in 0..40 {
            reader.read(&[b'x'; 1 << 16], &mut seen);
        }
        assert!(reader.line.len() <= LINE_BYTES_MAX);
    }
}
