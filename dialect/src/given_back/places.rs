//! Where values stand in a body, and how some of them are taken out: what is left stays as it was written.

use std::ops::Range;

use crate::json::{checked_items, checked_members};

/// A list or an object, with its values in their order.
pub(super) struct Held<'b> {
    body: &'b [u8],
    at: Range<usize>,
    pub(super) values: Vec<Value<'b>>,
}

pub(super) struct Value<'b> {
    /// As it is written; of a list's there is none.
    pub(super) name: &'b [u8],
    pub(super) json: &'b [u8],
    pub(super) is_cut: bool,
}

impl<'b> Held<'b> {
    /// The items of a list, or the members of an object; none of anything else.
    pub(super) fn new(body: &'b [u8], json: &'b [u8]) -> Self {
        let value = |(name, json)| Value {
            name,
            json,
            is_cut: false,
        };
        let values = if json.first() == Some(&b'[') {
            checked_items(json).map(|item| value((&b""[..], item))).collect()
        } else {
            checked_members(json).map(value).collect()
        };
        Self {
            body,
            at: place(body, json),
            values,
        }
    }

    /// The member of this name.
    pub(super) fn get(&self, name: &str) -> Option<&'b [u8]> {
        let named = self.values.iter().find(|value| value.name == name.as_bytes());
        named.map(|value| value.json)
    }

    /// The text that the member of this name has.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_slice(self.get(name)?).ok()
    }

    /// Whether it is a list or an object of which nothing is left.
    pub(super) fn is_emptied(&self) -> bool {
        !self.values.is_empty() && self.values.iter().all(|value| value.is_cut)
    }

    /// The edits that take out what is cut, each with one of the commas beside it.
    pub(super) fn cuts(&self, edits: &mut Vec<(Range<usize>, String)>) {
        let mut cut = |at: Range<usize>| edits.push((at, String::new()));
        let begin = self.at.start + 1;
        let Some(first) = self.values.iter().position(|value| !value.is_cut) else {
            if let Some(last) = self.values.last() {
                cut(begin..place(self.body, last.json).end);
            }
            return;
        };
        let (before, kept) = self.values.split_at(first);
        if let Some(last) = before.last() {
            let end = place(self.body, last.json).end;
            let rest = self.body.get(end..).unwrap_or_default();
            let comma = rest.iter().position(|byte| *byte == b',').unwrap_or_default();
            cut(begin..end + comma + 1);
        }
        for pair in kept.windows(2) {
            if let [previous, value] = pair
                && value.is_cut
            {
                cut(place(self.body, previous.json).end..place(self.body, value.json).end);
            }
        }
    }
}

/// Where a piece of the body stands in it.
pub(super) fn place(body: &[u8], piece: &[u8]) -> Range<usize> {
    let start = (piece.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
    start..start + piece.len()
}
