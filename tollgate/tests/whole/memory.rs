//! What open streams take is given back to the system when they are over, also when nobody calls afterwards.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::database::TestDatabase;
use testkit::vendor::{End, Play, Vendor};

use crate::raw::{connect, raise_open_files};
use crate::world::{World, chunk, request};

const STREAMS: usize = 800;
const PATIENCE: Duration = Duration::from_secs(30);
/// When memory has not fallen for this long, it will not: freed pages go back within a second.
const STEADY: Duration = Duration::from_secs(3);

#[test]
fn memory_of_streams_is_given_back() {
    let files = raise_open_files();
    if files < 5_000 {
        return testkit::skip(&format!("this process may have only {files} open files"));
    }
    let vendor = Vendor::start(|_| Play::stream(vec![chunk("a", None)]).end(End::Hang));
    let world = World::new(TestDatabase::sqlite(), &vendor);
    // What the first wave takes for good, such as room for booking so many rows at once, is no matter of streams.
    drop(wave(&world));
    let before = lowest_mib(&world);
    let streams = wave(&world);
    let open = resident_mib(&world);
    drop(streams);
    let after = lowest_mib(&world);
    println!("{STREAMS} streams: {before} MiB before, {open} open, {after} after");
    assert!(open > before + 10, "{before} MiB before, {open} open");
    let enough = before + open.saturating_sub(before) / 3;
    assert!(after <= enough, "{before} MiB before, {open} open, {after} after");
}

fn wave(world: &World) -> Vec<TcpStream> {
    (0..STREAMS).map(|_| opened(world)).collect()
}

/// What it comes down to.
fn lowest_mib(world: &World) -> u64 {
    let begun = Instant::now();
    let (mut lowest, mut since) = (u64::MAX, begun);
    while since.elapsed() < STEADY && begun.elapsed() < PATIENCE {
        let now = resident_mib(world);
        if now < lowest {
            (lowest, since) = (now, Instant::now());
        }
        sleep(Duration::from_millis(100));
    }
    lowest
}

fn resident_mib(world: &World) -> u64 {
    world.serving.resident_kib() / 1024
}

/// A stream of which the first chunk has come.
fn opened(world: &World) -> TcpStream {
    let mut connection = connect(world);
    let body = request("custom/any", true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        world.key,
        body.len()
    );
    connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut read = Vec::new();
    while !read.windows(6).any(|window| window == b"data: ") {
        let mut some = [0; 4_096];
        let count = connection.read(&mut some).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    connection
}
