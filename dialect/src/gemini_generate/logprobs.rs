//! Log-probabilities, on their way from the dialects of OpenAI to clients of Google's and back: the same numbers under
//! other names. Google tells no bytes of a token, so those are null.

use serde_json::value::RawValue;

use super::wire::{Str, object};
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::Raw;

object! {
    struct Googles<'a> {
        chosen: Vec<Token<'a>> = "chosenCandidates",
        top: Vec<Top<'a>> = "topCandidates",
    }
}

object! {
    struct Top<'a> {
        candidates: Vec<Token<'a>> = "candidates",
    }
}

object! {
    struct Openais<'a> {
        content: Vec<Token<'a>> = "content",
    }
}

object! {
    struct Token<'a> {
        token: Str<'a> = "token",
        probability: &'a RawValue = "logProbability" | "logprob",
        top: Vec<Token<'a>> = "top_logprobs",
    }
}

/// Writes the member `logprobsResult` of these pieces of an answer; nothing where the vendor's shape is not known.
pub(super) fn write(raws: &[Raw], object: &mut ObjectWriter<'_>) {
    if let [raw] = raws
        && raw.origin == Dialect::GeminiGenerate
    {
        object.json("logprobsResult", raw.json.get());
        return;
    }
    let tokens: Vec<Token<'_>> = raws.iter().flat_map(tokens).collect();
    if tokens.is_empty() {
        return;
    }
    let mut result = object.object("logprobsResult");
    let top = |token: &Token<'_>| token.top.as_ref().is_some_and(|top| !top.is_empty());
    if tokens.iter().any(top) {
        write_array(&tokens, result.begin("topCandidates"), |token, out| {
            let mut object = ObjectWriter::new(out);
            let top = token.top.as_deref().unwrap_or_default();
            write_array(top, object.begin("candidates"), write_googles);
            object.end();
        });
    }
    write_array(&tokens, result.begin("chosenCandidates"), write_googles);
    result.end();
}

/// The tokens of a piece: Chat Completions has them in an object, Responses as they are.
fn tokens(raw: &Raw) -> Vec<Token<'_>> {
    let json = raw.json.get();
    match raw.origin {
        Dialect::OpenaiResponses => serde_json::from_str(json).unwrap_or_default(),
        Dialect::GeminiGenerate => googles(json).unwrap_or_default(),
        _ => {
            let openais = serde_json::from_str::<Openais<'_>>(json);
            openais
                .ok()
                .and_then(|openais| openais.content)
                .unwrap_or_default()
        }
    }
}

/// Google's, each token with its alternatives.
fn googles(json: &str) -> Option<Vec<Token<'_>>> {
    let googles: Googles<'_> = serde_json::from_str(json).ok()?;
    let mut top = googles.top.unwrap_or_default().into_iter();
    let tokens = googles.chosen.unwrap_or_default().into_iter().map(|mut token| {
        token.top = top.next().and_then(|top| top.candidates);
        token
    });
    Some(tokens.collect())
}

fn write_googles(token: &Token<'_>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object.member("token", token.token.as_ref().map_or("", Str::as_str));
    object.optional("logProbability", token.probability);
    object.end();
}

/// Google's log-probabilities (`logprobsResult`) as OpenAI has them: `{"content": […]}`. `None` when they cannot be read.
pub fn openai_logprobs(raw: &Raw) -> Option<Box<RawValue>> {
    let chosen = googles(raw.json.get())?;
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    write_array(&chosen, object.begin("content"), |token, out| {
        let mut object = ObjectWriter::new(out);
        write_openais(token, &mut object);
        let alternatives = token.top.as_deref().unwrap_or_default();
        write_array(alternatives, object.begin("top_logprobs"), |token, out| {
            let mut object = ObjectWriter::new(out);
            write_openais(token, &mut object);
            object.end();
        });
        object.end();
    });
    object.member("refusal", &None::<()>);
    object.end();
    Some(super::read_part::raw_value(json))
}

fn write_openais(token: &Token<'_>, object: &mut ObjectWriter<'_>) {
    object.member("token", token.token.as_ref().map_or("", Str::as_str));
    object.member("logprob", &token.probability);
    object.member("bytes", &None::<()>);
}
