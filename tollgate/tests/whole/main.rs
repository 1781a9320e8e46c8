//! The whole of it: the real binary, on real databases, between real clients and real or scripted providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong"
)]

mod again;
mod agents;
mod bombs;
mod canary;
mod changes;
mod clients;
mod costs;
mod count;
mod doctor;
mod documents;
mod embeddings;
mod exact;
mod faces;
mod faithful;
mod faults;
mod flood;
mod frames;
mod front;
mod gemini;
mod google_login;
mod inference;
mod keep_alive;
mod kept;
mod keys;
mod limit_verbs;
mod limits;
mod memory;
mod metrics;
mod outage;
mod panics;
mod poison;
mod prices;
mod raw;
mod replays;
mod replicas;
mod rotate;
mod scale;
mod sdk;
mod several;
mod slow;
mod soft;
mod spool;
mod spread;
mod starting;
mod strict;
mod tls;
mod traces;
mod untold;
mod upgrade;
mod upstream;
mod vertex;
mod world;
