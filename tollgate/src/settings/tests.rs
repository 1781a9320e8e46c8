use std::collections::BTreeMap;

use super::table::{GROUPS, settings};
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
    let cases: [Case<'_>; 11] = [
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
        (&[("TOLLGATE_KEEP_ALIVE", "1ms")], None, "TOLLGATE_KEEP_ALIVE"),
        (
            &[("TOLLGATE_KEEP_ALIVE_EARLY", "true")],
            None,
            "needs TOLLGATE_KEEP_ALIVE",
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

#[test]
fn what_makes_no_sense_is_refused_with_what_would() {
    let table = [
        ("TOLLGATE_LOG", "warning", "`warning` is neither a level"),
        ("TOLLGATE_LOG", "info,gateway", "`gateway` is neither a level"),
        (
            "TOLLGATE_LOG",
            "info,gateway=loud",
            "`gateway=loud` is neither a level",
        ),
        ("TOLLGATE_REVISION_POLL", "0s", "from 50ms to 1h"),
        ("TOLLGATE_HEAD_TIMEOUT", "0s", "from 100ms to 1h"),
        ("TOLLGATE_CONNECTIONS_MAX", "0", "from 1 to 10000000"),
        ("TOLLGATE_BODY_BYTES_MAX", "0", "from 1024 to"),
        ("TOLLGATE_DATABASE_CONNECTIONS", "0", "from 2 to 1000"),
        ("TOLLGATE_LEDGER_BYTES_MAX", "1000", "from 67108864 to"),
        ("TOLLGATE_WORKERS", "1000", "from 0 to 240"),
        ("TOLLGATE_WORKERS", "-1", "`-1` is not a number"),
        (
            "TOLLGATE_PUBLIC_URL",
            "gateway.example",
            "such as https://gateway.example",
        ),
    ];
    for (name, value, said) in table {
        let failure = failure(&[(name, value)], None);
        assert!(failure.message().starts_with(name), "{failure:?}");
        assert!(failure.message().contains(said), "{failure:?}");
    }
    for (name, value) in [
        ("TOLLGATE_LOG", "info,gateway=debug"),
        ("TOLLGATE_LOG", "WARN, sqlx=off"),
        ("TOLLGATE_PUBLIC_URL", "https://gateway.example/"),
        ("TOLLGATE_PUBLIC_URL", "http://127.0.0.1:8080"),
    ] {
        assert!(read(&[(name, value)], None).is_ok(), "{name}={value}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let public = ("TOLLGATE_ALLOW_PUBLIC_BIND", "true");
    let admin = ("TOLLGATE_ADMIN_LISTEN", "192.0.2.1:8081");
    let failed = failure(&[public, admin], None);
    assert!(failed.message().contains("set TOLLGATE_PUBLIC_URL"), "{failed:?}");
    let failed = failure(
        &[public, admin, ("TOLLGATE_PUBLIC_URL", "http://gateway.example")],
        None,
    );
    assert!(failed.message().contains("beginning with https://"), "{failed:?}");
    assert!(
        read(
            &[public, admin, ("TOLLGATE_PUBLIC_URL", "https://gateway.example")],
            None
        )
        .is_ok()
    );
    assert!(read(&[("TOLLGATE_ADMIN_LISTEN", "127.0.0.1:0")], None).is_ok());
    let failed = failure(
        &[("TOLLGATE_STALE_KEYS", "10s"), ("TOLLGATE_REVISION_POLL", "1m")],
        None,
    );
    assert!(failed.message().contains("longer than"), "{failed:?}");
}

#[test]
fn every_number_and_every_time_has_a_range() {
    for setting in settings() {
        let has_to = setting.default.parse::<u64>().is_ok() || crate::time::duration(setting.default).is_ok();
        assert_eq!(ranges::of(setting.name).is_some(), has_to, "{}", setting.name);
    }
    assert!(
        ranges::RANGES
            .iter()
            .all(|(name, _)| settings().any(|setting| setting.name == *name))
    );
    let failed = failure(&[("TOLLGATE_GEMINI_CLI_CALL_TIMEOUT", "0s")], None);
    assert!(failed.message().contains("makes no sense"), "{failed:?}");
}

/// What the configuration reference shows of a file.
const EXAMPLE: &str = include_str!("example.yaml");

#[test]
fn the_example_of_a_file_is_one() {
    let environment = [
        ("DATABASE_PASSWORD", "p"),
        ("MASTER_KEY", "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k="),
    ];
    let settings = read(&environment, Some(EXAMPLE)).unwrap();
    assert_eq!(
        settings.database_url.expose(),
        "postgres://tollgate:p@db.internal/tollgate"
    );
    assert_eq!(settings.public_url.as_deref(), Some("https://gateway.example"));
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.drain_timeout, Duration::from_secs(60));
}

/// The reference is generated: `TOLLGATE_TEST_BLESS=1 cargo test -p tollgate` writes it anew.
#[test]
fn the_configuration_reference_is_true() {
    let mut page = format!(
        "# Configuration\n\nGenerated from `tollgate/src/settings/table.rs`.\n\n\
         Settings come from the environment first, then from `tollgate.yaml` in the current folder (or the file named\n\
         with `--config`), which has the same names and expands `${{VAR}}`. An unknown name is refused.\n\n\
         ```yaml\n{EXAMPLE}```\n\n\
         Times are written as `500ms`, `30s`, `5m`, `1h`. `tollgate doctor` reads the settings, too, and says what is wrong\n\
         with them. The keys of providers (`OPENAI_API_KEY` and the like) are in [providers.md](providers.md).\n"
    );
    for (title, settings) in GROUPS {
        page.push_str(&format!(
            "\n## {title}\n\n| name | default | meaning |\n|---|---|---|\n"
        ));
        for setting in *settings {
            page.push_str(&row(setting));
        }
    }
    crate::reference::hold("configuration.md", &page);
}

fn row(setting: &table::Setting) -> String {
    let default = if setting.default.is_empty() {
        String::new()
    } else {
        format!("`{}`", setting.default)
    };
    let range = ranges::of(setting.name).map(|range| format!(" It is {}.", range.words()));
    format!(
        "| `{}` | {default} | {}{} |\n",
        setting.name,
        setting.meaning,
        range.unwrap_or_default()
    )
}
