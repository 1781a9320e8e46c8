//! slowhttptest, which others made to bring servers down, against the gateway: heads, bodies and readers that are slow.
//!
//! `cargo xtask test` installs it and says so in `TOLLGATE_TEST_SLOWHTTPTEST`; without it this is skipped.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::flood::Pace;
use crate::sdk::setting;
use crate::world::{World, completion};

/// Each mode with what it needs beside it: a body is slow where one is read, which is where a key is shown.
const MODES: [(&str, &[&str]); 3] = [
    ("slow heads", &["-H", "-u", "/livez"]),
    (
        "slow bodies",
        &["-B", "-u", "/v1/chat/completions", "-f", "application/json"],
    ),
    (
        "slow readers",
        &["-X", "-u", "/livez", "-k", "10", "-w", "1", "-y", "64"],
    ),
];

#[test]
fn slow_clients_are_shown_out_and_harm_nobody() {
    let Some(program) = setting("TOLLGATE_TEST_SLOWHTTPTEST") else {
        return;
    };
    let vendor = Vendor::start(|_| Play::json(200, completion()));
    let world = World::with(TestDatabase::sqlite(), &vendor.base_url(), |installation| {
        ["HEAD", "BODY", "IDLE", "WRITE_STALL"]
            .into_iter()
            .fold(installation, |installation, limit| {
                installation.set(&format!("TOLLGATE_{limit}_TIMEOUT"), "2s")
            })
    });
    for (name, mode) in MODES {
        let mut pace = Pace::default();
        pace.alone(&world);
        pace.alone(&world);
        let resident = world.serving.resident_kib();
        let arguments = mode.iter().map(|argument| match argument.strip_prefix('/') {
            Some(path) => world.serving.endpoint(&format!("/{path}")),
            None => (*argument).to_owned(),
        });
        let before = open_files(&world);
        let mut command = Command::new(&program);
        command.args(arguments).args([
            "-c",
            &CONNECTIONS.to_string(),
            "-r",
            &CONNECTIONS.to_string(),
            "-i",
            "1",
            "-l",
            "12",
            "-p",
            "5",
        ]);
        let attack = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_until(name, || open_files(&world) > before + MANY);
        pace.beside(&world);
        let grown = world.serving.resident_kib().saturating_sub(resident);
        assert!(grown < CONNECTIONS * EACH_KIB, "{name}: {grown} KiB more");
        // The limits are 2 s, and nobody connects after the first seconds.
        wait_until(name, || open_files(&world) < before + FEW);
        let output = attack.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        pace.alone(&world);
        println!("{name}: {grown} KiB more");
        pace.holds(name);
        let available = said.lines().filter(|line| line.contains("service available:"));
        let available: Vec<bool> = available.map(|line| line.contains("YES")).collect();
        assert!(
            !available.is_empty() && !available.contains(&false),
            "{name}: {said}"
        );
    }
}

const CONNECTIONS: u64 = 300;
/// What each may take of memory, with all that it has sent.
const EACH_KIB: u64 = 64;
const MANY: usize = 200;
/// Connections to the vendor come and go.
const FEW: usize = 20;
const PATIENCE: Duration = Duration::from_secs(10);

fn open_files(world: &World) -> usize {
    let folder = format!("/proc/{}/fd", world.serving.process_id());
    fs::read_dir(folder).unwrap().count()
}

#[track_caller]
fn wait_until(name: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{name}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
