//! What verbs say: a table for people or JSON for scripts, from one description.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Table,
    Json,
}

impl Form {
    /// Things of one kind, one line each. `columns` are the members that a table shows, in this order; JSON has all.
    pub(crate) fn list(self, columns: &[&str], rows: &[Value]) -> Result<(), Failure> {
        match self {
            Self::Json => print(&format!("{:#}", Value::from(rows.to_vec()))),
            Self::Table if rows.is_empty() => print("nothing there"),
            Self::Table => print(&table(columns, rows)),
        }
    }

    /// One thing: its members, one line each.
    pub(crate) fn one(self, thing: &Value) -> Result<(), Failure> {
        match (self, thing) {
            (Self::Table, Value::Object(members)) => print(&lines(members)),
            _ => print(&format!("{thing:#}")),
        }
    }
}

/// Writes a text and the end of its line. A reader that has gone away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::other(format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(
        columns
            .iter()
            .map(|column| column.replace('_', " ").to_uppercase()),
    );
    for row in rows {
        table.add_row(
            columns
                .iter()
                .map(|column| cell(row.get(*column).unwrap_or(&Value::Null))),
        );
    }
    table.trim_fmt()
}

fn lines(members: &Map<String, Value>) -> String {
    let width = members.keys().map(String::len).max().unwrap_or(0);
    let lines = members
        .iter()
        .map(|(name, value)| format!("{:width$}  {}", name.replace('_', " "), cell(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_the_chosen_members_in_order() {
        let text = table(
            &["name", "created_at"],
            &[json!({"created_at": null, "name": "a", "more": 1})],
        );
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines, [vec!["NAME", "CREATED", "AT"], vec!["a", "-"]]);
    }

    #[test]
    fn one_thing_is_told_line_by_line() {
        let thing = json!({"id": "x", "disabled": false});
        assert_eq!(lines(thing.as_object().unwrap()), "disabled  no\nid        x");
    }
}
