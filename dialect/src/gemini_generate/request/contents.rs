//! Turns, as Google wants them: instructions apart, the two roles, and the results of a turn's calls together, in the
//! order of the calls, in a content of their own.

use std::borrow::Cow;

use super::super::calls::given;
use super::super::read_part::NO_SEAL;
use super::super::{words, write_part};
use super::write::is_third;
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::check::{self, Order};
use crate::neutral::data_url;
use crate::neutral::names;
use crate::neutral::{Losses, Media, MediaSource, Part, Request, Role, Target, ToolCall, ToolResult, Turn};
use crate::refusal::{Code, Refusal};

const ORDER: Order = Order {
    results_apart: true,
    no_blanks: false,
};

/// What is about to be written, borrowed from the request.
pub(super) struct Contents<'r> {
    system: Vec<Piece<'r>>,
    contents: Vec<Content<'r>>,
    is_third: bool,
}

struct Content<'r> {
    role: &'static str,
    pieces: Vec<Piece<'r>>,
    is_results: bool,
}

/// One part, or what becomes one.
enum Piece<'r> {
    Part(&'r Part),
    Text(Cow<'r, str>),
    Call {
        call: &'r ToolCall,
        /// Whether nothing signed it though its model wants to see a signature.
        wants_seal: bool,
    },
    Result {
        result: &'r ToolResult,
        name: &'r str,
    },
    Media(&'r Media),
}

impl<'r> Contents<'r> {
    pub(super) fn gather(
        request: &'r Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Refusal> {
        if request.turns.iter().any(|turn| turn.name.is_some()) {
            losses.drop("messages.name")?;
        }
        let is_leading = |turn: &&Turn| turn.role == Role::System;
        let leading = request.turns.iter().take_while(is_leading).count();
        let (system, turns) = request.turns.split_at_checked(leading).unwrap_or_default();
        check_end(turns, target)?;
        let mut gathered = Self {
            system: Vec::new(),
            contents: Vec::new(),
            is_third: is_third(target),
        };
        let mut gather = Gather {
            target,
            losses,
            is_third: gathered.is_third,
        };
        for part in system.iter().flat_map(|turn| &turn.parts) {
            gathered.system.extend(gather.part(part)?);
        }
        for turn in check::arrange(turns, ORDER)? {
            gathered.add(&turn, &mut gather)?;
        }
        if gathered.contents.is_empty() {
            // Contents must not be empty: what there is to read is the question.
            gathered.contents.push(Content {
                role: "user",
                pieces: std::mem::take(&mut gathered.system),
                is_results: false,
            });
        }
        Ok(gathered)
    }

    fn add(&mut self, turn: &check::Arranged<'r>, gather: &mut Gather<'_>) -> Result<(), Refusal> {
        let Some(role) = words::write_role(turn.role) else {
            return Err(Losses::refuse("messages.role"));
        };
        let mut pieces = Vec::with_capacity(turn.pieces.len());
        let mut media = Vec::new();
        let mut is_first_call = true;
        for piece in &turn.pieces {
            match (piece.part, piece.call) {
                (Part::ToolResult(result), Some(call)) => {
                    gather.result(result)?;
                    if !self.is_third {
                        beside(result, &call.name, &mut media);
                    }
                    let name = &call.name;
                    pieces.push(Piece::Result { result, name });
                }
                (Part::ToolCall(call), _) => {
                    let is_first = std::mem::take(&mut is_first_call);
                    pieces.push(gather.call(call, is_first)?);
                }
                (part, _) => pieces.extend(gather.part(part)?),
            }
        }
        if *turn.role == Role::System {
            mark_as_instruction(&mut pieces);
        }
        self.push(role, pieces, turn.is_results);
        self.push("user", media, false);
        Ok(())
    }

    /// Adds a content; two of one speaker are one, but results of tools stand alone.
    fn push(&mut self, role: &'static str, mut pieces: Vec<Piece<'r>>, is_results: bool) {
        if pieces.is_empty() {
            return;
        }
        match self.contents.last_mut() {
            Some(last) if last.role == role && !last.is_results && !is_results => {
                last.pieces.append(&mut pieces)
            }
            _ => self.contents.push(Content {
                role,
                pieces,
                is_results,
            }),
        }
    }

    /// Writes the members `systemInstruction` and `contents`.
    pub(super) fn write(&self, object: &mut ObjectWriter<'_>) {
        if !self.system.is_empty() {
            let mut system = object.object("systemInstruction");
            self.write_parts(&self.system, &mut system);
            system.end();
        }
        write_array(&self.contents, object.begin("contents"), |content, out| {
            let mut object = ObjectWriter::new(out);
            object.member("role", content.role);
            self.write_parts(&content.pieces, &mut object);
            object.end();
        });
    }

    fn write_parts(&self, pieces: &[Piece<'_>], object: &mut ObjectWriter<'_>) {
        let out = object.begin("parts");
        out.push(b'[');
        let start = out.len();
        for piece in pieces {
            if out.len() > start && !out.ends_with(b",") {
                out.push(b',');
            }
            self.write_piece(piece, out);
        }
        if out.ends_with(b",") && out.len() > start {
            out.pop();
        }
        out.push(b']');
    }

    fn write_piece(&self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        match piece {
            Piece::Part(part) => write_part::part(part, out),
            Piece::Text(text) => write_part::text(text, None, out),
            Piece::Media(media) => write_part::media(media, out),
            Piece::Call { call, wants_seal } => {
                let name = sent_name(&call.name);
                let id = given(&call.id);
                let seal = write_part::own_seal(call.seal.as_ref());
                let seal = seal.or_else(|| wants_seal.then_some(NO_SEAL));
                write_part::call(call, id, &name, seal, out);
            }
            Piece::Result { result, name } => {
                let id = given(&result.call_id);
                write_part::result(result, id, &sent_name(name), self.is_third, out);
            }
        }
    }
}

/// A conversation that ends with the answer's beginning is to be continued; Google's models begin anew.
fn check_end(turns: &[Turn], target: &Target<'_>) -> Result<(), Refusal> {
    let is_answer = turns.last().is_some_and(|turn| turn.role == Role::Assistant);
    if is_answer && !target.profile.prefill {
        let message = "the conversation ends with an answer, which this model cannot continue";
        return Err(Refusal::new(Code::CannotTranslate, message).param("messages"));
    }
    Ok(())
}

fn sent_name(name: &str) -> Cow<'_, str> {
    names::fit(name, &names::GEMINI_TOOL)
}

/// Older models take no media inside of results: they follow, with a word on where they come from.
fn beside<'r>(result: &'r ToolResult, name: &str, media: &mut Vec<Piece<'r>>) {
    let found = result.parts.iter().filter_map(|part| match part {
        Part::Media(media) => Some(Piece::Media(media)),
        _ => None,
    });
    let told = media.len();
    media.extend(found);
    if media.len() > told {
        let text = format!("What the tool {name} has returned:");
        media.insert(told, Piece::Text(Cow::Owned(text)));
    }
}

/// Google has no instructions but those at the beginning: later ones are the user's, and say what they are.
fn mark_as_instruction(pieces: &mut [Piece<'_>]) {
    for piece in pieces {
        let text = match piece {
            Piece::Part(Part::Text(text)) => text.text.as_str(),
            _ => continue,
        };
        *piece = Piece::Text(Cow::Owned(format!(
            "<system-reminder>\n{text}\n</system-reminder>"
        )));
    }
}

/// Finds out what becomes of the parts of a turn.
struct Gather<'a> {
    target: &'a Target<'a>,
    losses: &'a mut Losses,
    is_third: bool,
}

impl Gather<'_> {
    /// What is written of a part that is neither a call nor a result.
    fn part<'r>(&mut self, part: &'r Part) -> Result<Option<Piece<'r>>, Refusal> {
        Ok(self.is_written(part)?.then_some(Piece::Part(part)))
    }

    fn call<'r>(&mut self, call: &'r ToolCall, is_first: bool) -> Result<Piece<'r>, Refusal> {
        self.cache(call.cache.is_some());
        let is_sealed = write_part::own_seal(call.seal.as_ref()).is_some();
        Ok(Piece::Call {
            call,
            wants_seal: self.is_third && is_first && !is_sealed,
        })
    }

    fn result(&mut self, result: &ToolResult) -> Result<(), Refusal> {
        self.cache(result.cache.is_some());
        for part in &result.parts {
            if let Part::Media(media) = part {
                self.media(media)?;
            }
        }
        Ok(())
    }

    fn is_written(&mut self, part: &Part) -> Result<bool, Refusal> {
        match part {
            Part::Text(text) => {
                self.cache(text.cache.is_some());
                let is_sealed = write_part::own_seal(text.seal.as_ref()).is_some();
                Ok(is_sealed || !text.text.is_empty())
            }
            Part::Refusal(text) => Ok(!text.is_empty()),
            Part::Reasoning(reasoning) => {
                // Thoughts that another vendor has sealed are worth nothing here, and could not be checked.
                let is_foreign =
                    reasoning.seal.is_some() && write_part::own_seal(reasoning.seal.as_ref()).is_none();
                if is_foreign {
                    self.losses.drop("reasoning")?;
                }
                let is_empty = reasoning.seal.is_none() && reasoning.texts.iter().all(String::is_empty);
                Ok(!is_foreign && !is_empty)
            }
            Part::Media(media) => {
                self.media(media)?;
                Ok(true)
            }
            Part::Raw(raw) => Ok(raw.origin == Dialect::GeminiGenerate),
            Part::ToolCall(_) | Part::ToolResult(_) => Ok(false),
        }
    }

    fn media(&mut self, media: &Media) -> Result<(), Refusal> {
        self.cache(media.cache.is_some());
        if media.name.is_some() {
            self.losses.drop("filename")?;
        }
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            self.losses.drop("detail")?;
        }
        match &media.source {
            MediaSource::Url(url) if !self.target.profile.image_urls && !is_googles(url) => {
                Err(Losses::refuse("image_url"))
            }
            MediaSource::File { origin, .. } if *origin != Dialect::GeminiGenerate => {
                Err(Losses::refuse("file_id"))
            }
            MediaSource::Base64(data) if data_url::type_of(media, data).is_none() => {
                let message = "the type of a medium is neither told nor known from its first bytes";
                Err(Refusal::new(Code::InvalidValue, message).param("media_type"))
            }
            MediaSource::Base64(_)
            | MediaSource::Text(_)
            | MediaSource::Url(_)
            | MediaSource::File { .. } => Ok(()),
        }
    }

    fn cache(&mut self, is_marked: bool) {
        if is_marked {
            self.losses.mention("cache_control");
        }
    }
}

/// Addresses that Google reads whatever the model: its films.
fn is_googles(url: &str) -> bool {
    [
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://youtu.be/",
    ]
    .iter()
    .any(|films| url.starts_with(films))
}
