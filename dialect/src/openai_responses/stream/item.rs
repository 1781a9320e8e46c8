//! An item of a streamed answer while it is written: what was told of it so far, and the events that tell of it.

use super::pen::Pen;
use crate::json::ObjectWriter;
use crate::neutral::{Citation, Raw, Seal};
use crate::openai_responses::logprobs;
use crate::openai_responses::output::{self, Call, Shown};

/// An item that has been announced.
pub(super) struct Item {
    pub id: String,
    /// Its `output_index`.
    pub index: usize,
    pub kind: Kind,
    /// Whether nothing more comes to it.
    pub is_closed: bool,
    /// The item as it was told to be done.
    pub done: Option<Vec<u8>>,
}

pub(super) enum Kind {
    Message(Vec<Words>),
    Reasoning(Thoughts),
    Call(CallSoFar),
    Raw(Vec<u8>),
}

/// A part of a message.
#[derive(Default)]
pub(super) struct Words {
    pub is_refusal: bool,
    pub is_closed: bool,
    /// Gemini's, of a text.
    pub seal: Option<Seal>,
    text: String,
    /// Written and parted by commas, as the log-probabilities are.
    annotations: Vec<u8>,
    annotations_count: u64,
    logprobs: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Thoughts {
    pub is_summary: bool,
    pieces: Vec<String>,
    /// Whether the last piece is still being told.
    is_open: bool,
    seal: Option<Seal>,
    redacted: bool,
}

pub(super) struct CallSoFar {
    pub call_id: String,
    pub name: String,
    pub is_free_text: bool,
    pub text: String,
}

impl Item {
    pub(super) fn new(id: String, index: usize, kind: Kind) -> Self {
        Self {
            id,
            index,
            kind,
            is_closed: false,
            done: None,
        }
    }

    /// Announces the item, with nothing in it yet.
    pub(super) fn add(&self, pen: &mut Pen, out: &mut Vec<u8>) {
        pen.event("response.output_item.added", out, |object| {
            object.member("output_index", &self.index);
            let item = object.begin("item");
            match &self.kind {
                Kind::Message(_) => output::write_message(&self.id, output::IN_PROGRESS, b"", item),
                Kind::Reasoning(_) => {
                    let nothing = Shown {
                        texts: &[],
                        is_summary: true,
                        redacted: true,
                    };
                    output::write_reasoning(&self.id, nothing, None, item);
                }
                Kind::Call(call) => {
                    let empty = Call {
                        text: "",
                        ..call.told()
                    };
                    output::write_call(&self.id, output::IN_PROGRESS, empty, item);
                }
                Kind::Raw(json) => item.extend_from_slice(json),
            }
        });
    }

    /// Tells that the item is done, and keeps it as it was told.
    pub(super) fn finish(&mut self, status: &str, pen: &mut Pen, out: &mut Vec<u8>) {
        let mut done = Vec::new();
        match &self.kind {
            Kind::Message(parts) => {
                let mut content = Vec::new();
                for part in parts {
                    if !content.is_empty() {
                        content.push(b',');
                    }
                    part.write(&mut content);
                }
                output::write_message(&self.id, status, &content, &mut done);
            }
            Kind::Reasoning(thoughts) => {
                let shown = Shown {
                    texts: &thoughts.pieces,
                    is_summary: thoughts.is_summary,
                    redacted: thoughts.redacted,
                };
                output::write_reasoning(&self.id, shown, thoughts.seal.as_ref(), &mut done);
            }
            Kind::Call(call) => output::write_call(&self.id, status, call.told(), &mut done),
            Kind::Raw(json) => done.extend_from_slice(json),
        }
        pen.event("response.output_item.done", out, |object| {
            object.member("output_index", &self.index);
            object.begin("item").extend_from_slice(&done);
        });
        self.is_closed = true;
        self.done = Some(done);
    }

    /// Tells that nothing more comes to what the item holds. That it is done is told later.
    pub(super) fn close(&mut self, pen: &mut Pen, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        let place = Place {
            id: &self.id,
            index: self.index,
        };
        match &mut self.kind {
            Kind::Message(parts) => {
                for (number, part) in parts.iter_mut().enumerate() {
                    part.close(place, number, pen, out);
                }
            }
            Kind::Reasoning(thoughts) => thoughts.close(place, pen, out),
            Kind::Call(call) => call.close(place, pen, out),
            Kind::Raw(_) => {}
        }
    }

