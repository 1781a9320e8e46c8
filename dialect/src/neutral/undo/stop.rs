//! Ending a text at a stop sequence, for targets that have none: the text is watched as it comes, and only what may be the
//! beginning of a sequence waits.

use super::super::{Block, Delta, Event, Finish, Part, Reply};

/// Ends the texts of one stream.
#[derive(Debug, Clone)]
pub(super) struct StopCutter {
    sequences: Vec<Sequence>,
    /// The blocks that are open, and whether they are text.
    open: Vec<(u32, bool)>,
    /// The end of the text of the block that was last added to, as far as a sequence may begin in it.
    held: String,
    held_block: u32,
    is_cut: bool,
}

/// A sequence, and how much of it the text ends with (Knuth, Morris and Pratt: no letter is looked at twice).
#[derive(Debug, Clone)]
struct Sequence {
    text: String,
    /// For each length of a matching beginning, the length of the next shorter one.
    shorter: Vec<usize>,
    matched: usize,
}

impl StopCutter {
    pub(super) fn new(stop: &[String]) -> Self {
        let given = stop.iter().filter(|text| !text.is_empty());
        Self {
            sequences: given.map(|text| Sequence::new(text)).collect(),
            open: Vec::new(),
            held: String::new(),
            held_block: 0,
            is_cut: false,
        }
    }

    /// Whether the answer has ended here; what the provider still sends is of no interest but for its usage.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(super) fn event(&mut self, event: Event, out: &mut Vec<Event>) {
        if self.is_cut {
            match event {
                Event::Usage(_) | Event::KeepAlive | Event::End => out.push(event),
                // The client has its whole answer, whatever became of the provider.
                Event::Fault(_) => out.push(Event::End),
                _ => {}
            }
            return;
        }
        match event {
            Event::Delta {
                block,
                delta: Delta::Text(text),
            } if self.open.contains(&(block, true)) => self.text(block, text, out),
            Event::Open { block, ref kind } => {
                self.open.push((block, *kind == Block::Text));
                out.push(event);
            }
            Event::Close { block } => {
                self.release(out);
                self.open.retain(|(open, _)| *open != block);
                out.push(event);
            }
            Event::Finish(_) | Event::Fault(_) | Event::End => {
                self.release(out);
                out.push(event);
            }
            other => out.push(other),
        }
    }

    fn text(&mut self, block: u32, text: String, out: &mut Vec<Event>) {
        if self.held_block != block {
            self.release(out);
            self.held_block = block;
        }
        let before = self.held.len();
        let found = find(&mut self.sequences, &text);
        self.held.push_str(&text);
        if let Some((end, sequence)) = found {
            self.held.truncate((before + end).saturating_sub(sequence.len()));
            self.release(out);
            out.extend(self.open.drain(..).map(|(block, _)| Event::Close { block }));
            out.push(Event::Finish(Finish::StopSequence(Some(sequence))));
            self.is_cut = true;
            return;
        }
        let waits = self
            .sequences
            .iter()
            .map(|sequence| sequence.matched)
            .max()
            .unwrap_or(0);
        let tail = self.held.split_off(self.held.len().saturating_sub(waits));
        let goes = std::mem::replace(&mut self.held, tail);
        push_text(block, goes, out);
    }

    /// Lets go what was held back.
    fn release(&mut self, out: &mut Vec<Event>) {
        for sequence in &mut self.sequences {
            sequence.matched = 0;
        }
        push_text(self.held_block, std::mem::take(&mut self.held), out);
    }
}

fn push_text(block: u32, text: String, out: &mut Vec<Event>) {
    if !text.is_empty() {
        let delta = Delta::Text(text);
        out.push(Event::Delta { block, delta });
    }
}

/// Ends a whole answer at the first stop sequence in its texts.
pub(super) fn cut(stop: &[String], reply: &mut Reply) {
    let mut cutter = StopCutter::new(stop);
    for (number, part) in reply.parts.iter_mut().enumerate() {
        let Part::Text(text) = part else {
            continue;
        };
        if let Some((end, sequence)) = find(&mut cutter.sequences, &text.text) {
            text.text.truncate(end.saturating_sub(sequence.len()));
            reply.parts.truncate(number + 1);
            reply.finish = Finish::StopSequence(Some(sequence));
            return;
        }
        for sequence in &mut cutter.sequences {
            sequence.matched = 0;
        }
    }
}

/// The first place at which a sequence is complete, and the longest that is.
fn find(sequences: &mut [Sequence], text: &str) -> Option<(usize, String)> {
    text.bytes().enumerate().find_map(|(at, byte)| {
        let mut longest: Option<&str> = None;
        for sequence in sequences.iter_mut() {
            if sequence.step(byte) && longest.is_none_or(|other| other.len() < sequence.text.len()) {
                longest = Some(&sequence.text);
            }
        }
        longest.map(|sequence| (at + 1, sequence.to_owned()))
    })
}

impl Sequence {
    fn new(text: &str) -> Self {
        let mut sequence = Self {
            text: text.to_owned(),
            shorter: vec![0],
            matched: 0,
        };
        for byte in text.bytes().skip(1) {
            sequence.step(byte);
            sequence.shorter.push(sequence.matched);
        }
        sequence.matched = 0;
        sequence
    }

    /// Takes the next byte of the text, and says whether the sequence is complete with it.
    fn step(&mut self, byte: u8) -> bool {
        let bytes = self.text.as_bytes();
        let shorter = |matched: usize| self.shorter.get(matched.wrapping_sub(1)).copied().unwrap_or(0);
        if self.matched == bytes.len() {
            self.matched = shorter(self.matched);
        }
        while self.matched > 0 && bytes.get(self.matched) != Some(&byte) {
            self.matched = shorter(self.matched);
        }
        if bytes.get(self.matched) == Some(&byte) {
            self.matched += 1;
        }
        self.matched == bytes.len()
    }
}
