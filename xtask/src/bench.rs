//! `cargo xtask bench`: what the gateway costs, beside nginx's bare proxy_pass, in one run of a measuring rig.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use crate::command::{output, run};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder of the rig: `compare.py` with its mock provider and load generator.
    #[arg(long, default_value = "../shared/bench")]
    rig: PathBuf,
    #[arg(
        long,
        default_value = "closed64,xlate,open200,big64k,stream100,xlate-stream,stream-ttft,streams5000"
    )]
    scenarios: String,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How nginx and others are compared with: names in the rig's `gateways.toml`.
    #[arg(long, default_value = "direct,nginx")]
    beside: String,
    /// Measures the gateway a second time in the same run, as `limited`: with limits a minute, a day and a month of requests,
    /// tokens and dollars on tenant, key and credential. The ledger is on in both; it cannot be switched off.
    #[arg(long)]
    limits: bool,
}

/// Where the rig's mock provider listens.
const PROVIDER: &str = "http://127.0.0.1:9100/v1";
/// For calls and for metrics, without limits and with them: both gateways run at the same time.
const LISTEN: [&str; 2] = ["127.0.0.1:9290", "127.0.0.1:9291"];
const LISTEN_LIMITED: [&str; 2] = ["127.0.0.1:9292", "127.0.0.1:9293"];
/// Limits that no measurement comes near.
const ENOUGH: [&str; 6] = [
    "--requests",
    "1000000000000",
    "--tokens",
    "1000000000000000",
    "--usd",
    "1000000000",
];
/// The model that the rig asks for.
const MODEL: &str = "gpt-4o-mini";
/// The one that it asks for where a call has to be translated, from OpenAI's dialect to Anthropic's.
const TRANSLATED_MODEL: &str = "claude-sonnet-4-5";

/// Builds both, sets up an installation with one tenant, and measures.
pub(crate) fn bench(arguments: &Arguments) -> anyhow::Result<()> {
    let rig = fs::canonicalize(&arguments.rig)
        .with_context(|| format!("there is no rig at {}", arguments.rig.display()))?;
    let target = target_folder()?;
    run(Command::new("cargo").args(["build", "--release", "--locked", "--package", "tollgate"]))?;
    let rig_target = target.join("rig");
    run(Command::new("cargo")
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(rig.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &rig_target))?;
    let folder = tempfile::Builder::new().prefix("tollgate-bench-").tempdir()?;
    let config = folder.path().join("tollgate.toml");
    let program = target.join("release/tollgate");
    let mut measured = vec![("tollgate", false)];
    measured.extend(arguments.limits.then_some(("limited", true)));
    let described = measured
        .iter()
        .map(|(name, limits)| configuration(&program, folder.path(), name, *limits));
    fs::write(&config, described.collect::<anyhow::Result<Vec<_>>>()?.join("\n"))?;
    let names: Vec<&str> = measured.iter().map(|(name, _)| *name).collect();
    run(Command::new("python3")
        .arg(rig.join("compare.py"))
        .args(["--gateways", &format!("{},{}", arguments.beside, names.join(","))])
        .arg("--config")
        .arg(rig.join("gateways.toml"))
        .arg("--config")
        .arg(&config)
        .args([
            "--scenarios",
            &arguments.scenarios,
            "--rounds",
            &arguments.rounds.to_string(),
        ])
        .arg("--out")
        .arg(folder.path().join("runs.jsonl"))
        .env("CARGO_TARGET_DIR", &rig_target))
}

/// An installation with one tenant that has a key and a credential, as the rig describes a gateway.
fn configuration(program: &Path, folder: &Path, name: &str, limits: bool) -> anyhow::Result<String> {
    let [listen, metrics_listen] = if limits { LISTEN_LIMITED } else { LISTEN };
    let data = folder.join(name);
    let ask = |arguments: &[&str]| -> anyhow::Result<Value> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args(["--output", "json"])
            .env("TOLLGATE_DATA_DIR", &data)
            .env("SECRET", "sk-bench");
        command.current_dir(folder).stdin(Stdio::null());
        serde_json::from_str(&output(&mut command)?).context("the gateway answers no JSON")
    };
    ask(&["migrate"])?;
    ask(&["tenant", "create", "bench"])?;
    let add = ["credential", "add", "--tenant", "bench", "--from-env", "SECRET"];
    let mut subjects = vec!["tenant:bench".to_owned()];
    for provider in ["openai", "anthropic"] {
        let added = ask(&[&add[..], &["--provider", provider, "--base-url", PROVIDER]].concat())?;
        subjects.push(format!("credential:{}", id(&added)?));
    }
    let key = ask(&["key", "create", "--tenant", "bench"])?;
    subjects.push(format!("key:{}", id(&key)?));
    if limits {
        for subject in &subjects {
            for period in ["minute", "day", "month"] {
                let set = ["limit", "set", "--on", subject, "--per", period, "--hard"];
                ask(&[&set[..], &ENOUGH].concat())?;
            }
        }
    }
    let Some(key) = key.get("secret").and_then(Value::as_str) else {
        bail!("the gateway made no key");
    };
    Ok(format!(
        "[{name}]\ncmd = \"{} serve\"\nbase_url = \"http://{listen}\"\nkey = \"{key}\"\nmodel = \"{MODEL}\"\n\
         translate = {{model = \"{TRANSLATED_MODEL}\"}}\n\
         env = {{TOLLGATE_DATA_DIR = \"{}\", TOLLGATE_LISTEN = \"{listen}\", \
         TOLLGATE_METRICS_LISTEN = \"{metrics_listen}\"}}\n",
        program.display(),
        data.display(),
    ))
}

fn id(made: &Value) -> anyhow::Result<&str> {
    made.get("id")
        .and_then(Value::as_str)
        .context("what was made has no id")
}

fn target_folder() -> anyhow::Result<PathBuf> {
    let metadata = output(Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder
        .map(PathBuf::from)
        .context("cargo does not say where it builds")
}
