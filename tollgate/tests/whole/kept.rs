//! Connections to providers that are kept: one that was closed meanwhile is passed over, and what may have been read by a
//! provider is never sent again.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use testkit::database::TestDatabase;

use crate::raw::read_request;
use crate::world::{World, completion, request};

/// A provider whose connections are led by `lead`, which is told how many there have been.
fn led(lead: impl Fn(&mut TcpStream, usize) -> std::io::Result<()> + Send + 'static) -> World {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    thread::spawn(move || {
        for number in 0.. {
            let Ok((mut connection, _)) = listener.accept() else {
                return;
            };
            // What ends one connection does not end the next.
            let _ended = lead(&mut connection, number);
        }
    });
    // With one worker, the next call finds the connection of the last.
    World::with(TestDatabase::sqlite(), &base_url, |installation| {
        installation.set("TOLLGATE_WORKERS", "1")
    })
}

fn answer(out: &mut TcpStream) -> std::io::Result<()> {
    let body = completion();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    out.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// Closes without a word, and waits until the other side has closed too.
fn close(connection: &mut TcpStream) -> std::io::Result<()> {
    connection.shutdown(std::net::Shutdown::Write)?;
    let read = connection.read(&mut [0])?;
    assert_eq!(read, 0, "a request on a closed connection");
    Ok(())
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_passed_over() {
    let (tell, closed) = mpsc::channel();
    let world = led(move |connection, _| {
        while read_request(connection)? {
            answer(connection)?;
            tell.send(close(connection).is_ok()).unwrap();
        }
        Ok(())
    });
    for _ in 0..20 {
        assert_eq!(world.chat(&request("custom/any", false)).status, 200);
        assert!(closed.recv().unwrap());
    }
}

/// A provider that closes when it has read a request, or a part of it, may have begun to work on it.
#[test]
fn what_may_have_been_read_is_not_sent_again() {
    let large = String::from_utf8(request("custom/any", false))
        .unwrap()
        .replace("three", &"x".repeat(4 << 20))
        .into_bytes();
    for (name, body, read) in [
        ("a whole request", request("custom/any", false), usize::MAX),
        ("its head", large.clone(), 100),
        ("half of it", large, 1 << 20),
    ] {
        let begun = Arc::new(Mutex::new(0));
        let count = begun.clone();
        let world = led(move |connection, number| {
            if number > 0 {
                *count.lock().unwrap() += 1;
                return Ok(());
            }
            read_request(connection)?;
            answer(connection)?;
            let mut buffer = [0; 4096];
            let mut left = read;
            while left > 0 {
                let part = left.min(buffer.len());
                let got = connection.read(&mut buffer[..part])?;
                if got == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                left -= got;
                if read == usize::MAX && buffer[..got].ends_with(b"}") {
                    break;
                }
            }
            // Closed with what was not read, it is reset.
            Ok(())
        });
        assert_eq!(world.chat(&request("custom/any", false)).status, 200);
        let answer = world.chat(&body);
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].clone()),
            (502, "provider_unreachable".into()),
            "{name}"
        );
        assert_eq!(*begun.lock().unwrap(), 0, "{name}: sent again");
        let outcomes: Vec<String> = world.ledger(2).into_values().map(|row| row.outcome).collect();
        assert!(
            outcomes.iter().any(|outcome| outcome == "unreachable") && outcomes.len() == 2,
            "{name}: {outcomes:?}"
        );
    }
}
