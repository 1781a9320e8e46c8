use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const STALL: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_secs(1);
/// How much later than its time something may be seen, on a busy machine.
const LATE: Duration = Duration::from_secs(5);

/// An answer that always has more, and tells when it is dropped.
struct Endless(mpsc::UnboundedSender<Instant>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1_000])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        let _untold = self.0.send(Instant::now());
    }
}

/// One frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A client whose streams begin with a window of so many bytes, and that has asked for an endless answer.
async fn ask(window: u32) -> (DuplexStream, mpsc::UnboundedReceiver<Instant>) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (dropped, drops) = mpsc::unbounded_channel();
    let limits = FrontLimits {
        write_stall: STALL,
        answer_timeout: ANSWER,
        ..FrontLimits::default()
    };
    let service = service_fn(move |_: http::Request<hyper::body::Incoming>| {
        let body = Told(Endless(dropped.clone()));
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let serving = http2::Builder::new(Streams::new(limits))
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(server), service);
    tokio::spawn(serving);
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    // `GET / http` with a host, by the static table of HPACK.
    let get = [&[0x82, 0x86, 0x84, 0x41, 7][..], b"gateway"].concat();
    let begin = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &settings),
        &frame(HEADERS, 5, 1, &get),
    ]
    .concat();
    client.write_all(&begin).await.unwrap();
    (client, drops)
}

/// Reads frames up to one that resets the stream.
async fn reset(client: &mut DuplexStream) {
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        client.read_exact(&mut vec![0; length]).await.unwrap();
        if head[3] == RST_STREAM {
            return;
        }
    }
}

#[tokio::test]
async fn an_answer_for_which_no_window_is_opened_is_given_up() {
    let begun = Instant::now();
    let (mut client, mut drops) = ask(0).await;
    let dropped = drops.recv().await.unwrap() - begun;
    assert!(dropped >= STALL && dropped < STALL + LATE, "{dropped:?}");
    reset(&mut client).await;
}

#[tokio::test]
async fn a_client_that_opens_its_window_now_and_then_has_as_long_as_an_answer_may_take() {
    let begun = Instant::now();
    let (mut client, mut drops) = ask(1_000).await;
    let window = frame(WINDOW_UPDATE, 0, 1, &1_000_u32.to_be_bytes());
    let dropped = loop {
        tokio::select! {
            dropped = drops.recv() => break dropped.unwrap() - begun,
            () = tokio::time::sleep(STALL / 10) => client.write_all(&window).await.unwrap(),
        }
    };
    assert!(dropped >= ANSWER && dropped < ANSWER + LATE, "{dropped:?}");
}
