//! Server-sent events, as bytes (WHATWG HTML, 9.2): where one ends, what it says, and how one is written.
//!
//! An event is what stands from its first line to the blank line after its last, both included. Lines end with LF, CRLF
//! or CR, and with nothing else that a language may take for the end of a line. Nothing is decoded here, so a letter that
//! was cut between two chunks is whole again before anyone looks at it.

use std::borrow::Cow;

/// How much of a stream is believed to be one, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    pub line_bytes_max: usize,
    pub event_bytes_max: usize,
    pub stream_bytes_max: usize,
}

impl Default for StreamLimits {
    /// 1 MiB, 4 MiB and 64 MiB.
    fn default() -> Self {
        Self {
            line_bytes_max: 1 << 20,
            event_bytes_max: 4 << 20,
            stream_bytes_max: 64 << 20,
        }
    }
}

/// A stream, or an event of it, larger than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream or one of its events is too large")]
pub struct StreamTooLarge;

/// Takes a stream in pieces, however they were cut, and gives its events whole.
#[derive(Debug, Clone, Default)]
pub struct Events {
    limits: StreamLimits,
    buffer: Vec<u8>,
    /// Up to where the buffer has been given out.
    read: usize,
    search: EventSearch,
    passed_bytes: usize,
}

impl Events {
    pub fn new(limits: StreamLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes a piece of the stream. Its whole events are to be taken by [`Self::next_event`] before the next piece comes:
    /// what is left then counts as the beginning of one.
    ///
    /// # Errors
    /// When an event or the stream is larger than allowed; the stream cannot go on.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), StreamTooLarge> {
        self.buffer.drain(..self.read);
        self.search = std::mem::take(&mut self.search).moved_back(self.read);
        self.read = 0;
        self.passed_bytes = self.passed_bytes.saturating_add(chunk.len());
        let StreamLimits {
            line_bytes_max,
            event_bytes_max,
            stream_bytes_max,
        } = self.limits;
        if self.search.line_bytes() > line_bytes_max
            || self.buffer.len() > event_bytes_max
            || self.passed_bytes > stream_bytes_max
        {
            return Err(StreamTooLarge);
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The next event, once all of it is there.
    pub fn next_event(&mut self) -> Option<&[u8]> {
        let start = self.read;
        let end = self.search.event_end(&self.buffer)?;
        self.read = end;
        self.buffer.get(start..end)
    }

    /// What is left when the stream has ended: some leave out the last blank line.
    pub fn rest(&self) -> &[u8] {
        self.buffer.get(self.read..).unwrap_or_default()
    }
}

/// How far a buffer has been searched for the blank line that ends an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventSearch {
    searched: usize,
    line_start: usize,
}

impl EventSearch {
    /// The place after the blank line that ends the next event. Lines end with LF, CRLF or CR; a CR at the very end
    /// is left open, since its LF may come.
    pub(crate) fn event_end(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let Some(offset) = memchr::memchr2(b'\n', b'\r', buffer.get(self.searched..)?) else {
                self.searched = buffer.len();
                return None;
            };
            let at = self.searched + offset;
            self.searched = at;
            let next = match (buffer.get(at), buffer.get(at + 1)) {
                (Some(b'\r'), None) => return None,
                (Some(b'\r'), Some(b'\n')) => at + 2,
                _ => at + 1,
            };
            let blank = self.line_start == at;
            (self.searched, self.line_start) = (next, next);
            if blank {
                return Some(next);
            }
        }
    }

    /// How much of a line without an end is there.
    pub(crate) fn line_bytes(&self) -> usize {
        self.searched.saturating_sub(self.line_start)
    }

    /// The same search after the first `bytes` of its buffer are gone.
    pub(crate) fn moved_back(self, bytes: usize) -> Self {
        Self {
            searched: self.searched.saturating_sub(bytes),
            line_start: self.line_start.saturating_sub(bytes),
        }
    }
}

/// The data of an event: what stands after `data:` in its lines, joined by line feeds. Empty for an event without, such
/// as a comment.
pub fn data(event: &[u8]) -> Cow<'_, [u8]> {
    if let Some(data) = only_line(event) {
        return Cow::Borrowed(data);
    }
    let values = lines(event).filter_map(|line| {
        let value = line.strip_prefix(b"data:")?;
        Some(value.strip_prefix(b" ").unwrap_or(value))
    });
    values.fold(Cow::Borrowed(&[]), |data, value| {
        if data.is_empty() {
            return Cow::Borrowed(value);
        }
        let mut joined = data.into_owned();
        joined.push(b'\n');
        joined.extend_from_slice(value);
        Cow::Owned(joined)
    })
}

/// The data of an event that is one line of it, as nearly all are.
fn only_line(event: &[u8]) -> Option<&[u8]> {
    let line = event.strip_prefix(b"data:")?;
    let (data, ends) = line.split_at(memchr::memchr2(b'\n', b'\r', line)?);
    ends.iter()
        .all(|byte| matches!(byte, b'\n' | b'\r'))
        .then_some(())?;
    Some(data.strip_prefix(b" ").unwrap_or(data))
}

