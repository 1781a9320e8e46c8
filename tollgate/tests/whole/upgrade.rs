//! Going down and up: nothing is cut, whether a process ends or another takes its place.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::client;
use testkit::database::TestDatabase;
use testkit::load::{Called, Caller, Load};
use testkit::process::{Installation, Serving};
use testkit::vendor::{End, Play, Vendor};

use crate::exact::{Checked, Provider, Script};
use crate::world::{DONE, World, chunk, request, usage_chunk};

const CALLS: usize = 20_000;
const ROUNDS: usize = 4;
const CHUNKS: usize = 20;

/// A gateway whose address stays the same from now on.
fn world(vendor: &Vendor, settings: impl FnOnce(Installation) -> Installation) -> World {
    world_of(&vendor.base_url(), settings)
}

fn world_of(base_url: &str, settings: impl FnOnce(Installation) -> Installation) -> World {
    let mut world = World::with(TestDatabase::sqlite(), base_url, settings);
    let address = world.serving.url().trim_start_matches("http://").to_owned();
    world.installation = world.installation.set("TOLLGATE_LISTEN", &address);
    world
}

fn slow_vendor() -> Vendor {
    Vendor::start(|_| slow_stream([]))
}

fn slow_stream<const N: usize>(usage: [Vec<u8>; N]) -> Play {
    let chunks = (1..CHUNKS).map(|_| chunk("a", None));
    let chunks = chunks.chain([chunk("b", Some("stop"))]).chain(usage);
    Play::stream(chunks.chain([DONE.to_vec()])).pause(Duration::from_millis(20))
}

fn is_whole(called: &Called) -> bool {
    let events = called.body.windows(5).filter(|bytes| *bytes == b"data:").count();
    called.status == 200 && called.body.ends_with(DONE) && events == CHUNKS + 1
}

#[test]
fn f03_an_upgrade_under_load_cuts_nothing_and_loses_nothing() {
    // Who has not asked for usage is not told it: the client hears what it would hear otherwise.
    let provider = Provider::with(|_, _| Script::whole(slow_stream([usage_chunk()]), (3, 2)));
    let World {
        mut serving,
        installation,
        key,
        database,
    } = world_of(&provider.base_url(), |installation| {
        installation
            .set("TOLLGATE_DRAIN_LINGER", "1s")
            .set("TOLLGATE_LOG", "warn,gateway=off")
    });
    let url = serving.url().to_owned();
    let is_good = |called: &Called| called.status == 200;
    let (echo, stream) = (request("echo-1", false), request("custom/m", true));
    let kept = || Caller::new(&url, &key);
    let fresh = || Caller::new(&url, &key).fresh();
    let loads = [
        Load::start(4, Duration::ZERO, kept, &echo, is_good),
        Load::start(2, Duration::from_millis(100), kept, &echo, is_good),
        Load::start(4, Duration::ZERO, fresh, &echo, is_good),
        Load::start(6, Duration::ZERO, kept, &stream, is_whole),
    ];
    let called = || loads.iter().map(Load::called).sum::<usize>();
    for round in 1..=ROUNDS {
        let begun = called();
        let next = installation.take_over();
        assert_eq!(next.url(), url);
        let before = std::mem::replace(&mut serving, next);
        assert!(before.ended().success());
        let deadline = Instant::now() + Duration::from_secs(60);
        while called() < (CALLS * round / ROUNDS).max(begun + 100) {
            assert!(Instant::now() < deadline, "calls stand still");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let reports = loads.map(Load::stop);
    for (what, report) in [
        "on kept connections",
        "the same, rarely",
        "on fresh ones",
        "streams",
    ]
    .iter()
    .zip(&reports)
    {
        println!(
            "{what}: {} calls, {} failed, {} connections",
            report.took.len(),
            report.failed.len(),
            report.opened
        );
        assert_eq!(report.failed, Vec::<String>::new(), "{what}");
    }
    let took = reports.iter().map(|report| report.took.len()).sum::<usize>();
    assert!(took >= CALLS);
    assert!(serving.stop().success());
    let checked = Checked::of(&installation, database.url(), &provider.asked());
    assert_eq!(checked.rows.len(), took);
}

#[test]
fn who_asks_to_take_over_and_goes_away_has_changed_nothing() {
    let vendor = slow_vendor();
    let world = world(&vendor, |installation| installation);
    let data = world.installation.folder().join("data");
    let socket = std::fs::read_dir(&data)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sock"));
    drop(UnixStream::connect(socket.unwrap()).unwrap());
    let answer = client::get(&world.serving.endpoint("/readyz"), "");
    assert_eq!(answer.status, 200);
    let next = world.installation.take_over();
    assert!(world.serving.ended().success());
    assert_eq!(client::get(&next.endpoint("/readyz"), "").status, 200);
    // With nobody there any more, it just starts.
    assert!(next.stop().success());
    let left = std::fs::read_dir(&data).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains(".sock")
    });
    assert_eq!(left.count(), 0);
    let alone = world.installation.take_over();
    assert_eq!(client::get(&alone.endpoint("/readyz"), "").status, 200);
}

