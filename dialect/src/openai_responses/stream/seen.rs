//! What was seen of an item while its stream is read, so that nothing is told twice and nothing that came only at the
//! end goes missing.

use serde_json::value::RawValue;

use crate::neutral::{Block, Delta, Event};
use crate::openai_responses::content::read_citation;

/// What an item is, as far as its blocks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call,
    Other,
}

/// An item, by what it has told so far.
pub(super) struct Seen {
    pub kind: Kind,
    /// The parts of a message by their index, or the one block of anything else under 0.
    blocks: Vec<(u64, Told)>,
    pub is_done: bool,
    /// Whether what is told of reasoning is its summary; the first that is told decides.
    is_summary: Option<bool>,
}

/// A block, and how much of it has been told.
pub(super) struct Told {
    block: u32,
    /// Bytes of the current piece.
    sent: usize,
    /// The current piece of reasoning.
    piece: u64,
    citations: usize,
    takes_citations: bool,
    is_closed: bool,
}

impl Seen {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            blocks: Vec::new(),
            is_done: false,
            is_summary: None,
        }
    }

    /// Whether reasoning is told by its summary, or by the thoughts themselves, when this is what there is now.
    pub(super) fn is_summary(&mut self, now: bool) -> bool {
        *self.is_summary.get_or_insert(now)
    }

    pub(super) fn block(&mut self, index: u64) -> Option<&mut Told> {
        self.blocks
            .iter_mut()
            .find(|(known, _)| *known == index)
            .map(|(_, told)| told)
    }

    /// The block of this index, opened now when it was not yet.
    pub(super) fn opened(
        &mut self,
        index: u64,
        next: &mut u32,
        out: &mut Vec<Event>,
        kind: impl FnOnce() -> Block,
    ) -> &mut Told {
        // Taken out and put back, because the borrow checker does not follow one that is returned on one way alone.
        let known = self.blocks.iter().position(|(known, _)| *known == index);
        if let Some(told) = known.map(|at| self.blocks.remove(at)) {
            return &mut self.blocks.push_mut(told).1;
        }
        let block = *next;
        *next = next.saturating_add(1);
        let kind = kind();
        let takes_citations = kind == Block::Text;
        out.push(Event::Open { block, kind });
        &mut self.blocks.push_mut((index, Told::new(block, takes_citations))).1
    }

    pub(super) fn close_all(&mut self, out: &mut Vec<Event>) {
        for (_, told) in &mut self.blocks {
            told.close(out);
        }
    }
}

impl Told {
    fn new(block: u32, takes_citations: bool) -> Self {
        Self {
            block,
            sent: 0,
            piece: 0,
            citations: 0,
            takes_citations,
            is_closed: false,
        }
    }

    pub(super) fn tell(&mut self, delta: Delta, out: &mut Vec<Event>) {
        if !self.is_closed {
            out.push(Event::Delta {
                block: self.block,
                delta,
            });
        }
    }

    /// Tells a fragment as it came.
    pub(super) fn fragment(&mut self, text: String, wrap: fn(String) -> Delta, out: &mut Vec<Event>) {
        self.sent += text.len();
        if !text.is_empty() {
            self.tell(wrap(text), out);
        }
    }

    /// Goes on to a further piece, when it is one.
    pub(super) fn piece(&mut self, piece: u64, out: &mut Vec<Event>) {
        if piece > self.piece {
            self.piece = piece;
            self.sent = 0;
            self.tell(Delta::NextPiece, out);
        }
    }

    /// Whether this piece is the current one.
    pub(super) fn is_at(&self, piece: u64) -> bool {
        self.piece == piece
    }

    /// Tells what of the whole text has not come in fragments.
    pub(super) fn rest(&mut self, whole: &str, wrap: fn(String) -> Delta, out: &mut Vec<Event>) {
        if let Some(rest) = whole.get(self.sent..).filter(|rest| !rest.is_empty()) {
            self.fragment(rest.to_owned(), wrap, out);
        }
    }

    pub(super) fn cite(&mut self, annotation: &RawValue, out: &mut Vec<Event>) {
        self.citations += 1;
        if self.takes_citations {
            self.tell(Delta::Citation(read_citation(annotation)), out);
        }
    }

    /// Tells the annotations that have not come by themselves.
    pub(super) fn rest_of_citations(&mut self, annotations: &[&RawValue], out: &mut Vec<Event>) {
        for annotation in annotations.get(self.citations..).unwrap_or_default() {
            self.cite(annotation, out);
        }
    }

    pub(super) fn close(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            out.push(Event::Close { block: self.block });
        }
    }
}
