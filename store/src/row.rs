//! Reading a row column by column. What does not fit makes the row poison, and names it.

use sqlx::any::AnyRow;
use sqlx::{Decode, Row, Type};

use crate::error::StoreError;

/// A row of a table, with the id by which it is named when it makes no sense.
pub(crate) struct Columns<'a> {
    row: &'a AnyRow,
    table: &'static str,
    id: String,
}

impl<'a> Columns<'a> {
    /// The row is named by the text in its column `id`.
    pub(crate) fn of(table: &'static str, row: &'a AnyRow) -> Result<Self, StoreError> {
        Self::named_by(table, row, "id")
    }

    pub(crate) fn named_by(table: &'static str, row: &'a AnyRow, column: &str) -> Result<Self, StoreError> {
        let mut columns = Self {
            row,
            table,
            id: "?".to_owned(),
        };
        columns.id = columns.text(column)?;
        Ok(columns)
    }

    pub(crate) fn id(&self) -> String {
        self.id.clone()
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(crate) fn text_or_null(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(crate) fn number(&self, column: &str) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(crate) fn number_or_null(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    pub(crate) fn blob(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.get(column)
    }

    pub(crate) fn blob_or_null(&self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        match self.number(column)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.poison(format!("{column} is {other}"))),
        }
    }

    /// A word of a closed list.
    pub(crate) fn word<T>(&self, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        let word = self.text(column)?;
        read(&word).ok_or_else(|| self.poison(format!("{column} is `{word}`")))
    }

    pub(crate) fn poison(&self, why: impl Into<String>) -> StoreError {
        StoreError::poison(self.table, &self.id, why)
    }

    fn get<T: Decode<'a, sqlx::Any> + Type<sqlx::Any>>(&self, column: &str) -> Result<T, StoreError> {
        // The driver's own text may quote the value.
        self.row
            .try_get(column)
            .map_err(|_| self.poison(format!("{column} is of another kind")))
    }
}
