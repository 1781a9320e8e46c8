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
    // Most bodies are ASCII, which is known much sooner than that something else is UTF-8.
    if !body.is_ascii()
        && let Err(error) = std::str::from_utf8(body)
    {
        return Err(JsonError::NotUtf8 {
            at: error.valid_up_to(),
        });
    }
    let all = All(Vec::with_capacity(USUAL_MEMBERS));
    let All(members) = Scanner::new(body, limits, Surrogates::InPairs, all).object()?;
    refuse_duplicates(&members)?;
    Ok(Object { members })
}

/// Scans an answer that must be one JSON object, and finds the values of some of its top-level members: of two with one
/// name the last, by which readers of JSON go. Half surrogates, bytes that are no UTF-8 and names that stand twice are its
/// sender's business.
///
/// # Errors
/// When it is not well-formed, no object, or nested too deeply.
pub fn scan_answer<'a, const N: usize>(
    body: &'a [u8],
    names: [&str; N],
) -> Result<[Option<&'a [u8]>; N], JsonError> {
    let limits = Limits {
        nodes_max: usize::MAX,
        members_max: usize::MAX,
        ..Limits::default()
    };
    let wanted = Wanted {
        names,
        found: [const { None }; N],
        current: None,
    };
    let wanted = Scanner::new(body, &limits, Surrogates::Any, wanted).object()?;
    Ok(wanted.found.map(|value| body.get(value?)))
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
            name: String::from_utf8_lossy(&member.name).into_owned(),
        }),
        None => Ok(()),
    }
}

/// Up to so many names are compared with one another; more are hashed.
const FEW_MEMBERS: usize = 24;
/// Levels and members for which there is room before anything has to grow.
const USUAL_DEPTH: usize = 16;
const USUAL_MEMBERS: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Object,
    Array,
}

/// What is kept of the top-level object's members while they pass.
trait Keep<'a> {
    /// A member begins: its name with its quotes, and where its value stands.
    fn begin(&mut self, quoted: &'a [u8], value_at: usize);
    /// One more value stands directly in its value.
    fn count_item(&mut self);
    /// Its value ended before this place.
    fn end(&mut self, at: usize);
}

/// All of them, in their order.
struct All<'a>(Vec<Member<'a>>);

/// Where the values of some of them stand.
struct Wanted<'n, const N: usize> {
    names: [&'n str; N],
    found: [Option<Range<usize>>; N],
    /// Which of them is passing.
    current: Option<usize>,
}

struct Scanner<'a, 'l, K> {
    body: &'a [u8],
    limits: &'l Limits,
    surrogates: Surrogates,
    at: usize,
    nodes: usize,
    open: Vec<Kind>,
    /// Members of the top-level object so far.
    members: usize,
    kept: K,
}

