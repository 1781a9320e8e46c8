//! Where settings come from: the environment first, then the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde_yaml_ng::{Mapping, Value};

use super::table::{Setting, settings};
use crate::failure::{Failure, Kind};
use crate::time;

/// What was set, by name.
pub(crate) struct Source {
    set: BTreeMap<String, String>,
}

const FILE: &str = "tollgate.yaml";
const PREFIX: &str = "TOLLGATE_";
/// Variables of this repository's own tests and tasks, which are no settings.
const NOT_OURS: [&str; 3] = ["TOLLGATE_TEST_", "TOLLGATE_SHARED", "TOLLGATE_CACHE_DIR"];

impl Source {
    /// The environment of this process over the file: the one that is named, or `tollgate.yaml` if it is there.
    ///
    /// # Errors
    /// When the file cannot be read, or something is set that is no setting.
    pub(crate) fn of_process(file: Option<&Path>) -> Result<Self, Failure> {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let text = match file {
            Some(path) => Some(read(path)?),
            None if Path::new(FILE).exists() => Some(read(Path::new(FILE))?),
            None => None,
        };
        Self::new(environment, text.as_deref())
    }

    /// The same from what is given.
    pub(crate) fn new(environment: BTreeMap<String, String>, file: Option<&str>) -> Result<Self, Failure> {
        let mut set = match file {
            Some(text) => members(text, &environment)?,
            None => BTreeMap::new(),
        };
        set.extend(environment);
        if let Some(unknown) = set.keys().find(|name| !is_known(name)) {
            let unknown = unknown.split('=').next().unwrap_or_default();
            return Err(Failure::new(
                Kind::Settings,
                format!("there is no setting {unknown}{}", near(unknown)),
            ));
        }
        Ok(Self { set })
    }

    /// As it was set, be it empty.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// As it was set, unless that is empty.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.raw(name).map(str::trim).filter(|text| !text.is_empty())
    }

    /// What was set, or the default.
    pub(crate) fn text(&self, name: &str) -> &str {
        let default = || {
            settings()
                .find(|setting| setting.name == name)
                .map_or("", |setting| setting.default)
        };
        self.given(name).unwrap_or_else(default)
    }

    pub(crate) fn parsed<T: FromStr>(&self, name: &str, kind: &str) -> Result<T, Failure> {
        let text = self.text(name);
        text.parse()
            .map_err(|_| Failure::new(Kind::Settings, format!("{name}: `{text}` is not {kind}")))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        self.parsed(name, "`true` or `false`")
    }

    pub(crate) fn duration(&self, name: &str) -> Result<Duration, Failure> {
        time::duration(self.text(name)).map_err(|why| Failure::new(Kind::Settings, format!("{name}: {why}")))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Kind::Settings, format!("{}: {error}", path.display())))
}

/// The members of the file. Everything in it is ours, so everything in it has to be known.
fn members(text: &str, environment: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |why: String| Failure::new(Kind::Settings, format!("{FILE}: {why}"));
    // It takes no name twice, of which some programs go by the first and some by the last.
    let members: Option<Mapping> =
        serde_yaml_ng::from_str(text).map_err(|error| wrong(unreadable(&error)))?;
    let mut set = BTreeMap::new();
    for (name, value) in members.unwrap_or_default() {
        let Value::String(name) = name else {
            return Err(wrong("a name in it is no text".to_owned()));
        };
        if !name.starts_with(PREFIX) && !is_setting(&name) {
            // What stands behind `=` is a value for whoever wrote it.
            let name = name.split('=').next().unwrap_or_default();
            return Err(wrong(format!("there is no setting {name}{}", near(name))));
        }
        let text = match value {
            Value::String(text) => {
                expand(&text, environment).map_err(|why| wrong(format!("{name}: {why}")))?
            }
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => {
                return Err(wrong(format!(
                    "{name} is neither text nor number nor true or false"
                )));
            }
        };
        set.insert(name, text);
    }
    Ok(set)
}

/// Where the file cannot be read. The library's own words quote what stands there, which may be a secret.
fn unreadable(error: &serde_yaml_ng::Error) -> String {
    let place = error.location().map_or_else(String::new, |place| {
        format!(", line {}, column {}", place.line(), place.column())
    });
    format!("this is no list of `NAME: value`{place}")
}

/// `${VAR}` stands for a variable of the environment, which has to be there.
fn expand(text: &str, environment: &BTreeMap<String, String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("`${` without `}`")?;
        let value = environment
            .get(name)
            .ok_or_else(|| format!("the variable {name} is not set"))?;
        expanded.push_str(before);
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_known(name: &str) -> bool {
    !name.starts_with(PREFIX) || NOT_OURS.iter().any(|prefix| name.starts_with(prefix)) || is_setting(name)
}

fn is_setting(name: &str) -> bool {
    settings().any(|setting| setting.name == name)
}

/// The setting that was probably meant.
fn near(name: &str) -> String {
    let like = |setting: &&Setting| {
        let known = setting.name.trim_start_matches(PREFIX);
        let asked = name.trim_start_matches(PREFIX).to_ascii_uppercase();
        known == asked || known.contains(&asked) || asked.contains(known)
    };
    settings()
        .find(like)
        .map(|setting| format!(": did you mean {}?", setting.name))
        .unwrap_or_default()
}
