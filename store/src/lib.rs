//! Rows, on SQLite and on Postgres. The floor is laid; nothing stands on it yet.
