//! How a caller stands with its limits, as answers tell it in their heads.

/// One limit: of requests, or of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub limit: u64,
    /// At least so much is left.
    pub remaining: u64,
    /// Until all of it is there again.
    pub reset_s: u64,
    /// When that is, in seconds since the Unix epoch.
    pub reset_at_s: i64,
}

/// The tightest limit of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    pub requests: Option<Rate>,
    pub tokens: Option<Rate>,
}
