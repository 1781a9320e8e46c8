//! Processes of the program of which it is written down what they ask of the system.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// A program that runs Node and writes these calls down, in this folder; none where there is no strace.
pub(super) fn traced_node(folder: &Path, calls: &str) -> Option<String> {
    let works = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .status();
    if !works.is_ok_and(|status| status.success()) {
        testkit::skip("there is no strace to see what a process does");
        return None;
    }
    // The program has a path of its own, on which neither would be found.
    let strace = found("strace");
    let run = format!(
        "exec {strace} -f -qq -s 4096 -e trace={calls} -o {}/trace.$$",
        folder.display()
    );
    Some(instead_of_node(folder, &run))
}

/// A program that runs Node after this.
pub(super) fn instead_of_node(folder: &Path, before: &str) -> String {
    let program = folder.join("node");
    let text = format!("#!/bin/bash\n{before} {} \"$@\"\n", found("node"));
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    program.display().to_string()
}

/// What was written down.
pub(super) fn lines(folder: &Path) -> Vec<String> {
    let traces = fs::read_dir(folder).unwrap().flatten();
    let traces = traces.filter(|entry| entry.file_name().to_string_lossy().starts_with("trace."));
    traces
        .flat_map(|trace| {
            let text = fs::read(trace.path()).unwrap();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn found(program: &str) -> String {
    let command = format!("command -v {program}");
    let found = Command::new("sh").args(["-c", &command]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().trim().to_owned()
}
