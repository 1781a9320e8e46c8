//! Turns, as Google wants them: instructions apart, the two roles, and the results of a turn's calls together, in the
//! order of the calls, before anything else.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::super::calls::is_made;
use super::super::{words, write_part};
use super::write::is_third;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::{
    Losses, Media, MediaSource, Part, Request, Role, Target, ToolCall, ToolResult, Turn, names,
};
use crate::refusal::{Code, Refusal};

/// What is about to be written, borrowed from the request.
pub(super) struct Contents<'r> {
    system: Vec<Piece<'r>>,
    contents: Vec<Content<'r>>,
    is_third: bool,
}

struct Content<'r> {
    role: &'static str,
    pieces: Vec<Piece<'r>>,
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

/// Calls that wait for their results.
#[derive(Default)]
struct Open<'r> {
    calls: Vec<&'r ToolCall>,
    results: Vec<&'r ToolResult>,
    /// What stands between a call and its last result; it comes after it.
    after: VecDeque<Content<'r>>,
}

impl<'r> Contents<'r> {
    pub(super) fn gather(
        request: &'r Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Self, Refusal> {
        let leading = request
            .turns
            .iter()
            .take_while(|turn| turn.role == Role::System)
            .count();
        let (system, turns) = request.turns.split_at_checked(leading).unwrap_or_default();
        let mut gathered = Self {
            system: Vec::new(),
            contents: Vec::new(),
            is_third: is_third(target),
        };
        let mut pieces = Gather {
            target,
            losses,
            is_third: gathered.is_third,
        };
        for turn in system {
            pieces.turn(turn, &mut gathered.system)?;
        }
        let mut open = Open::default();
        for turn in turns {
            gathered.add(turn, &mut open, &mut pieces)?;
        }
        gathered.settle(&mut open)?;
        gathered.check_end(turns, target)?;
        if gathered.contents.is_empty() {
            // Contents must not be empty: what there is to read is the question.
            let pieces = std::mem::take(&mut gathered.system);
            gathered.contents.push(Content { role: "user", pieces });
        }
        Ok(gathered)
    }

    /// A conversation that ends with the answer's beginning is to be continued; Google's models begin anew.
    fn check_end(&self, turns: &[Turn], target: &Target<'_>) -> Result<(), Refusal> {
        let ends_with_answer = turns.last().is_some_and(|turn| turn.role == Role::Assistant);
        if ends_with_answer && !target.profile.prefill {
            let message = "the conversation ends with an answer, which this model cannot continue";
            return Err(Refusal::new(Code::CannotTranslate, message).param("messages"));
        }
        Ok(())
    }

    fn add(&mut self, turn: &'r Turn, open: &mut Open<'r>, gather: &mut Gather<'_>) -> Result<(), Refusal> {
        let Some(role) = words::write_role(&turn.role) else {
            return Err(Losses::refuse("messages.role"));
        };
        // Two answers in a row are one, calls and all.
        if turn.role == Role::Assistant && !open.results.is_empty() {
            self.settle(open)?;
        }
        let results = turn.parts.iter().filter_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        });
        open.results.extend(results);
        let mut pieces = Vec::new();
        gather.turn(turn, &mut pieces)?;
        open.calls.extend(pieces.iter().filter_map(|piece| match piece {
            Piece::Call { call, .. } => Some(*call),
            _ => None,
        }));
        if turn.role == Role::System {
            mark_as_instruction(&mut pieces);
        }
        let content = Content { role, pieces };
        if turn.role == Role::Assistant || open.calls.is_empty() {
            if turn.role != Role::Assistant && !open.results.is_empty() {
                return Err(orphan());
            }
            self.push(content);
        } else {
            open.after.push_back(content);
        }
        if !open.calls.is_empty() && open.results.len() >= open.calls.len() {
            self.settle(open)?;
        }
        Ok(())
    }

    /// Writes the results of the open calls, each call's in its place, and what had to wait for them.
    fn settle(&mut self, open: &mut Open<'r>) -> Result<(), Refusal> {
        let Open {
            calls,
            mut results,
            after,
        } = std::mem::take(open);
        let mut answers = Vec::with_capacity(calls.len());
        let mut media = Vec::new();
        for call in &calls {
            let Some(at) = results.iter().position(|result| result.call_id == call.id) else {
                let message = "a call of a tool has no result in the turn after it";
                return Err(Refusal::new(Code::InvalidValue, message).param("messages"));
            };
            let result = results.remove(at);
            if !self.is_third {
                beside(result, &mut media);
            }
            answers.push(Piece::Result {
                result,
                name: &call.name,
            });
        }
        if !results.is_empty() {
            return Err(orphan());
        }
        if !answers.is_empty() {
            self.contents.push(Content {
                role: "user",
                pieces: answers,
            });
        }
        if !media.is_empty() {
            self.contents.push(Content {
                role: "user",
                pieces: media,
            });
        }
        for content in after {
            self.push(content);
        }
        Ok(())
    }

    /// Adds a content; two of one speaker are one, but results of tools stand alone.
    fn push(&mut self, mut content: Content<'r>) {
        if content.pieces.is_empty() {
            return;
        }
        let has_results = |content: &Content<'_>| {
            content
                .pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Result { .. }))
        };
        match self.contents.last_mut() {
            Some(last) if last.role == content.role && !has_results(last) => {
                last.pieces.append(&mut content.pieces);
            }
            _ => self.contents.push(content),
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
                let id = Some(call.id.as_str()).filter(|_| !call.id_is_ours && !is_made(&call.id));
                let seal = write_part::own_seal(call.seal.as_ref());
                let seal = seal.or_else(|| wants_seal.then_some(NO_SEAL));
                write_part::call(call, id, &name, seal, out);
            }
            Piece::Result { result, name } => {
                let id = Some(result.call_id.as_str()).filter(|id| !is_made(id));
                write_part::result(result, id, &sent_name(name), self.is_third, out);
            }
        }
    }
}

