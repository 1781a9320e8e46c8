//! Rates: nano-dollars for a million tokens, one for each kind of token.
//!
//! A vendor's price is a decimal of dollars for a million tokens, which is a whole number of nano-dollars when it has no
//! more than nine decimals. So nothing is lost before the one division at the end of a row.

use std::fmt;
use std::str::FromStr;

use dialect::Usage;

use super::quote::PriceError;

/// Nano-dollars in a dollar.
pub const NANO_DOLLARS: u64 = 1_000_000_000;
const DECIMALS: usize = 9;
/// Tokens that a rate is for.
const TOKENS: u128 = 1_000_000;

/// Nano-dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(pub u64);

/// A kind of token with a price of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    Input,
    /// Input that was read from the provider's cache.
    Cached,
    /// Input that was written to it.
    CacheWrite,
    /// Input that was written to it to be kept for an hour.
    CacheWrite1h,
    AudioInput,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
}

const COMPONENTS: usize = 9;

/// What each kind of token costs. A kind without a rate costs what it is a kind of: cached input as input, reasoning as
/// output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rates([Option<Rate>; COMPONENTS]);

impl Component {
    pub const ALL: [Self; COMPONENTS] = [
        Self::Input,
        Self::Cached,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Cached => "cached",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::AudioInput => "audio_input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.as_str() == word)
    }

    /// Whose rate holds where it has none.
    fn parent(self) -> Option<Self> {
        match self {
            Self::Input | Self::Output => None,
            Self::Cached | Self::CacheWrite | Self::AudioInput => Some(Self::Input),
            Self::CacheWrite1h => Some(Self::CacheWrite),
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput => Some(Self::Output),
        }
    }

    pub fn is_output(self) -> bool {
        matches!(
            self,
            Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput
        )
    }
}

impl Rates {
    /// The rate of its own that a kind has.
    pub fn own(&self, component: Component) -> Option<Rate> {
        self.0.get(component as usize).copied().flatten()
    }

    /// The rate by which a kind is charged; `None` where there is none for it.
    pub fn rate(&self, component: Component) -> Option<Rate> {
        self.own(component).or_else(|| self.rate(component.parent()?))
    }

    pub fn set(&mut self, component: Component, rate: Rate) {
        if let Some(place) = self.0.get_mut(component as usize) {
            *place = Some(rate);
        }
    }

    /// Takes the rates that it lacks from others.
    pub(super) fn fill_from(&mut self, others: &Self) {
        for (own, other) in self.0.iter_mut().zip(others.0) {
            *own = own.or(other);
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.0.iter().flatten().all(|rate| rate.0 == 0)
    }

    /// The dearest rate that input can have, or output; `None` where there is none for it.
    pub fn dearest(&self, of_output: bool) -> Option<Rate> {
        let kinds = Component::ALL.into_iter();
        kinds
            .filter(|component| component.is_output() == of_output)
            .filter_map(|component| self.rate(component))
            .max()
    }

    /// What this use costs in nano-dollars, a half rounded up; `None` when something was used for which there is no rate,
    /// or nobody could pay it.
    pub fn cost(&self, usage: &Usage) -> Option<u64> {
        let mut sum = 0_u128;
        for (component, tokens) in parts(usage) {
            if tokens > 0 {
                sum += u128::from(tokens) * u128::from(self.rate(component)?.0);
            }
        }
        rounded(sum)
    }

    /// The most that so many tokens can cost, whatever kinds they turn out to be of.
    pub fn cost_at_most(&self, input_tokens: u64, output_tokens: u64) -> Option<u64> {
        let mut sum = 0_u128;
        for (tokens, of_output) in [(input_tokens, false), (output_tokens, true)] {
            if tokens > 0 {
                sum += u128::from(tokens) * u128::from(self.dearest(of_output)?.0);
            }
        }
        // What is rounded up here can only be more than what is rounded to the nearest.
        u64::try_from(sum.div_ceil(TOKENS)).ok()
    }

    /// The rates that a row of the ledger was priced by.
    ///
    /// # Errors
    /// When the text is no version of ours.
    pub fn of_version(version: &str) -> Result<Self, PriceError> {
        let (_origin, rates) = version.split_once(' ').unwrap_or_default();
        rates.parse()
    }
}

fn rounded(sum: u128) -> Option<u64> {
    u64::try_from((sum + TOKENS / 2) / TOKENS).ok()
}

/// The tokens of a use, each counted once. A provider's counts may not add up; no more of a kind is believed than there is
/// of what it is a kind of.
fn parts(usage: &Usage) -> [(Component, u64); COMPONENTS] {
    let mut input = usage.input_tokens;
    let cached = take(&mut input, usage.cached_input_tokens);
    let written = take(&mut input, usage.cache_write_tokens);
    let written_1h = usage.cache_write_1h_tokens.min(written);
    let audio_input = take(&mut input, usage.audio_input_tokens);
    let mut output = usage.output_tokens;
    let image_output = take(&mut output, usage.image_output_tokens);
    let audio_output = take(&mut output, usage.audio_output_tokens);
    let reasoning = take(&mut output, usage.reasoning_tokens);
    [
        (Component::Input, input),
        (Component::Cached, cached),
        (Component::CacheWrite, written - written_1h),
        (Component::CacheWrite1h, written_1h),
        (Component::AudioInput, audio_input),
        (Component::Output, output),
        (Component::Reasoning, reasoning),
        (Component::AudioOutput, audio_output),
        (Component::ImageOutput, image_output),
    ]
}

fn take(from: &mut u64, tokens: u64) -> u64 {
    let taken = tokens.min(*from);
    *from -= taken;
    taken
}

impl FromStr for Rate {
    type Err = PriceError;

    /// Reads dollars for a million tokens: `2.5`. Exactly, or not at all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || PriceError::Rate(text.to_owned());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let decimals = match decimals.trim_end_matches('0') {
            "" if is_digits(decimals) => "0",
            decimals => decimals,
        };
        if !is_digits(whole) || !is_digits(decimals) || decimals.len() > DECIMALS {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let nano: u64 = format!("{decimals:0<DECIMALS$}").parse().map_err(|_| bad())?;
        let rate = whole
            .checked_mul(NANO_DOLLARS)
            .and_then(|rate| rate.checked_add(nano));
        rate.map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nano) = (self.0 / NANO_DOLLARS, self.0 % NANO_DOLLARS);
        let decimals = format!("{nano:0>DECIMALS$}");
        match decimals.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}

impl FromStr for Rates {
    type Err = PriceError;

    /// Reads `input 2.5, cached 1.25, output 10`, in any order.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rates = Self::default();
        for part in text.split(',') {
            let mut words = part.split_whitespace();
            let (Some(name), Some(rate), None) = (words.next(), words.next(), words.next()) else {
                return Err(PriceError::NotARate(part.trim().to_owned()));
            };
            let component =
                Component::from_word(name).ok_or_else(|| PriceError::NoSuchKind(name.to_owned()))?;
            if rates.own(component).is_some() {
                return Err(PriceError::Twice(name.to_owned()));
            }
            rates.set(component, rate.parse()?);
        }
        Ok(rates)
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for component in Component::ALL {
            if let Some(rate) = self.own(component) {
                write!(f, "{comma}{} {rate}", component.as_str())?;
                comma = ", ";
            }
        }
        Ok(())
    }
}