impl<'a, 'l, K: Keep<'a>> Scanner<'a, 'l, K> {
    fn new(body: &'a [u8], limits: &'l Limits, surrogates: Surrogates, kept: K) -> Self {
        Self {
            body,
            limits,
            surrogates,
            at: 0,
            nodes: 0,
            open: Vec::with_capacity(USUAL_DEPTH),
            members: 0,
            kept,
        }
    }

    /// The whole body, which has to be one object.
    fn object(mut self) -> Result<K, JsonError> {
        self.skip_space();
        let is_object = self.peek() == Some(b'{');
        while self.value()? || self.another_follows()? {}
        self.skip_space();
        if self.at != self.body.len() {
            return Err(self.malformed());
        }
        if !is_object {
            return Err(JsonError::NotAnObject);
        }
        Ok(self.kept)
    }

    /// Reads a value, or only its opening when it holds others: then says so.
    fn value(&mut self) -> Result<bool, JsonError> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(JsonError::TooManyNodes { at: self.at });
        }
        match self.peek() {
            Some(b'"') => self.at = string_end(self.body, self.at, self.surrogates)?,
            Some(b'{') => return self.enter(Kind::Object),
            Some(b'[') => return self.enter(Kind::Array),
            Some(b'-' | b'0'..=b'9') => self.at = self.number_end()?,
            Some(b't') => self.word(b"true")?,
            Some(b'f') => self.word(b"false")?,
            Some(b'n') => self.word(b"null")?,
            _ => return Err(self.malformed()),
        }
        Ok(false)
    }

    /// A value has ended: closes what ends with it, and says whether another value follows in what is still open.
    fn another_follows(&mut self) -> Result<bool, JsonError> {
        loop {
            self.member_ended();
            let Some(kind) = self.open.last().copied() else {
                return Ok(false);
            };
            self.skip_space();
            match (kind, self.peek()) {
                (_, Some(b',')) => {
                    self.at += 1;
                    self.skip_space();
                    return self.next_value(kind).map(|()| true);
                }
                (Kind::Object, Some(b'}')) | (Kind::Array, Some(b']')) => {
                    self.at += 1;
                    self.open.pop();
                }
                _ => return Err(self.malformed()),
            }
        }
    }

    /// Opens an array or an object, and says whether it holds anything. An empty one is closed at once.
    fn enter(&mut self, kind: Kind) -> Result<bool, JsonError> {
        if self.open.len() >= self.limits.depth_max {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.at += 1;
        self.skip_space();
        let closing = if kind == Kind::Object { b'}' } else { b']' };
        if self.peek() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        self.open.push(kind);
        self.next_value(kind).map(|()| true)
    }

    /// Reads what stands before a value in what is open: in an object, its name.
    fn next_value(&mut self, kind: Kind) -> Result<(), JsonError> {
        match kind {
            Kind::Object => self.name(),
            Kind::Array => {
                self.count_item();
                Ok(())
            }
        }
    }

    /// Counts what stands directly in a top-level member.
    fn count_item(&mut self) {
        if self.open.len() == 2 {
            self.kept.count_item();
        }
    }

    fn name(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.malformed());
        }
        self.at = string_end(self.body, start, self.surrogates)?;
        let name = start..self.at;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.malformed());
        }
        self.at += 1;
        self.skip_space();
        if self.open.len() == 1 {
            if self.members >= self.limits.members_max {
                return Err(JsonError::TooManyNodes { at: self.at });
            }
            self.members += 1;
            self.kept.begin(self.body.get(name).unwrap_or_default(), self.at);
        }
        Ok(())
    }

    fn number_end(&self) -> Result<usize, JsonError> {
        match self.surrogates {
            Surrogates::InPairs => finite_number_end(self.body, self.at),
            Surrogates::Any => number_end(self.body, self.at),
        }
    }

    /// A value has ended here; when it is a top-level member's, that is where the member ends.
    fn member_ended(&mut self) {
        if self.open.len() == 1 {
            self.kept.end(self.at);
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.body.get(self.at..).unwrap_or_default().starts_with(word) {
            return Err(self.malformed());
        }
        self.at += word.len();
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

impl<'a> Keep<'a> for All<'a> {
    fn begin(&mut self, quoted: &'a [u8], value_at: usize) {
        self.0.push(Member {
            name: decoded(quoted),
            value: value_at..value_at,
            items: 0,
        });
    }

    fn count_item(&mut self) {
        if let Some(member) = self.0.last_mut() {
            member.items += 1;
        }
    }

    fn end(&mut self, at: usize) {
        if let Some(member) = self.0.last_mut() {
            member.value.end = at;
        }
    }
}

impl<'a, const N: usize> Keep<'a> for Wanted<'_, N> {
    fn begin(&mut self, quoted: &'a [u8], value_at: usize) {
        let name = decoded(quoted);
        self.current = self.names.iter().position(|wanted| wanted.as_bytes() == &*name);
        if let Some(found) = self.current.and_then(|number| self.found.get_mut(number)) {
            *found = Some(value_at..value_at);
        }
    }

    fn count_item(&mut self) {}

    fn end(&mut self, at: usize) {
        let found = self.current.and_then(|number| self.found.get_mut(number));
        if let Some(Some(value)) = found {
            value.end = at;
        }
    }
}

/// A name without its quotes and escapes. Hardly any has an escape; one that cannot be decoded, as only an answer can hold
/// it, is taken as it stands.
fn decoded(quoted: &[u8]) -> Cow<'_, [u8]> {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !inside.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    serde_json::from_slice(quoted).map_or(Cow::Borrowed(inside), |name: String| {
        Cow::Owned(name.into_bytes())
    })
}