/// What Google's documents give for histories that never had a signature.
const NO_SEAL: &str = "skip_thought_signature_validator";

fn sent_name(name: &str) -> Cow<'_, str> {
    names::fit(name, &names::GEMINI_TOOL)
}

fn orphan() -> Refusal {
    let message = "a result of a tool stands where no call of it is open";
    Refusal::new(Code::InvalidValue, message).param("messages")
}

/// Older models take no media inside of results: they follow, with a word on where they come from.
fn beside<'r>(result: &'r ToolResult, media: &mut Vec<Piece<'r>>) {
    let mut found = result.parts.iter().filter_map(|part| match part {
        Part::Media(media) => Some(media),
        _ => None,
    });
    if let Some(first) = found.next() {
        let name = result.name.as_deref().unwrap_or(&result.call_id);
        media.push(Piece::Text(Cow::Owned(format!(
            "What the tool {name} has returned:"
        ))));
        media.push(Piece::Media(first));
        media.extend(found.map(Piece::Media));
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
    fn turn<'r>(&mut self, turn: &'r Turn, pieces: &mut Vec<Piece<'r>>) -> Result<(), Refusal> {
        if turn.name.is_some() {
            self.losses.drop("messages.name")?;
        }
        let mut is_first_call = true;
        for part in &turn.parts {
            match part {
                Part::ToolCall(call) => {
                    let is_first = std::mem::take(&mut is_first_call);
                    pieces.push(self.call(call, is_first)?);
                }
                Part::ToolResult(result) => self.result(result)?,
                part => {
                    if self.is_written(part)? {
                        pieces.push(Piece::Part(part));
                    }
                }
            }
        }
        Ok(())
    }

    fn call<'r>(&mut self, call: &'r ToolCall, is_first: bool) -> Result<Piece<'r>, Refusal> {
        self.cache(call.cache.is_some())?;
        let is_sealed = write_part::own_seal(call.seal.as_ref()).is_some();
        Ok(Piece::Call {
            call,
            wants_seal: self.is_third && is_first && !is_sealed,
        })
    }

    fn result(&mut self, result: &ToolResult) -> Result<(), Refusal> {
        self.cache(result.cache.is_some())?;
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
                self.cache(text.cache.is_some())?;
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
            Part::Raw(raw) => Ok(raw.origin == crate::Dialect::GeminiGenerate),
            Part::ToolCall(_) | Part::ToolResult(_) => Ok(false),
        }
    }

    fn media(&mut self, media: &Media) -> Result<(), Refusal> {
        self.cache(media.cache.is_some())?;
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
            MediaSource::File { origin, .. } if *origin != crate::Dialect::GeminiGenerate => {
                Err(Losses::refuse("file_id"))
            }
            MediaSource::Base64(data) if write_part::media_type(media, data).is_none() => {
                let message = "the type of a medium is neither told nor known from its first bytes";
                Err(Refusal::new(Code::InvalidValue, message).param("media_type"))
            }
            MediaSource::Base64(_)
            | MediaSource::Text(_)
            | MediaSource::Url(_)
            | MediaSource::File { .. } => Ok(()),
        }
    }

    fn cache(&mut self, is_marked: bool) -> Result<(), Refusal> {
        if is_marked {
            self.losses.drop("cache_control")?;
        }
        Ok(())
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