/// Whether a body that begins so is a stream of events: what a provider says of it in its headers is not always true.
/// `None` where it cannot be told yet.
pub fn is_stream(begins: &[u8]) -> Option<bool> {
    const FIELDS: [&[u8]; 4] = [b"data:", b"event:", b"id:", b"retry:"];
    let begins = begins.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begins);
    let begins = begins.trim_ascii_start();
    match begins.first()? {
        b':' => Some(true),
        // JSON, and pages of errors.
        b'{' | b'[' | b'<' => Some(false),
        _ => {
            let begins_with = |field: &&[u8]| begins.starts_with(field);
            FIELDS.iter().any(begins_with).then_some(true)
        }
    }
}

/// The type of an event, where it has one.
pub fn name(event: &[u8]) -> Option<&[u8]> {
    let names = lines(event).filter_map(|line| line.strip_prefix(b"event:"));
    names.last().map(<[u8]>::trim_ascii)
}

/// The lines of an event without their ends; a byte order mark at the beginning of the stream is no part of one.
pub(crate) fn lines(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    let event = event.strip_prefix(b"\xef\xbb\xbf").unwrap_or(event);
    event.split(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Appends an event with this data. JSON may hold ends of lines between its values, where somebody spread it out.
pub fn write_event(name: Option<&str>, json: &[u8], out: &mut Vec<u8>) {
    begin_event(name, out);
    for (number, line) in json.split(|byte| matches!(byte, b'\n' | b'\r')).enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\ndata: ");
        }
        out.extend_from_slice(line);
    }
    end_event(out);
}

/// Appends all of an event that stands before its data. The data must be one line; [`end_event`] ends it.
pub fn begin_event(name: Option<&str>, out: &mut Vec<u8>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
}

/// Appends what ends an event's data and the event.
pub fn end_event(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &[u8], at: usize) -> Vec<(Option<String>, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut events = Events::new(StreamLimits::default());
        let mut found = Vec::new();
        let (first, second) = stream.split_at(at);
        for chunk in [first, second] {
            events.push(chunk).unwrap();
            while let Some(event) = events.next_event() {
                found.push((name(event).map(text), text(&data(event))));
            }
        }
        found.push((None, text(&data(events.rest()))));
        found
    }

    #[test]
    fn p54_a_stream_is_known_by_how_it_begins() {
        for stream in [
            "data: {}",
            ": still here\n\n",
            "\r\n\nevent:x",
            "\u{feff}id: 1",
            "retry: 9",
        ] {
            assert_eq!(is_stream(stream.as_bytes()), Some(true), "{stream}");
        }
        for other in ["{\"data:\":1}", " \n[", "<html>"] {
            assert_eq!(is_stream(other.as_bytes()), Some(false), "{other}");
        }
        for open in ["", "\n\n", "dat", "database error", "\u{1f}\u{8b}"] {
            assert_eq!(is_stream(open.as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn p46_p48_events_are_the_same_wherever_they_are_cut() {
        let stream = "\u{feff}event: a\ndata: {\"x\":\ndata:1}\n\n: comment\r\n\r\ndata:\u{e9}\u{2028}\u{85}x\r\rid: 1\nevent:b \ndata:  y\n\ndata: [DONE]";
        let some = |name: &str, data: &str| (Some(name.to_owned()), data.to_owned());
        let none = |data: &str| (None, data.to_owned());
        let expected = vec![
            some("a", "{\"x\":\n1}"),
            none(""),
            none("\u{e9}\u{2028}\u{85}x"),
            some("b", " y"),
            none("[DONE]"),
        ];
        for at in 0..=stream.len() {
            assert_eq!(all(stream.as_bytes(), at), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Vec::new();
        write_event(Some("message_start"), b"{\n \"a\": 1\r\n}", &mut out);
        write_event(None, b"{}", &mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            "event: message_start\ndata: {\ndata:  \"a\": 1\ndata: \ndata: }\n\ndata: {}\n\n"
        );
        let read = all(&out, 0);
        assert_eq!(
            read[0],
            (Some("message_start".to_owned()), "{\n \"a\": 1\n\n}".to_owned())
        );
    }

    #[test]
    fn a_stream_that_never_ends_a_line_an_event_or_itself_is_refused() {
        let limits = StreamLimits {
            line_bytes_max: 100,
            event_bytes_max: 200,
            stream_bytes_max: 1_000,
        };
        for piece in ["x", "x\n", "x\n\n"] {
            let mut events = Events::new(limits);
            let pushed = (0..2_000).take_while(|_| {
                let fine = events.push(piece.as_bytes()).is_ok();
                while fine && events.next_event().is_some() {}
                fine
            });
            let pushed = pushed.count() * piece.len();
            assert!(pushed <= 1_000, "{piece:?}: {pushed}");
        }
    }
}
