//! What holds for whatever is said on a connection: each answer is one, a head is let through only when it can be read
//! in one way, as it is read by a reader of our own, and all of it holds however the bytes arrive.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;

#[path = "../../server/src/front.rs"]
mod front;

/// A request as it is to be understood. What is the same in two of them is understood in the same way.
#[derive(Debug, PartialEq)]
struct Head {
    method: String,
    target: String,
    /// Names in small letters, and in order.
    headers: Vec<(String, Vec<u8>)>,
}

/// What became of a connection.
#[derive(Debug, PartialEq)]
struct Served {
    let_through: Vec<Head>,
    refused: usize,
    answers: Vec<(u16, bool)>,
}

/// A connection in memory: what the client says and, from there on, that it has no more to say.
struct Wire<'a> {
    unread: &'a [u8],
    piece: usize,
    written: Vec<u8>,
}

/// The first byte says in what pieces the rest arrives.
pub fn check(bytes: &[u8]) {
    let Some((piece, said)) = bytes.split_first() else {
        return;
    };
    let served = serve(said, said.len().max(1));
    agree(&serve(said, usize::from(*piece) + 1), &served);
    let most = served.let_through.len() + served.refused + 1;
    let answers = &served.answers;
    assert!(
        answers.len() <= most,
        "{} answers to {most} requests",
        answers.len()
    );
    let last = answers.iter().position(|(_, closes)| *closes);
    assert!(
        last.is_none_or(|at| at + 1 == answers.len()),
        "more after the last answer"
    );
    are_clear(said, &served.let_through);
}

/// However the bytes arrive, the same requests are served. What is wrong with a head that never ends may be seen or not.
fn agree(one: &Served, other: &Served) {
    assert_eq!(
        (&one.let_through, one.refused),
        (&other.let_through, other.refused),
        "in pieces"
    );
    let common = one.answers.len().min(other.answers.len());
    assert_eq!(
        one.answers.get(..common),
        other.answers.get(..common),
        "in pieces"
    );
    for rest in [one, other].map(|served| served.answers.get(common..).unwrap_or_default()) {
        assert!(matches!(rest, [] | [(400.., true)]), "in pieces: {rest:?}");
    }
}

/// Reads along: each head that was let through has to be readable by rule, up to a body of which only its own chunks
/// say how long it is.
fn are_clear(said: &[u8], let_through: &[Head]) {
    let mut rest = said;
    for (number, head) in let_through.iter().enumerate() {
        let (read, framing, length) =
            Head::read(rest).unwrap_or_else(|why| panic!("let through, though {why}"));
        assert_eq!(read, *head, "read in two ways");
        match framing {
            Framing::Length(body) => rest = rest.get(length.saturating_add(body)..).unwrap_or_default(),
            Framing::Chunked => return,
            // A reader that goes by the other one of the two sees another request behind it. There must be none.
            Framing::Both => assert_eq!(number + 1, let_through.len(), "more behind two lengths"),
        }
    }
}

fn serve(said: &[u8], piece: usize) -> Served {
    let let_through = RefCell::new(Vec::new());
    let refused = RefCell::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        let checked = front::check(&request);
        match &checked {
            Ok(()) => let_through.borrow_mut().push(Head::of(&request)),
            Err(_) => *refused.borrow_mut() += 1,
        }
        async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            if let Err(refusal) = checked {
                *response.status_mut() = StatusCode::from_u16(refusal.code.status()).expect("a status");
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            } else {
                let mut body = request.into_body();
                while let Some(Ok(_)) = body.frame().await {}
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut wire = Wire {
        unread: said,
        piece,
        written: Vec::new(),
    };
    let mut connection = front::parser()
        // It is not the bytes that say what time it is.
        .auto_date_header(false)
        .serve_connection(&mut wire, service);
    let mut context = Context::from_waker(Waker::noop());
    // Nothing is waited for but the next turn of the library itself, of which each takes in something.
    let most = said.len() + 1_000;
    let ended = (0..most).any(|_| Pin::new(&mut connection).poll(&mut context).is_ready());
    assert!(ended, "the connection does not end");
    drop(connection);
    Served {
        let_through: let_through.into_inner(),
        refused: refused.into_inner(),
        answers: answers(&wire.written),
    }
}

/// The statuses of all final answers, and whether they say that they are the last. None of them has a body.
fn answers(mut written: &[u8]) -> Vec<(u16, bool)> {
    let mut answers = Vec::new();
    while !written.is_empty() {
        let end = written.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, rest) = written.split_at(end.expect("a whole head") + 4);
        written = rest;
        let head = std::str::from_utf8(head).expect("text").trim_end_matches("\r\n");
        let mut lines = head.split("\r\n");
        let status = lines.next().expect("a line");
        let (version, status) = status.split_once(' ').expect("a status line");
        assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "{version}");
        let status: u16 = status
            .get(..3)
            .and_then(|digits| digits.parse().ok())
            .expect("a status");
        assert!(matches!(status, 100 | 200 | 400..=431 | 501), "{status}");
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .collect();
        for (name, value) in &headers {
            assert!(!name.is_empty() && name.bytes().all(is_token), "{name}");
            assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{value}");
        }
        let is = |name, value| headers.contains(&(name, value));
        assert!(
            is("content-length", "0")
                || status < 200
                || headers.iter().all(|(name, _)| *name != "content-length")
        );
        // "Go on" is said or not, depending on how much of the body is there already.
        if status != 100 {
            // In the older version that is so unless the contrary is said (RFC 9112, section 9.3).
            let closes =
                is("connection", "close") || (version == "HTTP/1.0" && !is("connection", "keep-alive"));
            answers.push((status, closes));
        }
    }
    answers
}

