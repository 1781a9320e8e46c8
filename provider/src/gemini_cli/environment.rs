//! The environment of a process: what stands here, and nothing else.
//!
//! The program is steered by dozens of variables, some of which would make it read other credentials, talk to other hosts
//! or run code. So nothing is inherited.

use std::ffi::OsString;

use super::credential::Login;
use super::home::Home;
use super::settings::Program;

/// A variable.
pub(super) type Variable = (&'static str, OsString);

/// What the strings of a settings file could be made to show, besides those of [`fixed`].
const NAMES: [&str; 10] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "PWD",
    "GEMINI_SYSTEM_MD",
    "GOOGLE_CLOUD_ACCESS_TOKEN",
    "GOOGLE_CLOUD_PROJECT",
    "CODE_ASSIST_ENDPOINT",
    "HTTPS_PROXY",
    "NODE_EXTRA_CA_CERTS",
];

const FIXED: [(&str, &str); 9] = [
    ("LANG", "C.UTF-8"),
    // Of the terminal that it does not have it says otherwise that it has few colours.
    ("TERM", "xterm-256color"),
    ("COLORTERM", "truecolor"),
    ("NO_COLOR", "1"),
    // One process, not one that starts another and does not pass signals on.
    ("GEMINI_CLI_NO_RELAUNCH", "1"),
    ("GEMINI_CLI_TRUST_WORKSPACE", "true"),
    ("NODE_OPTIONS", "--max-old-space-size=256"),
    ("GOOGLE_GENAI_USE_GCA", "true"),
    ("NO_PROXY", "127.0.0.1"),
];

/// All of it, for a process that looks for Google's service at `endpoint`.
pub(super) fn environment(program: &Program, home: &Home, login: &Login, endpoint: &str) -> Vec<Variable> {
    let mut variables = common(program, home);
    variables.extend([
        ("GEMINI_SYSTEM_MD", home.system_file().into()),
        ("GOOGLE_CLOUD_ACCESS_TOKEN", login.access_token.expose().into()),
        ("CODE_ASSIST_ENDPOINT", endpoint.into()),
    ]);
    if let Some(project_id) = &login.project_id {
        variables.push(("GOOGLE_CLOUD_PROJECT", project_id.into()));
    }
    variables
}

/// The same for a process that is to sign in, or to renew a login of its own: it is given no token, and prints where to
/// sign in, since there is no browser.
pub(super) fn of_login(program: &Program, home: &Home) -> Vec<Variable> {
    let mut variables = common(program, home);
    variables.push(("NO_BROWSER", "true".into()));
    variables
}

/// What every process has.
fn common(program: &Program, home: &Home) -> Vec<Variable> {
    let mut variables: Vec<Variable> = fixed().map(|(name, value)| (name, value.into())).collect();
    let folder = program.node.parent().map(OsString::from).unwrap_or_default();
    variables.extend([
        ("PATH", folder),
        ("HOME", home.user().into()),
        ("TMPDIR", home.tmp().into()),
    ]);
    if let Some(proxy) = &program.proxy {
        variables.push(("HTTPS_PROXY", proxy.into()));
    }
    if let Some(file) = &program.extra_ca {
        variables.push(("NODE_EXTRA_CA_CERTS", file.into()));
    }
    variables
}

fn fixed() -> impl Iterator<Item = (&'static str, &'static str)> {
    FIXED.into_iter()
}

/// Whether the program would put something else for a part of this text, if it stood in a settings file: it takes `$NAME`
/// and `${NAME}` for a variable.
pub(super) fn is_expanded(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let length = after
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(after.len());
        let name = after.get(..length).unwrap_or_default();
        if after.starts_with('{') || NAMES.contains(&name) || fixed().any(|(fixed, _)| fixed == name) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_expanded_is_seen() {
        for text in [
            "$HOME",
            "a $GOOGLE_CLOUD_ACCESS_TOKEN",
            "${x}",
            "$$PATH/",
            "${HOME:-x}",
        ] {
            assert!(is_expanded(text), "{text}");
        }
        for text in ["", "#/$defs/person", "$", "5 $", "$HOMES", "$ref"] {
            assert!(!is_expanded(text), "{text}");
        }
    }
}
