//! What README and the pages of `docs/` say can be asked for is there. Verbs, settings and headers are looked up by
//! `tollgate/src/reference/said.rs`, which knows the program from within.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use testkit::client;
use testkit::database::TestDatabase;
use testkit::process::Installation;

use crate::world::PROGRAM;

/// Where a path of the gateway's begins. Those of providers begin otherwise, or have a host.
const ROOTS: [&str; 7] = [
    "/v1", "/v1beta", "/livez", "/readyz", "/healthz", "/metrics", "/ui",
];
/// Nothing that can be asked for: the first is a collector's, and the others stand for all that is below them.
const NOT_OURS: [&str; 4] = ["/v1/traces", "/v1", "/v1/", "/ui"];

/// What stands in backticks and looks like a path, with the method where that is told.
fn named() -> BTreeSet<(Option<String>, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = fs::read_dir(root.join("docs")).unwrap();
    let pages = pages
        .map(|entry| entry.unwrap().path())
        .chain([root.join("README.md")]);
    let mut found = BTreeSet::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for span in text.split('`') {
            let (method, path) = match span.split_once(' ') {
                Some((method @ ("GET" | "POST"), path)) => (Some(method.to_owned()), path),
                _ => (None, span),
            };
            let (first, _) = path
                .trim_start_matches('/')
                .split_once('/')
                .unwrap_or((path.trim_start_matches('/'), ""));
            let is_ours = ROOTS.contains(&format!("/{first}").as_str()) && path.starts_with('/');
            if is_ours && !path.contains(char::is_whitespace) && !NOT_OURS.contains(&path) {
                found.insert((
                    method,
                    path.replace("MODEL", "echo-1").replace("{model}", "echo-1"),
                ));
            }
        }
    }
    found
}

#[test]
fn every_path_that_is_named_is_there() {
    let database = TestDatabase::sqlite();
    let installation =
        Installation::new(PROGRAM, database.url()).set("TOLLGATE_METRICS_LISTEN", "127.0.0.1:0");
    let serving = installation.serve();
    let key = format!("Bearer {}", serving.key());
    let headers = [
        ("authorization", key.as_str()),
        ("content-type", "application/json"),
    ];
    let metrics = serving.metrics();
    let named = named();
    assert!(named.len() > 15, "{named:?}");
    for (method, path) in named {
        let url = match path.as_str() {
            "/metrics" => metrics.clone(),
            path => serving.endpoint(path),
        };
        let body: &[u8] = if method.as_deref() == Some("POST") {
            b"{}"
        } else {
            b""
        };
        let answer = client::open(method.as_deref().unwrap_or("GET"), &url, &headers, body).finish();
        assert_ne!(
            answer.status,
            404,
            "{method:?} {path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        let wrong_method = answer.status == 405 && method.is_some();
        assert!(!wrong_method, "{method:?} {path}");
    }
}
