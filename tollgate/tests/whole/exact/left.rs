//! Clients that go away before anything was sent for them.

use testkit::chaos::Weather;
use testkit::client;
use testkit::load::Caller;

use super::fleet::{Fleet, a_day, until};
use super::provider::Provider;
use crate::world::request;

const CAP: usize = 40;
/// How many leave at a time.
const LEAVE: usize = 8;

/// Whether they leave while their tenant is looked up, while units are asked for, or in the middle of what they say: nobody
/// is asked in their name, and what was set aside for them is there for others.
#[test]
fn clients_that_leave_before_the_provider_is_asked_use_nothing() {
    let Some(mut fleet) = Fleet::new_of(1, Provider::start()) else {
        return;
    };
    fleet.limit("tenant:acme", &a_day(CAP));
    fleet.start();
    let way = |fleet: &Fleet, weather| fleet.replicas[0].chaos.as_ref().unwrap().set(weather);
    // Nobody knows the tenant yet, and nobody can be asked.
    way(&fleet, Weather::Hole);
    // Whoever goes before anything was read of what it says has not called.
    until("it is counted who leaves", || {
        leave(&fleet);
        ended_with(&fleet, "0") > 0
    });
    way(&fleet, Weather::Fair);
    until("served", || fleet.call(0).status == 200);
    assert_eq!(fleet.provider.count(), 1);
    // What is at hand is used, and no more can be had.
    way(&fleet, Weather::Hole);
    until("nothing is left at hand", || fleet.call(0).status != 200);
    let asked = fleet.provider.count();
    leave(&fleet);
    way(&fleet, Weather::Fair);
    until("served", || fleet.call(0).status == 200);
    assert_eq!(fleet.provider.count(), asked + 1);
    leave_in_a_body(&fleet);
    let served = fleet.use_up();
    assert_eq!(asked + 1 + served, CAP);
    let checked = fleet.check();
    assert_eq!((fleet.provider.count(), checked.rows.len()), (CAP, CAP));
    assert_eq!((checked.burnt(), checked.outstanding()), (0, 0));
}

/// Some ask, and go away when they are connected.
fn leave(fleet: &Fleet) {
    let callers = (0..LEAVE).map(|_| {
        let mut caller = Caller::new(&fleet.replicas[0].address.get(), &fleet.key);
        caller.ask(&request("custom/m", false)).unwrap();
        caller
    });
    let callers: Vec<Caller> = callers.collect();
    until("all are connected", || {
        fleet.replicas[0].figure("tollgate_connections_open") >= LEAVE as u64
    });
    drop(callers);
    until("all are gone", || {
        fleet.replicas[0].figure("tollgate_connections_open") == 0
    });
}

/// The same, in the middle of what they say.
fn leave_in_a_body(fleet: &Fleet) {
    use std::io::Write as _;
    let before = ended_with(fleet, "400");
    let body = request("custom/m", false);
    for _ in 0..LEAVE {
        let address = fleet.replicas[0].address.get();
        let address = address.trim_start_matches("http://");
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            fleet.key,
            body.len() + 1
        );
        connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
    until("all are counted", || {
        ended_with(fleet, "400") == before + LEAVE as u64
    });
}

/// How many calls have ended with this status; 0 where their client was gone before there was one.
fn ended_with(fleet: &Fleet, status: &str) -> u64 {
    let figures = client::get(&fleet.replicas[0].serving().metrics(), "").body;
    let figures = String::from_utf8(figures).unwrap();
    let status = format!("http_response_status_code=\"{status}\"");
    let calls = figures
        .lines()
        .filter(|line| line.starts_with("tollgate_calls_total{") && line.contains(&status));
    calls
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum()
}
