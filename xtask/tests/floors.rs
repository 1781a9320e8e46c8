//! The house stands as ARCHITECTURE.md says: its floor table equals the manifests, its paths exist, and the crates
//! that are pure stay so because what would make them impure is missing from their manifests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One row of the floor table.
struct Row {
    floor: u32,
    may_import: BTreeSet<String>,
}

/// The rows of `| floor | crate | subject | may import |`, by crate.
fn floor_table() -> BTreeMap<String, Row> {
    let map = read("ARCHITECTURE.md");
    let mut rows = BTreeMap::new();
    for line in map.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [floor, name, _subject, imports] = cells.as_slice() else {
            continue;
        };
        let Ok(floor) = floor.parse() else { continue };
        let may_import = imports
            .split(", ")
            .filter(|name| *name != "nothing")
            .map(|name| name.trim_matches('`').to_owned());
        rows.insert(
            name.trim_matches('`').to_owned(),
            Row {
                floor,
                may_import: may_import.collect(),
            },
        );
    }
    rows
}

/// The names in a manifest's `[dependencies]`; what only tests use is not part of the house.
fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&format!("{name}/Cargo.toml")).parse().unwrap();
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    table
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn every_crate_of_the_workspace_is_in_the_map() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let beside = ["testkit", "xtask"];
    let mut members: Vec<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    members.retain(|member| !beside.contains(member));
    members.sort_unstable();
    let rows = floor_table();
    assert_eq!(members, rows.keys().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn imports_point_down_and_only_where_the_map_allows() {
    let rows = floor_table();
    for (name, row) in &rows {
        for import in dependencies(name)
            .iter()
            .filter(|dependency| rows.contains_key(*dependency))
        {
            assert!(
                row.may_import.contains(import),
                "`{name}` imports `{import}`, which the map does not allow"
            );
            assert!(
                rows[import].floor < row.floor,
                "`{name}` imports `{import}`, which is not below it"
            );
        }
    }
}

#[test]
fn what_a_crate_must_not_do_it_cannot() {
    let rows = floor_table();
    let only = |crates: &[&str], forbidden_elsewhere: &[&str]| {
        for name in rows.keys().filter(|name| !crates.contains(&name.as_str())) {
            for dependency in dependencies(name) {
                assert!(
                    !forbidden_elsewhere.contains(&dependency.as_str()),
                    "`{name}` depends on `{dependency}`, which belongs to {crates:?} alone"
                );
            }
        }
    };
    only(
        &["vault"],
        &["aws-lc-rs", "aes-gcm", "ring", "chacha20poly1305", "openssl"],
    );
    only(&["store"], &["sqlx", "rusqlite", "tokio-postgres"]);
    only(&["provider"], &["hyper-rustls", "reqwest", "ureq"]);
    only(
        &["gateway"],
        &["prometheus-client", "opentelemetry-otlp", "opentelemetry_sdk"],
    );
    only(&["server"], &["axum"]);
    for pure in ["dialect", "policy"] {
        for dependency in dependencies(pure) {
            let impure = ["tokio", "hyper", "sqlx", "futures-util", "async-std", "rand"];
            assert!(
                !impure.contains(&dependency.as_str()),
                "`{pure}` is pure and cannot have `{dependency}`"
            );
        }
    }
}

/// Nor may what they depend on have it: no runtime is anywhere below them.
#[test]
fn below_what_is_pure_there_is_no_runtime() {
    for pure in ["dialect", "policy"] {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--package", pure, "--edges", "normal,build"])
            .args(["--prefix", "none", "--format", "{p}", "--locked", "--offline"])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).unwrap();
        let below: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(below.contains(pure) && below.contains("serde_json"), "{below:?}");
        for runtime in [
            "tokio",
            "async-std",
            "smol",
            "async-io",
            "mio",
            "hyper",
            "futures-executor",
        ] {
            assert!(
                !below.contains(runtime),
                "`{pure}` is pure, and below it is `{runtime}`"
            );
        }
    }
}

/// The calendar of limits is pure as long as it has no clock: the library has one where its `std` is on.
#[test]
fn the_calendar_of_limits_has_no_clock() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let of_all = &workspace["workspace"]["dependencies"]["jiff"];
    assert_eq!(of_all["default-features"].as_bool(), Some(false));
    let policy: toml::Table = read("policy/Cargo.toml").parse().unwrap();
    let features = policy["dependencies"]["jiff"]["features"].as_array().unwrap();
    assert!(features.iter().all(|feature| feature.as_str() != Some("std")));
    assert!(!dependencies("dialect").contains("jiff"));
}

/// The exporter of traces would bring an HTTP client of its own, one that follows redirects, unless it is told not to.
#[test]
fn traces_are_sent_by_the_providers_client() {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let dependencies = &workspace["workspace"]["dependencies"];
    for name in ["opentelemetry-otlp", "opentelemetry-http"] {
        let dependency = &dependencies[name];
        assert_eq!(dependency["default-features"].as_bool(), Some(false), "{name}");
        let features = dependency.get("features").and_then(toml::Value::as_array);
        for feature in features.into_iter().flatten() {
            let feature = feature.as_str().unwrap();
            assert!(
                ["http-proto", "trace"].contains(&feature),
                "{name} with {feature}"
            );
        }
    }
}

/// What can be made to fail is only what tests build: no crate's own dependencies turn that on.
#[test]
fn nothing_but_tests_can_be_made_to_fail() {
    for name in floor_table().keys() {
        let manifest: toml::Table = read(&format!("{name}/Cargo.toml")).parse().unwrap();
        for part in ["dependencies", "build-dependencies"] {
            let table = manifest.get(part).and_then(toml::Value::as_table);
            for (dependency, how) in table.into_iter().flatten() {
                let features = how.get("features").map(ToString::to_string).unwrap_or_default();
                assert!(
                    !features.contains("failpoints"),
                    "`{name}` turns on the failpoints of `{dependency}` for everybody"
                );
            }
        }
        let features = manifest.get("features").and_then(toml::Value::as_table);
        let default = features.and_then(|features| features.get("default"));
        assert!(!default.is_some_and(|default| default.to_string().contains("failpoints")));
    }
}

#[test]
fn every_path_in_the_map_exists() {
    let map = read("ARCHITECTURE.md");
    let paths: Vec<&str> = map
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains('/') && !code.contains(' '))
        .collect();
    assert!(!paths.is_empty(), "the map names no path");
    for path in paths {
        assert!(
            root().join(path).exists(),
            "ARCHITECTURE.md names `{path}`, which does not exist"
        );
    }
}

/// sqlx takes only text that is part of the program, unless it is told otherwise by this name.
#[test]
fn no_sql_is_put_together_at_run_time() {
    let mut folders = vec![root().join("store/src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains("AssertSqlSafe"), "{}", path.display());
            }
        }
    }
    assert!(files > 10, "the store has files");
}
