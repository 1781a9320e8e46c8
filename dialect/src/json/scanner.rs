//! The scan itself: a loop over values, with what is open on a stack of its own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use super::text::{Surrogates, finite_number_end, number_end, string_end};
use super::{JsonError, Limits, Member, Object};

/// Scans a body that must be one JSON object.
///
/// # Errors
/// When the body is not well-formed (RFC 8259), not UTF-8, no object, beyond the limits, or names a top-level member
/// twice: of two members with one name, some programs take the first and some the last.
pub fn scan<'a>(body: &'a [u8], limits: &Limits) -> Result<Object<'a>, JsonError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(JsonError::NotUtf8 {
            at: error.valid_up_to(),
        });
    }
    let object = Scanner::new(body, limits, Surrogates::InPairs).object()?;
    refuse_duplicates(&object.members)?;
    Ok(object)
}

/// Scans an answer that must be one JSON object. Half surrogates, bytes that are no UTF-8 and names that stand twice are
/// its sender's business.
///
/// # Errors
/// When it is not well-formed, no object, or nested too deeply.
pub fn scan_answer(body: &[u8]) -> Result<Object<'_>, JsonError> {
    let limits = Limits {
        nodes_max: usize::MAX,
        ..Limits::default()
    };
    Scanner::new(body, &limits, Surrogates::Any).object()
}

fn refuse_duplicates(members: &[Member<'_>]) -> Result<(), JsonError> {
    let duplicate = if members.len() <= FEW_MEMBERS {
        let mut rest = members;
        std::iter::from_fn(|| {
            let (first, others) = rest.split_first()?;
            rest = others;
            Some((first, others))
        })
        .find(|(first, others)| others.iter().any(|other| other.name == first.name))
        .map(|(first, _)| first)
    } else {
        let mut names = HashSet::with_capacity(members.len());
        members.iter().find(|member| !names.insert(&member.name))
    };
    match duplicate {
        Some(member) => Err(JsonError::Duplicate {
            name: member.name.clone().into_owned(),
        }),
        None => Ok(()),
    }
}

/// Up to so many names are compared with one another; more are hashed.
const FEW_MEMBERS: usize = 24;
/// Levels and members for which there is room before anything has to grow.
const USUAL_DEPTH: usize = 16;
const USUAL_MEMBERS: usize = 16;

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

struct Scanner<'a, 'l> {
    body: &'a [u8],
    limits: &'l Limits,
    surrogates: Surrogates,
    at: usize,
    nodes: usize,
    open: Vec<Level>,
    /// The members of the top-level object.
    members: Vec<Span>,
}

impl<'a, 'l> Scanner<'a, 'l> {
    fn new(body: &'a [u8], limits: &'l Limits, surrogates: Surrogates) -> Self {
        Self {
            body,
            limits,
            surrogates,
            at: 0,
            nodes: 0,
            open: Vec::with_capacity(USUAL_DEPTH),
            members: Vec::with_capacity(USUAL_MEMBERS),
        }
    }

    /// The whole body, which has to be one object.
    fn object(mut self) -> Result<Object<'a>, JsonError> {
        self.skip_space();
        let is_object = self.peek() == Some(b'{');
        self.value()?;
        while !self.open.is_empty() {
            self.step()?;
        }
        self.skip_space();
        if self.at != self.body.len() {
            return Err(self.malformed());
        }
        if !is_object {
            return Err(JsonError::NotAnObject);
        }
        let body = self.body;
        let members = self.members.into_iter().map(|span| span.named(body));
        Ok(Object {
            members: members.collect(),
        })
    }

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
        self.at = string_end(self.body, name, self.surrogates)?;
        let name = name..self.at;
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        if self.open.len() == 1 {
            if self.members.len() >= self.limits.members_max {
                return Err(JsonError::TooManyNodes { at: self.at });
            }
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
            Some(b'"') => self.at = string_end(self.body, self.at, self.surrogates)?,
            Some(b'-' | b'0'..=b'9') => self.at = self.number_end()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return Err(self.malformed()),
        }
        self.member_ended();
        Ok(())
    }

    fn number_end(&self) -> Result<usize, JsonError> {
        match self.surrogates {
            Surrogates::InPairs => finite_number_end(self.body, self.at),
            Surrogates::Any => number_end(self.body, self.at),
        }
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
}

impl Span {
    /// The member with its name decoded. Hardly any name has an escape; the others are taken as they stand.
    fn named(self, body: &[u8]) -> Member<'_> {
        let Self { name, value, items } = self;
        let quoted = body.get(name).unwrap_or_default();
        let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
        let name = match std::str::from_utf8(inside) {
            Ok(text) if !text.contains('\\') => Cow::Borrowed(text),
            // Only an answer can hold a name that cannot be decoded.
            _ => serde_json::from_slice(quoted).map_or_else(
                |_| String::from_utf8_lossy(inside),
                |name: String| Cow::Owned(name),
            ),
        };
        Member { name, value, items }
    }
}
