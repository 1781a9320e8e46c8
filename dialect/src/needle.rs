//! Texts that every event of a stream is searched for.

use std::sync::OnceLock;

use memchr::memmem::{FindIter, Finder};

/// One of them, made ready to be searched for once: that takes longer than to search an event.
#[derive(Debug)]
pub struct Needle {
    text: &'static [u8],
    finder: OnceLock<Finder<'static>>,
}

impl Needle {
    pub(crate) const fn new(text: &'static [u8]) -> Self {
        Self {
            text,
            finder: OnceLock::new(),
        }
    }

    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.find_in(bytes).is_some()
    }

    /// Where it stands first.
    pub(crate) fn find_in(&self, bytes: &[u8]) -> Option<usize> {
        self.finder().find(bytes)
    }

    /// What follows it, each time that it stands there.
    pub(crate) fn behind_each_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.places_in(bytes).map(|at| {
            bytes
                .get(at.saturating_add(self.text.len())..)
                .unwrap_or_default()
        })
    }

    /// Where it stands.
    pub(crate) fn places_in<'a>(&'a self, bytes: &'a [u8]) -> FindIter<'a, 'a> {
        self.finder().find_iter(bytes)
    }

    pub(crate) fn text(&self) -> &'static [u8] {
        self.text
    }

    fn finder(&self) -> &Finder<'static> {
        self.finder.get_or_init(|| Finder::new(self.text))
    }
}
