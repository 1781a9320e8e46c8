//! The scan itself: a loop over values, with what is open on a stack of its own.

use std::ops::Range;

use super::text::{number_end, string_end};
use super::{JsonError, Limits, Member, Object};

/// Scans a body that must be one JSON object.
///
/// # Errors
/// When the body is not well-formed (RFC 8259), not UTF-8, no object, beyond the limits, or names a top-level member
/// twice: of two members with one name, some programs take the first and some the last.
pub fn scan(body: &[u8], limits: &Limits) -> Result<Object, JsonError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(JsonError::NotUtf8 {
            at: error.valid_up_to(),
        });
    }
    let mut scanner = Scanner {
        body,
        limits,
        at: 0,
        nodes: 0,
        open: Vec::new(),
        members: Vec::new(),
    };
    scanner.skip_space();
    let is_object = scanner.peek() == Some(b'{');
    scanner.value()?;
    while !scanner.open.is_empty() {
        scanner.step()?;
    }
    scanner.skip_space();
    if scanner.at != body.len() {
        return Err(scanner.malformed());
    }
    if !is_object {
        return Err(JsonError::NotAnObject);
    }
    scanner.object()
}

/// What is open, and whether something has already stood in it.
struct Level {
    kind: Kind,
    empty: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
}

/// A top-level member: where its name (with its quotes) and its value stand, and how many items an array holds.
struct Span {
    name: Range<usize>,
    value: Range<usize>,
    items: usize,
}

struct Scanner<'a> {
    body: &'a [u8],
    limits: &'a Limits,
    at: usize,
    nodes: usize,
    open: Vec<Level>,
    /// The members of the top-level object.
    members: Vec<Span>,
}

impl Scanner<'_> {
    /// Reads on inside what is open: its end, or one more of what it holds.
    fn step(&mut self) -> Result<(), JsonError> {
        let Some(Level { kind, empty }) = self.open.last_mut() else {
            return Ok(());
        };
        let (kind, first) = (*kind, std::mem::replace(empty, false));
        self.skip_space();
        let closing = if kind == Kind::Object { b'}' } else { b']' };
        if self.peek() == Some(closing) {
            self.at += 1;
            self.open.pop();
            self.member_ended();
            return Ok(());
        }
        if !first {
            self.expect(b',')?;
            self.skip_space();
        }
        match kind {
            Kind::Object => self.member(),
            Kind::Array => {
                self.count_item();
                self.value()
            }
        }
    }

    /// Counts what stands directly in a top-level member.
    fn count_item(&mut self) {
        if self.open.len() == 2
            && let Some(member) = self.members.last_mut()
        {
            member.items += 1;
        }
    }

    fn member(&mut self) -> Result<(), JsonError> {
        let name = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        self.at = string_end(self.body, name)?;
        let name = name..self.at;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        if self.open.len() == 1 {
            let value = self.at..self.at;
            self.members.push(Span {
                name,
                value,
                items: 0,
            });
        }
        self.value()
    }

    /// Reads a value, or only its opening when it holds others.
    fn value(&mut self) -> Result<(), JsonError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(JsonError::TooManyNodes { at: self.at });
        }
        match self.peek() {
            Some(b'{') => return self.enter(Kind::Object),
            Some(b'[') => return self.enter(Kind::Array),
            Some(b'"') => self.at = string_end(self.body, self.at)?,
            Some(b'-' | b'0'..=b'9') => self.at = number_end(self.body, self.at)?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return Err(self.malformed()),
        }
        self.member_ended();
        Ok(())
    }

    fn enter(&mut self, kind: Kind) -> Result<(), JsonError> {
        if self.open.len() >= self.limits.depth_max {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.at += 1;
        self.open.push(Level { kind, empty: true });
        Ok(())
    }

    /// A value has ended here; when it is a top-level member's, that is where the member ends.
    fn member_ended(&mut self) {
        if self.open.len() == 1
            && let Some(member) = self.members.last_mut()
        {
            member.value.end = self.at;
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.body.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.malformed());
        }
        self.at += word.len();
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn malformed(&self) -> JsonError {
        JsonError::Malformed { at: self.at }
    }

    fn object(self) -> Result<Object, JsonError> {
        let mut names = std::collections::HashSet::new();
        let mut members = Vec::with_capacity(self.members.len());
        for Span { name, value, items } in self.members {
            let at = name.start;
            let quoted = self.body.get(name).unwrap_or_default();
            let name: String = serde_json::from_slice(quoted).map_err(|_| JsonError::Malformed { at })?;
            if !names.insert(name.clone()) {
                return Err(JsonError::Duplicate { name });
            }
            members.push(Member { name, value, items });
        }
        Ok(Object { members })
    }
}
