//! The real Gemini CLI as a provider, against the testkit's Google.
//!
//! `cargo xtask test` installs the program and says where: `TOLLGATE_TEST_AGENTS`. Without it these tests are skipped, and
//! say so.

mod answers;
mod apart;
mod bounds;
mod desk;
mod doctor;
mod faults;
mod life;
mod limited;
mod relay;
mod smoke;
mod tokens;
mod trace;
