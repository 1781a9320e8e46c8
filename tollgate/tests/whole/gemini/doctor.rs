//! What `tollgate doctor` says of the program: it plays all that is relied on with it, and asks Google nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::code_assist::CodeAssist;
use testkit::database::TestDatabase;
use testkit::process::Installation;

use super::desk::{installed, script};

const CHECKS: usize = 9;

/// What was found about the program, or about settings that cannot be read.
struct Told {
    is_well: bool,
    findings: Vec<Value>,
}

impl Told {
    fn by(installation: &Installation) -> Self {
        let output = installation.run(&["doctor", "--output", "json"]);
        let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let about = |finding: &&Value| finding["check"] == "gemini cli" || finding["check"] == "settings";
        Self {
            is_well: output.status.success(),
            findings: findings.iter().filter(about).cloned().collect(),
        }
    }

    fn of(&self, verdict: &str) -> Vec<String> {
        let found = self
            .findings
            .iter()
            .filter(|finding| finding["verdict"] == verdict);
        found
            .map(|finding| format!("{}; {}", finding["what"], finding["remedy"]))
            .collect()
    }
}

/// A gateway with the program and a database that is well; none where the program is not installed.
fn house(script: &Path, google: &CodeAssist, database: &TestDatabase) -> Installation {
    let installation = installed(script, database, google);
    installation.ask(&["migrate"]);
    installation
}

/// A program in a folder of its own that says this and then is the real one.
fn changed(folder: &Path, version: &str, real: &Path, before: &str) -> String {
    let bundle = folder.join("changed/bundle");
    fs::create_dir_all(&bundle).unwrap();
    let script = bundle.join("gemini.js");
    fs::write(
        &script,
        format!("{before}\nawait import({:?});\n", real.display().to_string()),
    )
    .unwrap();
    let package = format!(r#"{{"version": "{version}", "type": "module"}}"#);
    fs::write(folder.join("changed/package.json"), package).unwrap();
    script.display().to_string()
}

#[test]
fn all_that_is_relied_on_is_played_with_the_real_program() {
    let Some(script) = script() else { return };
    let (google, database) = (CodeAssist::start(), TestDatabase::sqlite());
    let installation = house(&script, &google, &database);
    // Other doctors are at work beside this one.
    let own = tempfile::tempdir().unwrap();
    let installation = installation.set("TMPDIR", own.path().to_str().unwrap());
    let told = Told::by(&installation);
    let (fine, warnings, problems) = (told.of("ok"), told.of("warning"), told.of("problem"));
    assert_eq!((warnings, problems), (Vec::<String>::new(), Vec::new()));
    assert!(told.is_well);
    assert!(
        fine.iter().any(|line| line.contains("0.61.0 on Node.js v")),
        "{fine:#?}"
    );
    let checks = fine
        .iter()
        .filter(|line| line.contains("warm: ") || line.contains("cold: "));
    assert_eq!(checks.count(), CHECKS, "{fine:#?}");
    assert!(google.seen().is_empty(), "neither Google nor its proxy is asked");
    let left = fs::read_dir(own.path()).unwrap().flatten();
    let mut left = left.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("tollgate-doctor-")
    });
    assert!(left.next().is_none(), "it leaves nothing");
}

/// One whose errors have other numbers, and that says to be of another version: refused, and if it is allowed, found out.
#[test]
fn a_program_that_is_another_is_refused_and_what_it_does_otherwise_is_found() {
    let Some(script) = script() else { return };
    let (google, database) = (CodeAssist::start(), TestDatabase::sqlite());
    let installation = house(&script, &google, &database);
    let otherwise = "process.on('exit', (code) => { if (code > 100) process.exitCode = 99; });";
    let other = changed(installation.folder(), "9.9.9", &script, otherwise);
    let installation = installation.set("TOLLGATE_GEMINI_CLI", &other);
    let told = Told::by(&installation);
    let problems = told.of("problem");
    assert!(!told.is_well && problems.len() == 1, "{problems:#?}");
    assert!(problems[0].contains("its version is 9.9.9"), "{problems:#?}");
    let refused = installation.run(&["serve"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("9.9.9"), "{text}");

    let installation = installation.set("TOLLGATE_GEMINI_CLI_ANY_VERSION", "true");
    let told = Told::by(&installation);
    let problems = told.of("problem");
    assert!(!told.is_well && problems.len() == 1, "{problems:#?}");
    let (what, remedy) = (
        "cold: Google's errors are told by their status: for 429",
        "install @google/gemini-cli@0.61.0",
    );
    assert!(
        problems[0].contains(what) && problems[0].contains(remedy),
        "{problems:#?}"
    );
    let warnings = told.of("warning");
    assert!(
        warnings.iter().any(|line| line.contains("9.9.9")),
        "{warnings:#?}"
    );
    let fine = told.of("ok");
    let checks = fine
        .iter()
        .filter(|line| line.contains("warm: ") || line.contains("cold: "));
    assert_eq!(checks.count(), CHECKS - 1, "{fine:#?}");
}

#[test]
fn without_node_or_the_program_it_is_said_what_is_missing() {
    let Some(script) = script() else { return };
    let (google, database) = (CodeAssist::start(), TestDatabase::sqlite());
    let installation = house(&script, &google, &database);
    let nothing = changed(installation.folder(), "0.61.0", &script, "process.exit(7);");
    for (name, value, what) in [
        (
            "TOLLGATE_GEMINI_CLI_NODE",
            "/nowhere/node",
            "TOLLGATE_GEMINI_CLI_NODE: there is no such program",
        ),
        (
            "TOLLGATE_GEMINI_CLI_NODE",
            "/bin/true",
            "what is named as Node.js is something else",
        ),
        (
            "TOLLGATE_GEMINI_CLI",
            "/nowhere/gemini.js",
            "No such file or directory",
        ),
        ("TOLLGATE_GEMINI_CLI", &nothing, "it does not work: it has ended"),
    ] {
        let installation = installed(&script, &database, &google)
            .set(
                "TOLLGATE_MASTER_KEY_FILE",
                &installation.master_key_file().display().to_string(),
            )
            .set(name, value);
        let told = Told::by(&installation);
        let problems = told.of("problem");
        assert!(!told.is_well && problems.len() == 1, "{value}: {problems:#?}");
        assert!(problems[0].contains(what), "{value}: {problems:#?}");
    }
}
