//! Clients that mean harm, beside clients that do not: the good ones are served, memory stays bounded, and the bad ones
//! are shown out.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::client;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::frames::{
    self, CONTINUATION, DATA, END_STREAM, Frame, GOAWAY, HEADERS, RST_STREAM, frame, get, long_header,
};
use crate::raw::{connect, raise_open_files};
use crate::world::{World, completion, request};

const IDLE: usize = 10_000;
const SLOW: usize = 500;
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
const LATE: Duration = Duration::from_secs(2);
const BLOCKS: usize = 3;
/// Why a stream is reset, or a connection ended (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// How long good calls take, by themselves and beside something.
#[derive(Default)]
pub(crate) struct Pace {
    alone: Vec<Duration>,
    beside: Vec<Duration>,
}

/// In a block of calls that are measured together.
const CALLS: usize = 200;
/// Beside twice the time: what a few turns of the scheduler are to a call that takes a millisecond, when those who attack and
/// other tests have the same cores. One that waits for somebody who is slow waits for seconds.
const TURN: Duration = Duration::from_millis(20);

impl Pace {
    pub(crate) fn alone(&mut self, world: &World) {
        self.alone.push(good_calls(world));
    }

    pub(crate) fn beside(&mut self, world: &World) {
        self.beside.push(good_calls(world));
    }

    /// All but one in a hundred take at most twice as long as by themselves, in the middle one of the blocks.
    #[track_caller]
    pub(crate) fn holds(self, what: &str) {
        let [alone, beside] = [self.alone, self.beside].map(|mut blocks| {
            blocks.sort_unstable();
            blocks[blocks.len() / 2]
        });
        println!("{what}: p99 of good calls {beside:?}, {alone:?} alone");
        assert!(
            beside <= alone * 2 + TURN,
            "{what}: {alone:?} alone, {beside:?} beside"
        );
    }
}

/// Makes good calls, all of which have to succeed; the time that all but one in a hundred took less than.
fn good_calls(world: &World) -> Duration {
    let body = request("custom/any", false);
    let endpoint = world.serving.endpoint("/v1/chat/completions");
    let mut took: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let started = Instant::now();
            assert_eq!(client::post(&endpoint, &world.key, &body).status, 200);
            started.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[test]
fn idle_and_slow_connections_do_not_hurt_the_others() {
    let files = raise_open_files();
    if files < 12_000 {
        return testkit::skip(&format!("this process may have only {files} open files"));
    }
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_CONNECTIONS_MAX", "20000")
            .set("TOLLGATE_HEAD_TIMEOUT", "20s")
    });
    let mut pace = Pace::default();
    for _ in 0..BLOCKS {
        pace.alone(&world);
    }
    let mut idle: Vec<TcpStream> = (0..IDLE).map(|_| connect(&world)).collect();
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect(&world)).collect();
    let opened = Instant::now();
    for connection in &mut slow {
        connection.write_all(b"GET /livez HTTP/1.1\r\nhost: ").unwrap();
    }
    let mut trickling: Vec<TcpStream> = slow.iter().map(|slow| slow.try_clone().unwrap()).collect();
    let trickle = std::thread::spawn(move || {
        while opened.elapsed() < HEAD_TIMEOUT {
            trickling.retain_mut(|slow| slow.write_all(b"a").is_ok());
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    for _ in 0..BLOCKS {
        pace.beside(&world);
    }
    let resident = world.serving.resident_kib() / 1024;
    println!("{resident} MiB resident beside {IDLE} idle and {SLOW} slow connections");
    assert!(resident < 300, "{resident} MiB");
    for connection in idle.iter_mut().chain(&mut slow) {
        let left = (HEAD_TIMEOUT + LATE).saturating_sub(opened.elapsed());
        connection
            .set_read_timeout(Some(left.max(Duration::from_millis(1))))
            .unwrap();
        let mut told = Vec::new();
        if let Err(error) = connection.read_to_end(&mut told) {
            assert!(
                error.kind() != std::io::ErrorKind::WouldBlock,
                "a connection stays open"
            );
        }
    }
    trickle.join().unwrap();
    for _ in 0..BLOCKS {
        pace.alone(&world);
    }
    pace.holds("beside idle and slow connections");
}

/// Frames, or pairs of them, in one flood.
const FRAMES: u32 = 10_000;
/// Of those, a few are looked at before the rest is too much.
const LOOKED_AT: u32 = FRAMES / 50;

/// Streams that are opened and reset at once.
fn rapid_reset() -> Vec<u8> {
    let one = |number: u32| {
        let stream = number * 2 + 1;
        [
            frames::request(stream, END_STREAM, &get("/livez")),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
        .concat()
    };
    (0..FRAMES).flat_map(one).collect()
}

/// Headers without an end.
fn continuations() -> Vec<u8> {
    let rest = frame(CONTINUATION, 0, 1, &long_header(100));
    [frame(HEADERS, 0, 1, &get("/livez")), rest.repeat(FRAMES as usize)].concat()
}

/// A body of nothing.
fn empty_data() -> Vec<u8> {
    let head = [&[0x83][..], &get("/livez")[1..]].concat();
    [
        frames::request(1, 0, &head),
        frame(DATA, 0, 1, b"").repeat(FRAMES as usize),
    ]
    .concat()
}

/// A header of 4000 bytes is put into the table once, and then named by one byte each time.
fn hpack_bomb() -> Vec<u8> {
    let stored = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000]].concat();
    let one = |number: u32| {
        let stored = if number == 0 { stored.clone() } else { Vec::new() };
        let block = [get("/livez"), stored, vec![0xbe; 8_000]].concat();
        frames::request(number * 2 + 1, END_STREAM, &block)
    };
    (0..100).flat_map(one).collect()
}

/// Its name, and its bytes.
type Flood = (&'static str, fn() -> Vec<u8>);

/// No time-out ends any of these connections: they end because of what comes on them.
#[test]
fn floods_of_frames_end_with_the_connection() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation
            .set("TOLLGATE_HEAD_TIMEOUT", "10m")
            .set("TOLLGATE_IDLE_TIMEOUT", "10m")
    });
    let floods: [Flood; 4] = [
        ("rapid reset", rapid_reset),
        ("continuations", continuations),
        ("empty data", empty_data),
        ("hpack bomb", hpack_bomb),
    ];
    for (name, flood) in floods {
        let before = world.serving.resident_kib() / 1024;
        let mut pace = Pace::default();
        for _ in 0..BLOCKS {
            pace.alone(&world);
            let mut connection = connect(&world);
            let mut writing = connection.try_clone().unwrap();
            let bytes = [frames::begin(), flood()].concat();
            // It may be closed before all of it is written.
            let written = std::thread::spawn(move || drop(writing.write_all(&bytes)));
            pace.beside(&world);
            shown_out(name, &mut connection);
            written.join().unwrap();
        }
        let grown = (world.serving.resident_kib() / 1024).saturating_sub(before);
        println!("{name}: {grown} MiB more");
        assert!(grown < 20, "{name}: {grown} MiB more");
        pace.holds(name);
    }
}

