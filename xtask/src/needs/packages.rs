//! Packages of PyPI and npm, by their ordinary clients, in the cache folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;
use serde_json::Value;

use super::{Cache, debian};
use crate::command::run;

const REQUIREMENTS: &str = include_str!("../../needs/requirements.txt");
const PACKAGE: &str = include_str!("../../needs/package.json");
const AGENTS: &str = include_str!("../../needs/agents.json");
/// Of the version that is pinned there, as npm tells.
const GEMINI_CLI: &str =
    "sha512-dbQ9A0qBtFJNi6XBkHvfZ6Azpn6PNgH/P8h2MZ67RLlX8hSAVjup39CRWqdRxZv7YXIuhrFaytr8y0jKnkoxnQ==";
const BROWSER: &str = include_str!("../../needs/browser.json");

/// An interpreter that has the Python packages.
pub(crate) fn python(cache: &Cache) -> anyhow::Result<PathBuf> {
    let folder = cache.filled("python", REQUIREMENTS, |folder| {
        fs::write(folder.join("requirements.txt"), REQUIREMENTS)?;
        let environment = folder.join("environment");
        let make = || run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
        // Debian keeps what `venv` needs in a package of its own.
        make().or_else(|_| debian::install("python3-venv").and_then(|()| make()))?;
        let install = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ];
        run(Command::new(environment.join("bin/python"))
            .args(install)
            .arg("--requirement")
            .arg(folder.join("requirements.txt")))
    })?;
    Ok(folder.join("environment/bin/python"))
}

/// A folder whose `node_modules` has the npm packages.
pub(crate) fn node(cache: &Cache) -> anyhow::Result<PathBuf> {
    npm(cache, "node", PACKAGE)
}

/// A folder whose `node_modules` has the agents: one of their own, for they are large, and other packages change oftener.
///
/// One of them is also run as a provider, with logins: it has to be the very package that was looked at.
pub(crate) fn agents(cache: &Cache) -> anyhow::Result<PathBuf> {
    let folder = npm(cache, "agents", AGENTS)?;
    let installed = fs::read_to_string(folder.join("node_modules/.package-lock.json"))?;
    let installed: Value = serde_json::from_str(&installed)?;
    let package = installed.pointer("/packages/node_modules~1@google~1gemini-cli/integrity");
    if package.and_then(Value::as_str) != Some(GEMINI_CLI) {
        bail!("@google/gemini-cli is not the package that it was: {package:?}");
    }
    Ok(folder)
}

/// A folder whose `node_modules` has what drives a browser, and an OAuth server. The browser itself is Debian's.
pub(crate) fn browser(cache: &Cache) -> anyhow::Result<PathBuf> {
    npm(cache, "browser", BROWSER)
}

fn npm(cache: &Cache, name: &str, package: &str) -> anyhow::Result<PathBuf> {
    cache.filled(name, package, |folder| {
        fs::write(folder.join("package.json"), package)?;
        let install = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel",
            "error",
        ];
        run(Command::new("npm").args(install).current_dir(folder))
    })
}
