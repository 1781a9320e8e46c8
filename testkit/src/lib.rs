//! For tests only: what several crates need to be tested.

pub mod database;
