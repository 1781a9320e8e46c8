use std::collections::BTreeMap;
use std::path::Path;

use super::table::SETTINGS;
use super::*;

fn read(environment: &[(&str, &str)], file: Option<&str>) -> Result<Settings, Failure> {
    let environment: BTreeMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(&Source::new(environment, file)?)
}

fn failure(environment: &[(&str, &str)], file: Option<&str>) -> Failure {
    read(environment, file).err().expect("a failure")
}

#[test]
fn without_anything_set_the_defaults_hold() {
    let settings = read(&[], None).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        settings.database_url.expose(),
        "sqlite:./tollgate-data/tollgate.db"
    );
    assert_eq!(settings.front.body_bytes_max, 20 << 20);
    assert!(settings.workers >= 1);
}

#[test]
fn the_environment_comes_before_the_file_and_the_file_expands_variables() {
    let file = "TOLLGATE_LISTEN: 127.0.0.1:1\nTOLLGATE_DATABASE_URL: postgres://u:${PASSWORD}@h/d\nTOLLGATE_WORKERS: 3\n";
    let settings = read(
        &[("TOLLGATE_LISTEN", "127.0.0.1:2"), ("PASSWORD", "p")],
        Some(file),
    )
    .unwrap();
    assert_eq!(settings.listen.port(), 2);
    assert_eq!(settings.database_url.expose(), "postgres://u:p@h/d");
    assert_eq!(settings.workers, 3);
    let failure = failure(&[], Some(file));
    assert!(failure.message().contains("PASSWORD is not set"), "{failure:?}");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: [Case<'_>; 9] = [
        (
            &[("TOLLGATE_LISTN", "x")],
            None,
            "there is no setting TOLLGATE_LISTN",
        ),
        (
            &[],
            Some("listen: x"),
            "there is no setting listen: did you mean TOLLGATE_LISTEN?",
        ),
        (&[], Some("TOLLGATE_LISTEN: [1]"), "neither text nor number"),
        (&[], Some("a\n- b"), "tollgate.yaml"),
        (&[("TOLLGATE_LISTEN", "here")], None, "`here` is not an address"),
        (
            &[("TOLLGATE_LISTEN", "0.0.0.0:80")],
            None,
            "TOLLGATE_ALLOW_PUBLIC_BIND",
        ),
        (
            &[("TOLLGATE_MASTER_KEY", " ")],
            None,
            "TOLLGATE_MASTER_KEY is set, but empty",
        ),
        (
            &[("TOLLGATE_UPSTREAM_GAP_TIMEOUT", "soon")],
            None,
            "TOLLGATE_UPSTREAM_GAP_TIMEOUT",
        ),
        (
            &[("TOLLGATE_LOG_FORMAT", "xml")],
            None,
            "neither `human` nor `json`",
        ),
    ];
    for (environment, file, said) in cases {
        let failure = failure(environment, file);
        assert!(failure.message().contains(said), "{failure:?}");
        assert_eq!(failure.message().lines().count(), 1, "{failure:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_quoted() {
    let files = [
        "TOLLGATE_MASTER_KEY=CANARY",
        "TOLLGATE_MASTER_KEY=CANARY\nTOLLGATE_LISTEN=127.0.0.1:1\n",
        "CANARY",
        "TOLLGATE_MASTER_KEY=CANARY: x",
        "master_key=CANARY: x",
        "- CANARY",
        "TOLLGATE_MASTER_KEY: 'CANARY",
        "TOLLGATE_MASTER_KEY: \"CANARY\\q\"",
        "TOLLGATE_MASTER_KEY: CANARY\nTOLLGATE_MASTER_KEY: CANARY\n",
        "TOLLGATE_MASTER_KEY: *CANARY",
        "TOLLGATE_MASTER_KEY: !CANARY x",
        "TOLLGATE_MASTER_KEY: CANARY: CANARY",
        "? [CANARY]\n: 1",
        "TOLLGATE_MASTER_KEY: [CANARY]",
        "TOLLGATE_MASTER_KEY: a${CANARY",
    ];
    for file in files {
        let failure = failure(&[], Some(file));
        assert!(!format!("{failure:?}").contains("CANARY"), "{file}: {failure:?}");
    }
}

/// The reference is generated: `TOLLGATE_TEST_BLESS=1 cargo test -p tollgate` writes it anew.
#[test]
fn the_configuration_reference_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let mut page = String::from(
        "# Configuration\n\nGenerated from `tollgate/src/settings/table.rs`.\n\n\
         Settings come from the environment first, then from `tollgate.yaml` in the current folder (or the file named\n\
         with `--config`), which has the same names and expands `${VAR}`. An unknown name is refused.\n\n\
         | name | default | meaning |\n|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default = if setting.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", setting.default)
        };
        page.push_str(&format!(
            "| `{}` | {default} | {} |\n",
            setting.name, setting.meaning
        ));
    }
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
}
