//! A client that is no HTTP library: a connection to the gateway, byte by byte.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(30);

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