/// How long the body is said to be.
enum Framing {
    Length(usize),
    Chunked,
    /// In chunks, and by a length that does not count (RFC 9112, section 6.3).
    Both,
}

impl Head {
    fn of(request: &Request<Incoming>) -> Self {
        Self::sorted(
            request.method().to_string(),
            request.uri().to_string(),
            lines_of(request.headers()),
        )
    }

    fn sorted(method: String, target: String, mut headers: Vec<(String, Vec<u8>)>) -> Self {
        headers.sort();
        Self {
            method,
            target,
            headers,
        }
    }

    /// Reads the first head by RFC 9112 alone, and says how long it is.
    fn read(said: &[u8]) -> Result<(Self, Framing, usize), &'static str> {
        let mut rest = said;
        let mut line = line(&mut rest)?;
        // Empty lines before a request are passed over (section 2.2).
        while line.is_empty() {
            line = self::line(&mut rest)?;
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the first line has not three words");
        };
        if method.is_empty() || !method.iter().copied().all(is_token) {
            return Err("the method is none");
        }
        if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
            return Err("the version is none");
        }
        let mut headers = Vec::new();
        loop {
            let line = self::line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            headers.push(header(line)?);
        }
        let framing = framing(&mut headers)?;
        let hosts = headers.iter().filter(|(name, _)| name == "host").count();
        if hosts > 1 || (hosts == 0 && version == b"HTTP/1.1") {
            return Err("it does not name one host");
        }
        // A fragment is for clients alone (RFC 9110, section 4.2.5): the library knows none.
        let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let head = Self::sorted(text(method), text(target), headers);
        Ok((head, framing, said.len() - rest.len()))
    }
}

fn lines_of(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let line =
        |(name, value): (&http::HeaderName, &HeaderValue)| (name.to_string(), value.as_bytes().to_vec());
    headers.iter().map(line).collect()
}

/// The next line. A line feed may end it alone (section 2.2); what must not be, is a reader that takes it for anything
/// else, so it is nowhere but there.
fn line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or("it has no end")?;
    let line = rest.get(..end).unwrap_or_default();
    *rest = rest.get(end + 1..).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
        return Err("there is a CR or NUL in a line");
    }
    Ok(line)
}

fn header(line: &[u8]) -> Result<(String, Vec<u8>), &'static str> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err("a line is folded");
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a header has no colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err("the name of a header is none");
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = value.get(1..).unwrap_or_default();
    let begin = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !blank(byte))
        .map_or(begin, |at| at + 1);
    let value = value.get(begin..end).unwrap_or_default();
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

/// How long the body is; a length that does not count, or is told a second time, is taken out.
fn framing(headers: &mut Vec<(String, Vec<u8>)>) -> Result<Framing, &'static str> {
    let of = |name: &str| -> Vec<Vec<u8>> {
        let named = headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.clone()).collect()
    };
    let (codings, mut lengths) = (of("transfer-encoding"), of("content-length"));
    let said = lengths.len();
    headers.retain(|(name, _)| name != "content-length");
    if let [coding, more @ ..] = &codings[..] {
        if !more.is_empty() || !coding.eq_ignore_ascii_case(b"chunked") {
            return Err("the coding of the body is another, or told twice");
        }
        return Ok(if said > 0 { Framing::Both } else { Framing::Chunked });
    }
    let number = |length: &Vec<u8>| -> Option<usize> {
        let digits = length.iter().all(u8::is_ascii_digit).then_some(length)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let numbers: Option<Vec<usize>> = lengths.iter().map(number).collect();
    let mut numbers = numbers.ok_or("the length of the body is no number")?;
    numbers.dedup();
    match numbers[..] {
        [] => Ok(Framing::Length(0)),
        [one] => {
            headers.push(("content-length".to_owned(), lengths.swap_remove(0)));
            Ok(Framing::Length(one))
        }
        _ => Err("there are two lengths of the body"),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl hyper::rt::Read for Wire<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let count = wire.piece.min(wire.unread.len()).min(buffer.remaining());
        let (piece, unread) = wire.unread.split_at(count);
        buffer.put_slice(piece);
        wire.unread = unread;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