/// The gateway says that it goes, and how far it has come, and goes.
fn shown_out(name: &str, connection: &mut TcpStream) {
    let mut read = Vec::new();
    if let Err(error) = connection.read_to_end(&mut read) {
        assert!(
            error.kind() != std::io::ErrorKind::WouldBlock,
            "{name}: the connection stays open"
        );
    }
    let frames = frames::frames(&read);
    let farewell = frames.iter().rfind(|frame| frame.kind == GOAWAY);
    let farewell = farewell.unwrap_or_else(|| panic!("{name}: {frames:?}"));
    let (last, why) = (farewell.number(0), farewell.number(1));
    assert!(last / 2 < LOOKED_AT, "{name}: {last} was the last of its streams");
    assert_eq!(why, ENHANCE_YOUR_CALM, "{name}");
}

/// What a connection in HTTP/2 may hold is told to its client, and kept to.
#[test]
fn a_connection_in_http2_has_a_hundred_streams_and_32_kib_of_headers() {
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        installation.set("TOLLGATE_BODY_TIMEOUT", "10m")
    });
    let mut connection = connect(&world);
    // Each waits for its body.
    let streams = (0..101).map(|number| frames::request(number * 2 + 1, 0, &frames::chat(&world.key)));
    let bytes = [frames::begin(), streams.flatten().collect()].concat();
    connection.write_all(&bytes).unwrap();
    let is_reset = |frame: &Frame| frame.kind == RST_STREAM;
    let frames = frames::read_until(&mut connection, |frames| frames.iter().any(is_reset));
    let told: Vec<&[u8]> = frames[0].payload.chunks(6).collect();
    assert!(told.contains(&&[0, 3, 0, 0, 0, 100][..]), "streams: {told:?}");
    assert!(told.contains(&&[0, 6, 0, 0, 0x80, 0][..]), "headers: {told:?}");
    let reset: Vec<&Frame> = frames.iter().filter(|frame| is_reset(frame)).collect();
    assert_eq!(
        (reset.len(), reset[0].stream, reset[0].number(0)),
        (1, 201, REFUSED_STREAM)
    );

    let mut connection = connect(&world);
    let with = |stream: u32, bytes: usize| {
        let block = [get("/livez"), long_header(bytes)].concat();
        frames::request(stream, END_STREAM, &block)
    };
    let bytes = [frames::begin(), with(1, 31 << 10), with(3, 33 << 10)].concat();
    connection.write_all(&bytes).unwrap();
    let heads = |frames: &[Frame]| -> Vec<(u32, u16)> {
        let heads = frames
            .iter()
            .filter_map(|frame| Some((frame.stream, frame.status()?)));
        let mut heads: Vec<_> = heads.collect();
        heads.sort_unstable();
        heads
    };
    let frames = frames::read_until(&mut connection, |frames| heads(frames).len() == 2);
    assert_eq!(heads(&frames), [(1, 200), (3, 431)]);
}
