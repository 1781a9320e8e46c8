//! Anthropic's counts: what was read from a cache, or written to one, is not among its `input_tokens`, but is among
//! ours; and in a stream each count replaces the one told before.

use serde::Deserialize;

use crate::Usage;
use crate::json::ObjectWriter;
use crate::neutral::ServiceTier;
use crate::tier::{self, TierWord};

use super::words;

/// `usage`, of an answer or of an event.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    #[serde(default, deserialize_with = "tier::read")]
    service_tier: Option<TierWord>,
    /// `fast` is one more tier; what else it may be says nothing about the other.
    #[serde(default, deserialize_with = "tier::read")]
    speed: Option<TierWord>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

/// What else stands in `usage`.
#[derive(Deserialize)]
pub(super) struct Tier {
    pub(super) service_tier: Option<String>,
}

impl Counts {
    /// These counts, with those of a later event in their place where it has any.
    pub(super) fn then(self, later: Self) -> Self {
        Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_creation: later.cache_creation.or(self.cache_creation),
            output_tokens: later.output_tokens.or(self.output_tokens),
            output_tokens_details: later.output_tokens_details.or(self.output_tokens_details),
            service_tier: later.service_tier.or(self.service_tier),
            speed: later.speed.or(self.speed),
        }
    }

    /// `None` where nothing is counted.
    pub(super) fn usage(self) -> Option<Usage> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return None;
        }
        let split = self.cache_creation.unwrap_or_default();
        let kept_1h = split.ephemeral_1h_input_tokens.unwrap_or(0);
        let kept_5m = split.ephemeral_5m_input_tokens.unwrap_or(0);
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let written = self
            .cache_creation_input_tokens
            .unwrap_or_else(|| kept_5m.saturating_add(kept_1h));
        let uncached = self.input_tokens.unwrap_or(0);
        Some(Usage {
            input_tokens: uncached.saturating_add(cached).saturating_add(written),
            cached_input_tokens: cached,
            cache_write_tokens: written,
            cache_write_1h_tokens: kept_1h,
            output_tokens: self.output_tokens.unwrap_or(0),
            reasoning_tokens: self
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .unwrap_or(0),
            tier: self.tier(),
            ..Usage::default()
        })
    }

    fn tier(&self) -> Option<TierWord> {
        let fast = self.speed.filter(|speed| speed.as_str() == "fast");
        fast.or(self.service_tier)
    }
}

/// Appends `usage` as Anthropic counts it. It cannot be left out there, so what nobody told is zero.
pub(super) fn write_usage(usage: Option<&Usage>, tier: Option<&ServiceTier>, out: &mut Vec<u8>) {
    let usage = usage.copied().unwrap_or_default();
    let kept_1h = usage.cache_write_1h_tokens.min(usage.cache_write_tokens);
    let beside = usage.cached_input_tokens.saturating_add(usage.cache_write_tokens);
    let mut object = ObjectWriter::new(out);
    object
        .member("input_tokens", &usage.input_tokens.saturating_sub(beside))
        .member("cache_creation_input_tokens", &usage.cache_write_tokens)
        .member("cache_read_input_tokens", &usage.cached_input_tokens);
    let mut split = object.object("cache_creation");
    split
        .member("ephemeral_5m_input_tokens", &(usage.cache_write_tokens - kept_1h))
        .member("ephemeral_1h_input_tokens", &kept_1h);
    split.end();
    object.member("output_tokens", &usage.output_tokens);
    if usage.reasoning_tokens > 0 {
        let mut details = object.object("output_tokens_details");
        details.member("thinking_tokens", &usage.reasoning_tokens);
        details.end();
    }
    // The document wants these two, with nothing in them too.
    object
        .member("server_tool_use", &None::<u64>)
        .member("service_tier", &tier.and_then(words::tier));
    object.end();
}
