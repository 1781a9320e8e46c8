//! How the program is run, and what it may cost.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that holds for all tenants.
#[derive(Debug, Clone)]
pub struct GeminiCliSettings {
    pub program: Program,
    /// Under which each process has a folder of its own while it lives. Only this gateway may write there.
    pub state_dir: PathBuf,
    pub mode: Mode,
    /// At the same time, of one tenant.
    pub per_tenant_max: usize,
    /// At the same time, of all tenants; about 250 MB each.
    pub processes_max: usize,
    /// Calls that wait for a process.
    pub queue_max: usize,
    /// For how long they do.
    pub queue_timeout: Duration,
    /// Until a process that nobody needs is ended.
    pub idle_timeout: Duration,
    /// Calls of one process, before another takes its place.
    pub calls_max: u32,
    /// Resident memory of a process between two calls, before another takes its place.
    pub resident_bytes_max: u64,
    /// For a process to be ready.
    pub start_timeout: Duration,
    /// From the beginning of a call to its end.
    pub call_timeout: Duration,
    /// Of one answer, in text.
    pub answer_bytes_max: usize,
    /// Where the relay listens by which processes reach Google; none where they do so themselves.
    pub relay: Option<SocketAddr>,
}

/// The program, and what runs it.
#[derive(Debug, Clone)]
pub struct Program {
    pub node: PathBuf,
    /// `bundle/gemini.js` of the package.
    pub script: PathBuf,
    /// Through which the program reaches Google, where it does not do so directly.
    pub proxy: Option<String>,
    /// More certificate authorities to believe, in PEM.
    pub extra_ca: Option<PathBuf>,
}

/// How a call is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By a process that is kept for the next ones.
    Warm,
    /// By one of its own.
    Cold,
}

impl GeminiCliSettings {
    /// The usual bounds.
    pub fn new(program: Program, state_dir: PathBuf) -> Self {
        Self {
            program,
            state_dir,
            mode: Mode::Warm,
            per_tenant_max: 2,
            processes_max: 10,
            queue_max: 64,
            queue_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            calls_max: 100,
            resident_bytes_max: 450 << 20,
            start_timeout: Duration::from_secs(60),
            call_timeout: Duration::from_secs(600),
            answer_bytes_max: 16 << 20,
            relay: None,
        }
    }
}
