//! Writing events, each with its type and the next number.

use crate::json::ObjectWriter;
use crate::sse;

#[derive(Debug, Clone, Default)]
pub(super) struct Pen {
    sequence: u64,
}

impl Pen {
    /// Appends an event; `fill` writes what stands beside its type and its number.
    pub(super) fn event(&mut self, name: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        sse::begin_event(Some(name), out);
        let mut object = ObjectWriter::new(out);
        object
            .member("type", name)
            .member("sequence_number", &self.next());
        fill(&mut object);
        object.end();
        sse::end_event(out);
    }

    /// The number of the event that is written now.
    pub(super) fn next(&mut self) -> u64 {
        let number = self.sequence;
        self.sequence += 1;
        number
    }
}
