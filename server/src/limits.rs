//! What a client may cost before it is answered.

use std::time::Duration;

/// What a client may cost.
#[derive(Debug, Clone, Copy)]
pub struct FrontLimits {
    /// For the head of a request.
    pub head_timeout: Duration,
    /// Between two requests on one connection.
    pub idle_timeout: Duration,
    /// The largest request body, in bytes.
    pub body_bytes_max: usize,
    /// For the whole body of a request.
    pub body_timeout: Duration,
    /// For a client to take anything of what is sent to it.
    pub write_stall: Duration,
    /// For a client to take all of an answer.
    pub answer_timeout: Duration,
    /// While draining, for a client that keeps its connection to send one more request on it.
    pub drain_linger: Duration,
}

impl Default for FrontLimits {
    /// 10 s, 60 s, 20 MiB, 120 s, 30 s, 1 h, 5 s.
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_bytes_max: 20 << 20,
            body_timeout: Duration::from_secs(120),
            write_stall: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(3_600),
            drain_linger: Duration::from_secs(5),
        }
    }
}