    /// What the item holds, and where its events say that it stands.
    pub(super) fn parts(&mut self) -> (Place<'_>, &mut Kind) {
        let place = Place {
            id: &self.id,
            index: self.index,
        };
        (place, &mut self.kind)
    }
}

/// Where an item stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    id: &'a str,
    index: usize,
}

impl Place<'_> {
    fn write(self, object: &mut ObjectWriter<'_>) {
        object
            .member("item_id", self.id)
            .member("output_index", &self.index);
    }

    fn write_with(self, name: &str, number: usize, object: &mut ObjectWriter<'_>) {
        self.write(object);
        object.member(name, &number);
    }
}

impl Words {
    pub(super) fn new(is_refusal: bool) -> Self {
        Self {
            is_refusal,
            ..Self::default()
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.is_refusal {
            output::write_refusal(&self.text, out);
        } else {
            output::write_text(&self.text, &self.annotations, &self.logprobs, out);
        }
    }

    pub(super) fn add(&self, place: Place<'_>, number: usize, pen: &mut Pen, out: &mut Vec<u8>) {
        pen.event("response.content_part.added", out, |object| {
            place.write_with("content_index", number, object);
            self.write(object.begin("part"));
        });
    }

    pub(super) fn text(
        &mut self,
        place: Place<'_>,
        number: usize,
        text: &str,
        pen: &mut Pen,
        out: &mut Vec<u8>,
    ) {
        self.text.push_str(text);
        if self.is_refusal {
            pen.event("response.refusal.delta", out, |object| {
                place.write_with("content_index", number, object);
                object.member("delta", text);
            });
        } else {
            tell_text(place, number, text, b"", pen, out);
        }
    }

    /// Log-probabilities come after the text that they are of, so they are told with a piece of text that has no
    /// length.
    pub(super) fn logprobs(
        &mut self,
        place: Place<'_>,
        number: usize,
        raw: &Raw,
        pen: &mut Pen,
        out: &mut Vec<u8>,
    ) {
        let Some(list) = logprobs::logprobs(raw).filter(|list| !list.is_empty() && !self.is_refusal) else {
            return;
        };
        tell_text(place, number, "", &list, pen, out);
        if !self.logprobs.is_empty() {
            self.logprobs.push(b',');
        }
        self.logprobs.extend(list);
    }

    pub(super) fn cite(
        &mut self,
        place: Place<'_>,
        number: usize,
        citation: &Citation,
        pen: &mut Pen,
        out: &mut Vec<u8>,
    ) {
        let mut annotation = Vec::new();
        if self.is_refusal || !output::write_citation(citation, &self.text, &mut annotation) {
            return;
        }
        pen.event("response.output_text.annotation.added", out, |object| {
            place.write_with("content_index", number, object);
            object.member("annotation_index", &self.annotations_count);
            object.begin("annotation").extend_from_slice(&annotation);
        });
        self.annotations_count += 1;
        if !self.annotations.is_empty() {
            self.annotations.push(b',');
        }
        self.annotations.extend(annotation);
    }

    pub(super) fn close(&mut self, place: Place<'_>, number: usize, pen: &mut Pen, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        self.is_closed = true;
        let (name, member) = if self.is_refusal {
            ("response.refusal.done", "refusal")
        } else {
            ("response.output_text.done", "text")
        };
        pen.event(name, out, |object| {
            place.write_with("content_index", number, object);
            object.member(member, &self.text);
            if !self.is_refusal {
                let list = object.begin("logprobs");
                list.push(b'[');
                list.extend_from_slice(&self.logprobs);
                list.push(b']');
            }
        });
        pen.event("response.content_part.done", out, |object| {
            place.write_with("content_index", number, object);
            self.write(object.begin("part"));
        });
    }
}

fn tell_text(place: Place<'_>, number: usize, text: &str, logprobs: &[u8], pen: &mut Pen, out: &mut Vec<u8>) {
    pen.event("response.output_text.delta", out, |object| {
        place.write_with("content_index", number, object);
        object.member("delta", text);
        let list = object.begin("logprobs");
        list.push(b'[');
        list.extend_from_slice(logprobs);
        list.push(b']');
    });
}

impl Thoughts {
    pub(super) fn new(is_summary: bool) -> Self {
        Self {
            is_summary,
            ..Self::default()
        }
    }

