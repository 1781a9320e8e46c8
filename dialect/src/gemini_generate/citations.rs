//! Where texts come from. Google counts bytes of UTF-8 in the whole text of an answer; the neutral middle counts
//! characters of one part's text.

use serde_json::value::RawValue;

use super::wire::{Number, Str, object};
use crate::json::{ObjectWriter, write_array};
use crate::neutral::{Citation, Part, Text};

object! {
    struct Grounding<'a> {
        chunks: Vec<Chunk<'a>> = "groundingChunks",
        supports: Vec<Support<'a>> = "groundingSupports",
    }
}

object! {
    struct Chunk<'a> {
        web: Page<'a> = "web",
        retrieved: Page<'a> = "retrievedContext",
        maps: Page<'a> = "maps",
    }
}

object! {
    struct Page<'a> {
        uri: Str<'a> = "uri",
        title: Str<'a> = "title",
    }
}

object! {
    struct Support<'a> {
        segment: Segment<'a> = "segment",
        chunks: Vec<usize> = "groundingChunkIndices",
    }
}

object! {
    /// A piece of the text, in bytes.
    struct Segment<'a> {
        start: Number = "startIndex",
        end: Number = "endIndex",
    }
}

object! {
    struct Citations<'a> {
        sources: Vec<Source<'a>> = "citationSources" | "citations",
    }
}

object! {
    struct Source<'a> {
        start: Number = "startIndex",
        end: Number = "endIndex",
        uri: Str<'a> = "uri",
        title: Str<'a> = "title",
    }
}

/// A source, and the bytes of the whole text that come from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    url: String,
    title: Option<String>,
    start: usize,
    end: usize,
}

/// All sources that have an address.
pub(super) fn find(grounding: Option<&RawValue>, citations: Option<&RawValue>) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(grounding) = grounding.and_then(|json| serde_json::from_str::<Grounding<'_>>(json.get()).ok())
    {
        let chunks = grounding.chunks.unwrap_or_default();
        for support in grounding.supports.unwrap_or_default() {
            let segment = support.segment.unwrap_or_default();
            for index in support.chunks.unwrap_or_default() {
                found.extend(chunks.get(index).and_then(|chunk| source(chunk, &segment)));
            }
        }
    }
    let citations = citations.and_then(|json| serde_json::from_str::<Citations<'_>>(json.get()).ok());
    for source in citations
        .and_then(|citations| citations.sources)
        .unwrap_or_default()
    {
        let segment = Segment {
            start: source.start,
            end: source.end,
            rest: Vec::new(),
        };
        let page = Page {
            uri: source.uri,
            title: source.title,
            rest: Vec::new(),
        };
        found.extend(on_page(&page, &segment));
    }
    found
}

fn source(chunk: &Chunk<'_>, segment: &Segment<'_>) -> Option<Found> {
    let pages = [&chunk.web, &chunk.retrieved, &chunk.maps];
    pages
        .into_iter()
        .flatten()
        .find_map(|page| on_page(page, segment))
}

fn on_page(page: &Page<'_>, segment: &Segment<'_>) -> Option<Found> {
    let place = |number: Option<Number>| usize::try_from(number?.count()?).ok();
    Some(Found {
        url: page.uri.as_ref()?.as_str().to_owned(),
        title: page.title.clone().map(Str::into_owned),
        start: place(segment.start).unwrap_or(0),
        end: place(segment.end)?,
    })
}

impl Found {
    /// The citation within a text that begins at this byte of the whole; `None` when it is about another part.
    pub(super) fn within(&self, text: &str, begins_at: usize) -> Option<Citation> {
        let start = self.start.checked_sub(begins_at)?;
        let end = self.end.checked_sub(begins_at)?;
        (start < end && end <= text.len()).then(|| Citation::Url {
            url: self.url.clone(),
            title: self.title.clone(),
            start: Some(characters(text, start)),
            end: Some(characters(text, end)),
        })
    }
}

/// How many characters begin before this byte.
fn characters(text: &str, byte: usize) -> usize {
    text.char_indices().take_while(|(at, _)| *at < byte).count()
}

/// The byte at which this character begins.
fn byte(text: &str, character: usize) -> usize {
    text.char_indices()
        .nth(character)
        .map_or(text.len(), |(at, _)| at)
}

/// Puts each citation with the text that it is about.
pub(super) fn place(grounding: Option<&RawValue>, citations: Option<&RawValue>, parts: &mut [Part]) {
    if grounding.is_none() && citations.is_none() {
        return;
    }
    let found = find(grounding, citations);
    let mut begins_at = 0;
    for part in parts {
        if let Part::Text(text) = part {
            let within = found
                .iter()
                .filter_map(|found| found.within(&text.text, begins_at));
            text.citations = within.collect();
            begins_at += text.text.len();
        }
    }
}

/// Citations on their way to a client of this dialect, in the order in which they are told.
#[derive(Debug, Clone, Default)]
pub(super) struct Gathered(Vec<Found>);

impl Gathered {
    pub(super) fn add(&mut self, citation: &Citation, text: &str, begins_at: usize) {
        if let Citation::Url {
            url,
            title,
            start,
            end,
        } = citation
        {
            self.0.push(Found {
                url: url.clone(),
                title: title.clone(),
                start: begins_at + byte(text, start.unwrap_or(0)),
                end: begins_at + end.map_or(text.len(), |end| byte(text, end)),
            });
        }
    }

    pub(super) fn add_all(parts: &[Part]) -> Self {
        let mut gathered = Self::default();
        let mut begins_at = 0;
        for part in parts {
            if let Part::Text(Text { text, citations, .. }) = part {
                for citation in citations {
                    gathered.add(citation, text, begins_at);
                }
                begins_at += text.len();
            }
        }
        gathered
    }

    /// Writes the member `groundingMetadata` where there is anything to be told.
    pub(super) fn write(&self, object: &mut ObjectWriter<'_>) {
        if self.0.is_empty() {
            return;
        }
        let mut pages: Vec<&Found> = Vec::new();
        let mut numbers = Vec::with_capacity(self.0.len());
        for found in &self.0 {
            let at = pages.iter().position(|page| page.url == found.url);
            numbers.push(at.unwrap_or(pages.len()));
            if at.is_none() {
                pages.push(found);
            }
        }
        let mut grounding = object.object("groundingMetadata");
        write_array(pages, grounding.begin("groundingChunks"), |page, out| {
            let mut object = ObjectWriter::new(out);
            let mut web = object.object("web");
            web.member("uri", &page.url)
                .optional("title", page.title.as_deref());
            web.end();
            object.end();
        });
        write_array(
            self.0.iter().zip(numbers),
            grounding.begin("groundingSupports"),
            |(found, number), out| {
                let mut object = ObjectWriter::new(out);
                let mut segment = object.object("segment");
                segment
                    .member("startIndex", &found.start)
                    .member("endIndex", &found.end);
                segment.end();
                object.member("groundingChunkIndices", &[number]);
                object.end();
            },
        );
        grounding.end();
    }
}
