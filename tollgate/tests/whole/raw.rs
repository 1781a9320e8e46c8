//! Clients and providers that are no HTTP library: what goes over their connections, byte by byte.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(30);

/// Lets this process open as many files as it may, and says how many that are.
pub(crate) fn raise_open_files() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// A connection on which nothing has been said.
pub(crate) fn connect(world: &World) -> TcpStream {
    let connection = TcpStream::connect(world.serving.url().trim_start_matches("http://")).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection
}

/// Reads until the connection is closed. It may also be reset; what came before is what counts.
pub(crate) fn read_to_end(connection: &mut TcpStream) -> String {
    let mut read = Vec::new();
    if let Err(error) = connection.read_to_end(&mut read) {
        assert!(error.kind() != ErrorKind::WouldBlock, "the connection stays open");
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A provider that answers each connection's first request with what `answer` writes, and then closes it.
pub(crate) fn provider(
    answer: impl Fn(&mut TcpStream) -> std::io::Result<()> + Copy + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            thread::spawn(move || {
                if let Ok(true) = read_request(&mut connection) {
                    // Most of these are cut off.
                    let _cut = answer(&mut connection);
                }
            });
        }
    });
    base_url
}

/// Reads a request with a small body; false when there is none.
pub(crate) fn read_request(connection: &mut impl Read) -> std::io::Result<bool> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while !read.ends_with(b"}") {
        match connection.read(&mut buffer)? {
            0 => return Ok(false),
            count => read.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(true)
}

/// A head, and after it the same again and again.
pub(crate) fn endless(out: &mut TcpStream, head: &str, part: &[u8]) -> std::io::Result<()> {
    out.write_all(head.as_bytes())?;
    let part = part.repeat((64 << 10) / part.len() + 1);
    // More than any limit, and than memory should take.
    for _ in 0..4_096 {
        out.write_all(&part)?;
    }
    Ok(())
}
