//! What a request weighs before any tokenizer has seen it: an upper bound for its input, found in one walk over its bytes.
//!
//! A tokenizer whose smallest tokens are bytes makes no more tokens of a text than it has bytes, and JSON writes no text
//! with fewer bytes than it has. So the whole body counts by its bytes, names and braces included, which are more than the
//! few tokens that a vendor puts around each message. Only pictures count as such and not by the bytes that they are sent
//! in. Of what lies elsewhere (a stored conversation, a file by its id), or is as long as the vendor finds it (a film, a
//! document, what a search brings), nothing shows how much it is: then the bound is what the model takes at all.

use crate::Dialect;
use crate::json::{checked_items, checked_members};

/// How much a model has to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weight {
    /// Of all that is text, and of what is around it.
    pub text_bytes: u64,
    pub images: u64,
    /// For how many things the vendor adds instructions of its own: tools, and the form that the answer must have.
    pub explained: u64,
    /// Whether more is read than the request shows.
    pub open_ended: bool,
    /// Of an answer that the client foresees: what of it turns out wrong is charged as output.
    pub predicted_bytes: u64,
    /// The vendor's word for how fast, and at what price, the answer shall come.
    pub tier: Option<String>,
}

/// A token of today's vocabularies is about as many bytes of text, in most scripts. The real vocabularies are tens of
/// megabytes in the program and more in memory, of OpenAI's models alone, and other vendors publish none.
const BYTES_OF_A_TOKEN: u64 = 4;
/// An image of middling size.
pub const IMAGE_TOKENS: u64 = 765;

/// About how many tokens a text of so many bytes is: a guess, where nobody tells.
pub fn tokens_of(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(BYTES_OF_A_TOKEN)
}

/// What a vendor puts before a conversation by itself, at most: a date, who the model is, how answers are to be.
const HIDDEN_TOKENS: u64 = 64;
/// What it puts there to explain how tools are called, or what form the answer must have.
const EXPLANATION_TOKENS: u64 = 1_024;
/// Nothing that a vendor reads as a part of a message is nested deeper.
const DEPTH_MAX: usize = 12;
/// What a vendor tells a model about a tool that it has defined itself.
const VENDORS_TOOL_BYTES: u64 = 2_048;

impl Weight {
    /// The most tokens that it can be to a model that makes at most so many of an image; `None` where that does not show.
    pub fn tokens_at_most(&self, image_tokens: u64) -> Option<u64> {
        let explained = self.explained.saturating_mul(EXPLANATION_TOKENS);
        let hidden = explained.saturating_add(HIDDEN_TOKENS);
        let images = self.images.saturating_mul(image_tokens);
        let shown = self.text_bytes.saturating_add(images).saturating_add(hidden);
        (!self.open_ended).then_some(shown)
    }

    /// About how many it is; `None` where that does not show.
    pub fn tokens_about(&self) -> Option<u64> {
        let images = self.images.saturating_mul(IMAGE_TOKENS);
        let about = tokens_of(self.text_bytes).saturating_add(images);
        (!self.open_ended).then_some(about)
    }
}

/// Weighs a request that has been looked at, in a client's dialect or a provider's: for an answer, a count or embeddings.
pub fn weigh(dialect: Dialect, body: &[u8]) -> Weight {
    let mut scale = Scale {
        weight: Weight {
            text_bytes: body.len() as u64,
            ..Weight::default()
        },
    };
    let body = body.trim_ascii();
    for (name, value) in checked_members(body) {
        scale.member(dialect, name, value);
    }
    scale.weight
}

struct Scale {
    weight: Weight,
}

impl Scale {
    /// A member of the request.
    fn member(&mut self, dialect: Dialect, name: &[u8], value: &[u8]) {
        if value == b"null" {
            return;
        }
        match name {
            b"messages"
            | b"contents"
            | b"input"
            | b"system"
            | b"content"
            | b"requests"
            | b"systemInstruction"
            | b"system_instruction" => self.content(value, 0),
            b"tools" => self.tools(dialect, value),
            b"response_format" | b"text" | b"output_config" | b"output_format" | b"generationConfig"
            | b"generation_config" => {
                if memchr::memmem::find(value, b"chema").is_some() {
                    self.explained(value);
                }
            }
            b"previous_response_id"
            | b"conversation"
            | b"prompt"
            | b"cachedContent"
            | b"cached_content"
            | b"container"
            | b"mcp_servers"
            | b"web_search_options"
            | b"plugins" => self.weight.open_ended = true,
            b"prediction" => self.weight.predicted_bytes = value.len() as u64,
            b"service_tier" | b"serviceTier" | b"speed" => {
                let word: Option<String> = serde_json::from_slice(value).ok();
                // A speed is one more tier, and `standard` says nothing about the other.
                if self.weight.tier.is_none() || word.as_deref() == Some("fast") {
                    self.weight.tier = word;
                }
            }
            _ => self.disguised(name),
        }
    }

    /// A name in disguise may be any name.
    fn disguised(&mut self, name: &[u8]) {
        self.weight.open_ended |= name.contains(&b'\\');
    }

    /// Messages, a message, or its parts.
    fn content(&mut self, value: &[u8], depth: usize) {
        if depth > DEPTH_MAX {
            self.weight.open_ended = true;
        } else if value.starts_with(b"[") {
            checked_items(value).for_each(|item| self.content(item, depth + 1));
        } else if value.starts_with(b"{") {
            self.part(value, depth);
        }
    }

