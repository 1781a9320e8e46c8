//! How the Gemini CLI is run, where it is switched on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use provider::gemini_cli::{GeminiCliSettings, Mode, Program, VERSION};
use serde_json::Value;

use super::Source;
use crate::failure::{Failure, Kind};

const SCRIPT: &str = "TOLLGATE_GEMINI_CLI";
const NODE: &str = "TOLLGATE_GEMINI_CLI_NODE";
/// What a process of it takes, and what its start takes beyond that.
const PROCESS_BYTES: usize = 300 << 20;

/// # Errors
/// When the program is not there, or of another version than is known.
pub(super) fn gemini_cli(source: &Source, data_dir: &Path) -> Result<Option<GeminiCliSettings>, Failure> {
    let Some(script) = source.given(SCRIPT) else {
        return Ok(None);
    };
    let wrong = |name: &str, why: &str| Failure::new(Kind::Settings, format!("{name}: {why}"));
    let script = fs::canonicalize(script).map_err(|error| wrong(SCRIPT, &format!("{script}: {error}")))?;
    if !source.flag("TOLLGATE_GEMINI_CLI_ANY_VERSION")? {
        let found = version(&script)
            .ok_or_else(|| wrong(SCRIPT, "its package.json, one folder up, cannot be read"))?;
        if found != VERSION {
            let why = format!(
                "its version is {found}, and Tollgate was tested with {VERSION}: set \
                 TOLLGATE_GEMINI_CLI_ANY_VERSION=true if that is meant"
            );
            return Err(wrong(SCRIPT, &why));
        }
    }
    let program = Program {
        node: node(source.text(NODE)).ok_or_else(|| wrong(NODE, "there is no such program"))?,
        script,
        proxy: source.given("TOLLGATE_GEMINI_CLI_PROXY").map(str::to_owned),
        extra_ca: source.given("TOLLGATE_GEMINI_CLI_CA_FILE").map(PathBuf::from),
    };
    let bytes: usize = source.parsed("TOLLGATE_GEMINI_CLI_MEMORY_MAX", "a number of bytes")?;
    Ok(Some(GeminiCliSettings {
        mode: match source.text("TOLLGATE_GEMINI_CLI_MODE") {
            "warm" => Mode::Warm,
            "cold" => Mode::Cold,
            _ => {
                return Err(wrong(
                    "TOLLGATE_GEMINI_CLI_MODE",
                    "it is neither `warm` nor `cold`",
                ));
            }
        },
        per_tenant_max: source.parsed("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "a number")?,
        processes_max: (bytes / PROCESS_BYTES).max(1),
        queue_max: source.parsed("TOLLGATE_GEMINI_CLI_QUEUE_MAX", "a number")?,
        queue_timeout: source.duration("TOLLGATE_GEMINI_CLI_QUEUE_TIMEOUT")?,
        idle_timeout: source.duration("TOLLGATE_GEMINI_CLI_IDLE_TIMEOUT")?,
        calls_max: source.parsed("TOLLGATE_GEMINI_CLI_CALLS_MAX", "a number")?,
        resident_bytes_max: source.parsed("TOLLGATE_GEMINI_CLI_RESIDENT_BYTES_MAX", "a number of bytes")?,
        start_timeout: source.duration("TOLLGATE_GEMINI_CLI_START_TIMEOUT")?,
        call_timeout: source.duration("TOLLGATE_GEMINI_CLI_CALL_TIMEOUT")?,
        answer_bytes_max: source.parsed("TOLLGATE_GEMINI_CLI_ANSWER_BYTES_MAX", "a number of bytes")?,
        ..GeminiCliSettings::new(program, data_dir.join("gemini"))
    }))
}

/// Of the package that a script is in.
pub(crate) fn version(script: &Path) -> Option<String> {
    let package = script.parent()?.parent()?.join("package.json");
    let package: Value = serde_json::from_slice(&fs::read(package).ok()?).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

/// A program by its path, or by its name. The path leads past links: the process looks for other programs beside it.
fn node(named: &str) -> Option<PathBuf> {
    if named.contains('/') {
        return fs::canonicalize(named).ok();
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(named))
        .find(|file| file.is_file())
}
