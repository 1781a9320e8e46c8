//! HTTP/2 by hand: frames that no library would send, and what comes back (RFC 9113).

use std::io::Read as _;
use std::net::TcpStream;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The largest frame that may be sent to whoever has not said otherwise.
const FRAME_BYTES_MAX: usize = 16_384;

/// A frame that has come.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// One of the numbers in it: the code of a reset, the last stream of a farewell.
    pub(crate) fn number(&self, place: usize) -> u32 {
        let bytes = self.payload[place * 4..][..4].try_into().unwrap();
        u32::from_be_bytes(bytes)
    }

    /// The status of an answer, where it is one that these tests know in HPACK: 200 by the static table, 431 in Huffman's
    /// code.
    pub(crate) fn status(&self) -> Option<u16> {
        const TOO_LARGE: [u8; 5] = [0x48, 0x83, 0x69, 0x90, 0xff];
        match &self.payload {
            _ if self.kind != HEADERS => None,
            payload if payload.starts_with(&[0x88]) => Some(200),
            payload if payload.starts_with(&TOO_LARGE) => Some(431),
            _ => Some(0),
        }
    }
}

/// One frame (section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// How every connection begins.
pub(crate) fn begin() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()
}

/// The headers of a request, in as many frames as they take.
pub(crate) fn request(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let mut parts = block.chunks(FRAME_BYTES_MAX);
    let first = parts.next().unwrap_or_default();
    let last = |left: usize| if left == 0 { END_HEADERS } else { 0 };
    let mut bytes = frame(HEADERS, flags | last(parts.len()), stream, first);
    while let Some(part) = parts.next() {
        bytes.extend(frame(CONTINUATION, last(parts.len()), stream, part));
    }
    bytes
}

/// `GET http` of a path, with a host, by the static table of HPACK.
pub(crate) fn get(path: &str) -> Vec<u8> {
    [&[0x82, 0x86][..], &[0x04], &text(path), &[0x01], &text("gateway")].concat()
}

/// `POST http` to where chats are, with a key.
pub(crate) fn chat(key: &str) -> Vec<u8> {
    [
        vec![0x83, 0x86, 0x04],
        text("/v1/chat/completions"),
        vec![0x01],
        text("gateway"),
        vec![0x0f, 0x08],
        text(&format!("Bearer {key}")),
        vec![0x0f, 0x10],
        text("application/json"),
    ]
    .concat()
}

/// A header `x` of so many bytes, which is not kept.
pub(crate) fn long_header(bytes: usize) -> Vec<u8> {
    [&[0x00, 1, b'x'][..], &text(&"y".repeat(bytes))].concat()
}

/// A text with its length in front (RFC 7541, section 5).
fn text(text: &str) -> Vec<u8> {
    const INLINE_MAX: usize = 127;
    let mut bytes = Vec::new();
    if text.len() < INLINE_MAX {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(0x7f);
        let mut rest = text.len() - INLINE_MAX;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
    }
    [&bytes, text.as_bytes()].concat()
}

/// The frames of what was read, as far as they are whole.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(head) = bytes.get(..9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some(payload) = bytes.get(9..9 + length) else {
            break;
        };
        frames.push(Frame {
            kind: head[3],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            payload: payload.to_vec(),
        });
        bytes = &bytes[9 + length..];
    }
    frames
}

/// Reads until what has come is enough.
pub(crate) fn read_until(connection: &mut TcpStream, is_enough: impl Fn(&[Frame]) -> bool) -> Vec<Frame> {
    let (mut read, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let seen = frames(&read);
        if is_enough(&seen) {
            return seen;
        }
        let more = connection.read(&mut piece).expect("something comes");
        assert!(more > 0, "the connection is closed after {seen:?}");
        read.extend_from_slice(&piece[..more]);
    }
}
