//! Writing content blocks: the pieces that requests and answers have in common.

use std::borrow::Cow;

use crate::Dialect;
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{Arguments, CacheMark, Citation, Raw};

const OWN: Dialect = Dialect::AnthropicMessages;

/// `text` of a request, with what it cites.
pub(in super::super) fn write_text(
    text: &str,
    citations: &[Citation],
    cache: Option<&CacheMark>,
    out: &mut Vec<u8>,
) {
    let mut block = ObjectWriter::new(out);
    block.member("type", "text").member("text", text);
    write_citations(citations, text, &mut block);
    write_cache(&mut block, cache);
    block.end();
}

/// `text` of an answer, in which the document wants `citations` even when there are none.
pub(in super::super) fn write_answer_text(text: &str, citations: &[Citation], out: &mut Vec<u8>) {
    let mut block = ObjectWriter::new(out);
    block.member("type", "text").member("text", text);
    if !write_citations(citations, text, &mut block) {
        block.json("citations", "null");
    }
    block.end();
}

/// Whether there were any that can be written. What is there as Anthropic wrote it says more than what could be made of
/// it.
fn write_citations(citations: &[Citation], text: &str, block: &mut ObjectWriter<'_>) -> bool {
    let is_own = |citation: &Citation| matches!(citation, Citation::Raw(raw) if raw.origin == OWN);
    let has_own = citations.iter().any(is_own);
    let is_kept = |citation: &&Citation| match citation {
        Citation::Raw(raw) => raw.origin == OWN,
        Citation::Url { .. } => !has_own,
    };
    let mut kept = citations.iter().filter(is_kept).peekable();
    if kept.peek().is_none() {
        return false;
    }
    let written = block.begin("citations");
    write_array(kept, written, |citation, out| write_citation(citation, text, out));
    true
}

/// A citation of this text. Of another vendor's only the page is known: it stands where Anthropic's own search would
/// put it.
pub(in super::super) fn write_citation(citation: &Citation, text: &str, out: &mut Vec<u8>) {
    match citation {
        Citation::Raw(raw) => out.extend_from_slice(raw.json.get().as_bytes()),
        Citation::Url {
            url,
            title,
            start,
            end,
        } => {
            let start = start.unwrap_or(0);
            let length = end.map_or(usize::MAX, |end| end.saturating_sub(start));
            let cited: String = text.chars().skip(start).take(length).collect();
            let mut object = ObjectWriter::new(out);
            object
                .member("type", "web_search_result_location")
                .member("url", url)
                .member("title", title)
                .member("encrypted_index", "")
                .member("cited_text", &cited);
            object.end();
        }
    }
}

pub(in super::super) fn write_thinking(text: &str, signature: &str, out: &mut Vec<u8>) {
    let mut block = ObjectWriter::new(out);
    block
        .member("type", "thinking")
        .member("thinking", text)
        .member("signature", signature);
    block.end();
}

pub(in super::super) fn write_redacted(data: &str, out: &mut Vec<u8>) {
    let mut block = ObjectWriter::new(out);
    block.member("type", "redacted_thinking").member("data", data);
    block.end();
}

/// `tool_use`
pub(in super::super) fn write_call(
    id: &str,
    name: &str,
    input: &str,
    cache: Option<&CacheMark>,
    raws: &[Raw],
    out: &mut Vec<u8>,
) {
    let mut block = ObjectWriter::new(out);
    block
        .member("type", "tool_use")
        .member("id", id)
        .member("name", name)
        .json("input", input);
    write_raws(&mut block, raws);
    write_cache(&mut block, cache);
    block.end();
}

pub(in super::super) fn write_cache(object: &mut ObjectWriter<'_>, cache: Option<&CacheMark>) {
    if let Some(mark) = cache {
        let mut control = object.object("cache_control");
        control
            .member("type", "ephemeral")
            .optional("ttl", mark.ttl.as_ref());
        control.end();
    }
}

/// Members that are Anthropic's own, as they were written.
pub(in super::super) fn write_raws(object: &mut ObjectWriter<'_>, raws: &[Raw]) {
    for raw in raws.iter().filter(|raw| raw.origin == OWN) {
        object.json(&raw.name, raw.json.get());
    }
}

/// What a tool is called with, which must be an object here. A model's broken JSON is kept as a text inside one, so that
/// the conversation can go on.
pub(in super::super) fn input(arguments: &Arguments) -> Cow<'_, str> {
    let wrapped = |name: &str, text: &str| {
        let mut json = Vec::new();
        let mut object = ObjectWriter::new(&mut json);
        object.member(name, text);
        object.end();
        String::from_utf8(json).unwrap_or_default().into()
    };
    match arguments {
        Arguments::Json(json) if json.trim().is_empty() => Cow::Borrowed("{}"),
        Arguments::Json(json) if Members::read(json).is_some() => Cow::Borrowed(json),
        Arguments::Json(json) => wrapped("_raw", json),
        Arguments::Text(text) => wrapped("input", text),
    }
}

/// Pieces of reasoning that another vendor keeps apart, as one text.
pub(in super::super) fn joined(texts: &[String]) -> Cow<'_, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [text] => Cow::Borrowed(text),
        texts => Cow::Owned(texts.join("\n\n")),
    }
}