#[test]
fn a_kept_connection_is_told_before_it_is_closed() {
    let vendor = slow_vendor();
    let world = world(&vendor, |installation| installation);
    let mut caller = Caller::new(world.serving.url(), &world.key);
    let mut idle = Caller::new(world.serving.url(), &world.key);
    let mut streaming = Caller::new(world.serving.url(), &world.key);
    for caller in [&mut caller, &mut idle] {
        let called = caller.call(&request("echo-1", false)).unwrap();
        assert_eq!((called.status, called.header("connection")), (200, ""));
    }
    let stream = std::thread::spawn(move || {
        let stream = streaming.call(&request("custom/m", true)).unwrap();
        assert!(is_whole(&stream));
        // And one more on the connection that the stream had, unless its head was late enough to say that it ends.
        stream.header("connection") == "close"
            || streaming
                .call(&request("echo-1", false))
                .is_ok_and(|called| called.status == 200)
    });
    assert!(vendor.wait_until_asked(1));
    world.serving.signal("-TERM");
    drains(&world.serving);
    // Each worker lets go of its socket when it learns of it, which takes a moment.
    let address = world.serving.url().trim_start_matches("http://");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "somebody is taken still");
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = caller.call(&request("echo-1", false)).unwrap();
    assert_eq!((told.status, told.header("connection")), (200, "close"));
    assert!(stream.join().unwrap());
    assert_eq!(caller.opened, 1);
    let begun = Instant::now();
    assert!(world.serving.ended().success());
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "a silent connection is closed"
    );
}

#[test]
fn an_http_2_connection_is_told_at_once_and_its_streams_end_whole() {
    let vendor = slow_vendor();
    let world = world(&vendor, |installation| installation);
    let address = world.serving.url().trim_start_matches("http://").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(async {
        let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection);
        let asked = hyper::Request::post(world.serving.endpoint("/v1/chat/completions"))
            .header("authorization", format!("Bearer {}", world.key))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(request("custom/m", true))));
        let answer = sender.send_request(asked.unwrap()).await.unwrap();
        world.serving.signal("-TERM");
        let told = Instant::now();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(DONE));
        // With nothing under way any more it is closed, without the while that others are given.
        assert!(connection.await.unwrap().is_ok());
        assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
    });
    assert!(world.serving.ended().success());
}

#[test]
fn who_asks_twice_means_at_once() {
    let vendor = Vendor::start(|_| Play::stream([chunk("a", None)]).end(End::Hang));
    let world = world(&vendor, |installation| {
        installation.set("TOLLGATE_DRAIN_TIMEOUT", "10m")
    });
    let mut caller = Caller::new(world.serving.url(), &world.key);
    let stream = std::thread::spawn(move || caller.call(&request("custom/m", true)).is_ok());
    assert!(vendor.wait_until_asked(1));
    world.serving.signal("-TERM");
    drains(&world.serving);
    world.serving.signal("-INT");
    let told = Instant::now();
    assert!(world.serving.ended().success());
    assert!(told.elapsed() < Duration::from_secs(10));
    assert!(!stream.join().unwrap(), "it was cut off");
}

#[test]
fn who_is_queued_when_the_gateway_is_told_to_stop_is_served() {
    let vendor = slow_vendor();
    let world = world(&vendor, |installation| {
        installation.set("TOLLGATE_DRAIN_LINGER", "200ms")
    });
    let address = world.serving.url().trim_start_matches("http://").to_owned();
    let body = request("echo-1", false);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        world.key,
        body.len()
    );
    // It cannot accept while it is stopped; the kernel queues.
    world.serving.signal("-STOP");
    let queued: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
            stream
        })
        .collect();
    world.serving.signal("-TERM");
    world.serving.signal("-CONT");
    for mut stream in queued {
        let mut answer = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert!(world.serving.ended().success());
}

fn drains(serving: &Serving) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(serving.url().trim_start_matches("http://")).is_ok() {
        assert!(Instant::now() < deadline, "it does not drain: {}", serving.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}
