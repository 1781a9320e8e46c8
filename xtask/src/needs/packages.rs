//! Packages of PyPI and npm, by their ordinary clients, in the cache folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Cache, debian};
use crate::command::run;

const REQUIREMENTS: &str = include_str!("../../needs/requirements.txt");
const PACKAGE: &str = include_str!("../../needs/package.json");
const AGENTS: &str = include_str!("../../needs/agents.json");

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
pub(crate) fn agents(cache: &Cache) -> anyhow::Result<PathBuf> {
    npm(cache, "agents", AGENTS)
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
