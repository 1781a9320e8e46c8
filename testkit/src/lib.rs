//! For tests only: what several crates need to be tested. Nothing stands here yet.