    pub(super) fn text(&mut self, place: Place<'_>, text: &str, pen: &mut Pen, out: &mut Vec<u8>) {
        self.begin_piece(place, pen, out);
        let number = self.pieces.len().saturating_sub(1);
        if let Some(piece) = self.pieces.last_mut() {
            piece.push_str(text);
        }
        let (name, member) = if self.is_summary {
            ("response.reasoning_summary_text.delta", "summary_index")
        } else {
            ("response.reasoning_text.delta", "content_index")
        };
        pen.event(name, out, |object| {
            place.write_with(member, number, object);
            object.member("delta", text);
        });
    }

    pub(super) fn seal(&mut self, seal: &Seal, redacted: bool) {
        self.seal = Some(seal.clone());
        self.redacted |= redacted;
    }

    /// Announces a piece, unless the last one is still open.
    fn begin_piece(&mut self, place: Place<'_>, pen: &mut Pen, out: &mut Vec<u8>) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        let number = self.pieces.len();
        self.pieces.push(String::new());
        let (name, member, kind) = if self.is_summary {
            (
                "response.reasoning_summary_part.added",
                "summary_index",
                "summary_text",
            )
        } else {
            ("response.content_part.added", "content_index", "reasoning_text")
        };
        pen.event(name, out, |object| {
            place.write_with(member, number, object);
            output::write_typed(kind, "", object.begin("part"));
        });
    }

    pub(super) fn end_piece(&mut self, place: Place<'_>, pen: &mut Pen, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let number = self.pieces.len().saturating_sub(1);
        let text = self.pieces.last().map(String::as_str).unwrap_or_default();
        let (names, member, kind) = if self.is_summary {
            (
                [
                    "response.reasoning_summary_text.done",
                    "response.reasoning_summary_part.done",
                ],
                "summary_index",
                "summary_text",
            )
        } else {
            (
                ["response.reasoning_text.done", "response.content_part.done"],
                "content_index",
                "reasoning_text",
            )
        };
        let [text_done, part_done] = names;
        pen.event(text_done, out, |object| {
            place.write_with(member, number, object);
            object.member("text", text);
        });
        pen.event(part_done, out, |object| {
            place.write_with(member, number, object);
            output::write_typed(kind, text, object.begin("part"));
        });
    }

    /// Ends the item's last piece. Thoughts with a seal but without any text get an empty one, as in whole answers.
    fn close(&mut self, place: Place<'_>, pen: &mut Pen, out: &mut Vec<u8>) {
        let is_carried = self
            .seal
            .as_ref()
            .is_some_and(|seal| seal.origin != crate::Dialect::OpenaiResponses);
        if is_carried && self.pieces.is_empty() && !self.redacted {
            self.is_summary = true;
            self.begin_piece(place, pen, out);
        }
        self.end_piece(place, pen, out);
    }
}

impl CallSoFar {
    fn told(&self) -> Call<'_> {
        Call {
            call_id: &self.call_id,
            name: &self.name,
            is_free_text: self.is_free_text,
            text: &self.text,
        }
    }

    pub(super) fn text(&mut self, place: Place<'_>, text: &str, pen: &mut Pen, out: &mut Vec<u8>) {
        self.text.push_str(text);
        let name = if self.is_free_text {
            "response.custom_tool_call_input.delta"
        } else {
            "response.function_call_arguments.delta"
        };
        pen.event(name, out, |object| {
            place.write(object);
            object.member("delta", text);
        });
    }

    /// Arguments of which nothing came are those of a tool without any (pitfall P3).
    fn close(&mut self, place: Place<'_>, pen: &mut Pen, out: &mut Vec<u8>) {
        if self.text.is_empty() && !self.is_free_text {
            self.text(place, "{}", pen, out);
        }
        let (event, member) = if self.is_free_text {
            ("response.custom_tool_call_input.done", "input")
        } else {
            ("response.function_call_arguments.done", "arguments")
        };
        pen.event(event, out, |object| {
            place.write(object);
            if !self.is_free_text {
                object.member("name", crate::openai_responses::namespace::split(&self.name).1);
            }
            object.member(member, &self.text);
        });
    }
}
