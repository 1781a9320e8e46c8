//! Statements that take any number of rows at once.
//!
//! Both databases take them as one text in JSON, so a statement stays the same however many rows it is given, and is one
//! round trip. They differ in how such a text becomes a table, in how the time is told, and in how rows are locked: that is
//! what stands for `{given}`, `{now}`, `{lock}` and `{lock_counters}`.

use serde_json::Value;

use crate::open::Database;

/// One statement, in the words of both databases.
pub(crate) struct Sql {
    sqlite: String,
    postgres: String,
}

/// A member of the rows that are given, which becomes a column.
#[derive(Clone, Copy)]
pub(crate) enum Given {
    Text(&'static str),
    Number(&'static str),
}

/// Whole milliseconds since the Unix epoch, as they are when the row is made; SQLite counts in them.
const SQLITE_NOW: &str = "CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)";
const POSTGRES_NOW: &str = "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)";

impl Sql {
    /// The rows are bound as the first value. Where none are given, none need to be.
    pub(crate) fn new(text: &str, members: &[Given]) -> Self {
        let extracted = members.iter().map(|member| {
            let name = member.name();
            format!("json_extract(value, '$.{name}') AS {name}")
        });
        let sqlite_given = format!("(SELECT {} FROM json_each($1)) AS given", list(extracted));
        let declared = members.iter().map(|member| match member {
            Given::Text(name) => format!("{name} TEXT"),
            Given::Number(name) => format!("{name} BIGINT"),
        });
        let postgres_given = format!(
            "json_to_recordset(CAST($1 AS JSON)) AS given ({})",
            list(declared)
        );
        Self {
            sqlite: text
                .replace("{given}", &sqlite_given)
                .replace("{now}", SQLITE_NOW)
                .replace("{lock}", "")
                .replace("{lock_counters}", ""),
            postgres: text
                .replace("{given}", &postgres_given)
                .replace("{now}", POSTGRES_NOW)
                .replace("{lock}", "FOR UPDATE")
                .replace("{lock_counters}", "FOR UPDATE OF counters"),
        }
    }

    pub(crate) fn of(&'static self, database: &Database) -> &'static str {
        match database {
            Database::Sqlite => &self.sqlite,
            Database::Postgres(_) => &self.postgres,
        }
    }
}

impl Given {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// Rows as they are bound.
pub(crate) fn rows(rows: impl IntoIterator<Item = Value>) -> String {
    Value::Array(rows.into_iter().collect()).to_string()
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
