//! What verbs say: a table for people, JSON for scripts or CSV for spreadsheets, from one description.

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
    Csv,
}

impl Form {
    /// Things of one kind, one line each. `columns` are the members that a table shows, in this order; JSON has all.
    pub(crate) fn list(self, columns: &[&str], rows: &[Value]) -> Result<(), Failure> {
        match self {
            Self::Json => print(&format!("{:#}", Value::from(rows.to_vec()))),
            Self::Csv => print(&csv(columns, rows)),
            Self::Table if rows.is_empty() => print("nothing there"),
            Self::Table => print(&table(columns, rows)),
        }
    }

    /// One thing: its members, one line each.
    pub(crate) fn one(self, thing: &Value) -> Result<(), Failure> {
        match (self, thing) {
            (Self::Table, Value::Object(members)) => print(&lines(members)),
            (Self::Csv, Value::Object(members)) => {
                let columns: Vec<&str> = members.keys().map(String::as_str).collect();
                print(&csv(&columns, std::slice::from_ref(thing)))
            }
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

/// By RFC 4180, with the names of all members, those that a table shows first. A spreadsheet takes a text that begins like
/// a formula for one; such a text is led by an apostrophe.
fn csv(columns: &[&str], rows: &[Value]) -> String {
    let first = rows.first().and_then(Value::as_object);
    let others = first.into_iter().flat_map(Map::keys).map(String::as_str);
    let mut columns = columns.to_vec();
    columns.extend(others.filter(|name| !columns.contains(name)).collect::<Vec<_>>());
    let mut lines = vec![columns.join(",")];
    for row in rows {
        let fields = columns
            .iter()
            .map(|column| field(row.get(*column).unwrap_or(&Value::Null)));
        lines.push(fields.collect::<Vec<_>>().join(","));
    }
    lines.join("\r\n")
}

fn field(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text)
            if text.parse::<f64>().is_err() && text.starts_with(['=', '+', '-', '@', '\t', '\r']) =>
        {
            format!("'{text}")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
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
    fn a_list_of_values_has_all_members_and_no_formula() {
        let rows = [
            json!({"name": "a,\"b\"", "more": 1}),
            json!({"name": "=1+1", "more": null}),
        ];
        assert_eq!(csv(&["name"], &rows), "name,more\r\n\"a,\"\"b\"\"\",1\r\n'=1+1,");
        assert_eq!(field(&json!("-0.5")), "-0.5");
    }

    #[test]
    fn one_thing_is_told_line_by_line() {
        let thing = json!({"id": "x", "disabled": false});
        assert_eq!(lines(thing.as_object().unwrap()), "disabled  no\nid        x");
    }
}
