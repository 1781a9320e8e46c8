//! `docs/command-line.md`: the verbs, and the exit codes.

use clap::{Command, CommandFactory as _};

use super::hold_part;
use crate::arguments::Arguments;
use crate::failure::Kind;

fn exit_codes() -> String {
    let mut table = String::from("\n| code | when |\n|---|---|\n| 0 | It was done. |\n");
    for kind in Kind::ALL {
        // Clap's own, which stands between two of ours.
        if kind == Kind::Settings {
            table.push_str("| 2 | What was typed makes no sense: there is no such verb or option, or one is missing. |\n");
        }
        table.push_str(&format!("| {} | {} |\n", kind as u8, kind.meaning()));
    }
    table
}

/// The verbs below one, each with what it takes.
fn verbs(command: &Command, path: &str, table: &mut String) {
    let below = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    let mut is_leaf = true;
    for verb in below {
        is_leaf = false;
        verbs(verb, &format!("{path} {}", verb.get_name()), table);
    }
    if is_leaf {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        table.push_str(&format!("| `{path}{}` | {about} |\n", taken(command)));
    }
}

/// What has to be typed behind a verb, and the names of what may be.
fn taken(verb: &Command) -> String {
    let mut text = String::new();
    let is_own = |argument: &&clap::Arg| !argument.is_global_set() && argument.get_id() != "help";
    for argument in verb.get_arguments().filter(is_own) {
        let value = argument
            .get_value_names()
            .and_then(|names| names.first())
            .filter(|_| argument.get_action().takes_values())
            .map(|name| name.to_string());
        let shown = match (argument.get_long(), value) {
            (None, value) => value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase()),
            (Some(long), None) => format!("--{long}"),
            (Some(long), Some(value)) => format!("--{long} {value}"),
        };
        if argument.is_required_set() {
            text.push_str(&format!(" {shown}"));
        } else {
            text.push_str(&format!(" [{shown}]"));
        }
    }
    // In a table these would begin another cell.
    text.replace('|', "\\|")
}

#[test]
fn the_page_on_the_command_line_is_true() {
    let mut command = Arguments::command();
    command.build();
    let mut table = String::from("\n| verb | does |\n|---|---|\n");
    verbs(&command, "tollgate", &mut table);
    let part = format!("\n## Verbs\n{table}\n## Exit codes\n{}\n", exit_codes());
    hold_part("command-line.md", &part);
}