    fn part(&mut self, part: &[u8], depth: usize) {
        let kind = Kind::of(part);
        self.weight.open_ended |= kind == Kind::Elsewhere;
        if kind == Kind::Image && !has_picture(part) {
            // By the id of a file.
            self.weight.images += 1;
        }
        for (name, value) in checked_members(part) {
            if value == b"null" {
                continue;
            }
            match name {
                b"content" | b"parts" | b"output" | b"functionResponse" | b"function_response" => {
                    self.content(value, depth + 1);
                }
                b"image_url" => self.image_at(value),
                b"source" => self.source(value, kind, depth),
                b"inlineData" | b"inline_data" => self.inline(value),
                b"fileData" => self.gemini_file(value),
                b"file_data" if value.starts_with(b"{") => self.gemini_file(value),
                b"result" if kind == Kind::MadeImage => self.picture(value),
                b"input_audio" | b"video_url" | b"input_video" | b"file" | b"file_data" | b"file_url"
                | b"videoMetadata" | b"video_metadata" => self.weight.open_ended = true,
                b"file_id" => self.weight.open_ended |= kind != Kind::Image,
                // What the model said before, by its id.
                b"audio" => self.weight.open_ended = true,
                _ => self.disguised(name),
            }
        }
    }

    /// An image of OpenAI's: its URL, or an object with it.
    fn image_at(&mut self, value: &[u8]) {
        let url = if value.starts_with(b"{") {
            member(value, b"url").unwrap_or_default()
        } else {
            value
        };
        let is_data = url.starts_with(br#""data:"#);
        if is_data && !url.starts_with(br#""data:image/"#) {
            self.weight.open_ended = true;
        } else if is_data {
            self.picture(url);
        } else {
            self.weight.images += 1;
        }
    }

    /// A picture that is sent in these bytes, none of which the model reads as text.
    fn picture(&mut self, sent_in: &[u8]) {
        self.weight.images += 1;
        self.weight.text_bytes = self.weight.text_bytes.saturating_sub(sent_in.len() as u64);
    }

    /// Where Anthropic's images and documents are from.
    fn source(&mut self, source: &[u8], kind: Kind, depth: usize) {
        let is_image = kind == Kind::Image;
        match member(source, b"type").unwrap_or_default() {
            br#""base64""# if is_image => self.picture(member(source, b"data").unwrap_or_default()),
            br#""text""# => {}
            br#""content""# => self.content(member(source, b"content").unwrap_or_default(), depth + 1),
            br#""url""# | br#""file""# if is_image => self.weight.images += 1,
            _ => self.weight.open_ended = true,
        }
    }

    /// Google's bytes of any kind.
    fn inline(&mut self, blob: &[u8]) {
        let of = |names: [&[u8]; 2]| {
            names
                .iter()
                .find_map(|name| member(blob, name))
                .unwrap_or_default()
        };
        let kind = of([b"mimeType", b"mime_type"]);
        if kind.starts_with(br#""image/"#) {
            self.picture(of([b"data", b"data"]));
        } else if !kind.starts_with(br#""text/"#) {
            self.weight.open_ended = true;
        }
    }

    fn gemini_file(&mut self, file: &[u8]) {
        let kind = member(file, b"mimeType").or_else(|| member(file, b"mime_type"));
        if kind.is_some_and(|kind| kind.starts_with(br#""image/"#)) {
            self.weight.images += 1;
        } else {
            self.weight.open_ended = true;
        }
    }

    /// Vendors write a schema anew for the model, with as much around as in it.
    fn explained(&mut self, schema: &[u8]) {
        self.weight.explained += 1;
        self.weight.text_bytes += schema.len() as u64;
    }

    fn tools(&mut self, dialect: Dialect, tools: &[u8]) {
        self.explained(tools);
        for tool in checked_items(tools) {
            if dialect == Dialect::GeminiGenerate {
                let is_declared =
                    |name: &[u8]| matches!(name, b"functionDeclarations" | b"function_declarations");
                let mut members = checked_members(tool);
                self.weight.open_ended |= members.any(|(name, value)| !is_declared(name) && value != b"null");
                continue;
            }
            let kind = member(tool, b"type").unwrap_or(br#""function""#);
            let begins = |words: &[&[u8]]| words.iter().any(|word| kind.starts_with(word));
            if matches!(kind, br#""function""# | br#""custom""# | br#""namespace""#) {
                continue;
            }
            let is_the_clients: [&[u8]; 6] = [
                br#""bash_"#,
                br#""text_editor_"#,
                br#""computer_"#,
                br#""memory_"#,
                br#""local_shell"#,
                br#""apply_patch"#,
            ];
            if begins(&is_the_clients) {
                self.weight.text_bytes += VENDORS_TOOL_BYTES;
            } else {
                // The vendor runs it, and what it brings is read.
                self.weight.open_ended = true;
            }
        }
    }
}

/// What a part says it is, as far as that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image,
    /// One that the model has made.
    MadeImage,
    Elsewhere,
    Other,
}

impl Kind {
    fn of(part: &[u8]) -> Self {
        match member(part, b"type") {
            Some(br#""image_url""# | br#""input_image""# | br#""image""# | br#""computer_screenshot""#) => {
                Self::Image
            }
            Some(br#""image_generation_call""#) => Self::MadeImage,
            Some(br#""item_reference""# | br#""container_upload""#) => Self::Elsewhere,
            _ => Self::Other,
        }
    }
}

fn has_picture(part: &[u8]) -> bool {
    checked_members(part).any(|(name, value)| matches!(name, b"image_url" | b"source") && value != b"null")
}

fn member<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut members = checked_members(object);
    members.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
