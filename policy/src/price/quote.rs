//! A price as it is written: `input 4, cached 0.4, output 20; batch: input 2, output 10; over 272000: input 8, output 30`.
//!
//! Each part, ended by a semicolon or a line, holds the rates of one tier of service, the usual one where none is named;
//! behind `over N` those by which all of a call is charged whose input is longer than N tokens.

use std::fmt;
use std::str::FromStr;

use super::rates::{Component, Rates};
use super::tier::Tier;

/// What is asked for a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Price {
    /// By how much input they begin above, then by tier. The first is the usual tier from the first token on.
    parts: Box<[Part]>,
}

/// The rates of one tier above some length of input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    over: u64,
    tier: Tier,
    pub(super) rates: Rates,
    /// The rates as they are written, which each call that is charged by them has to tell.
    pub(super) text: Box<str>,
}

/// A text that is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    #[error("`{0}` is not a price: write dollars for a million tokens, with at most nine decimals")]
    Rate(String),
    #[error("`{0}` is not a rate: write a kind of token and its price, as in `input 2.5`")]
    NotARate(String),
    #[error("there is no kind of token `{0}`: write {kinds}", kinds = kinds())]
    NoSuchKind(String),
    #[error("`{0}` is there twice")]
    Twice(String),
    #[error("`{0}:` is no beginning of a part: write `TIER:`, `over N:` or `over N TIER:`")]
    Head(String),
    #[error("the usual tier has no price for input")]
    NoInput,
}

fn kinds() -> String {
    Component::ALL.map(Component::as_str).join(", ")
}

impl Price {
    /// The rates by which a call is charged; `None` for a tier that may be dearer than the usual one and has no price here.
    ///
    /// A cheaper tier without a price of its own is charged as the usual one.
    pub fn rates(&self, tier: Tier, input_tokens: u64) -> Option<&Rates> {
        self.part(tier, input_tokens).map(|part| &part.rates)
    }

    pub(super) fn part(&self, tier: Tier, input_tokens: u64) -> Option<&Part> {
        let of_tier = |over: u64, tier: Tier| {
            let mut parts = self.parts.iter();
            parts.find(|part| part.over == over && part.tier == tier)
        };
        let overs = self.parts.iter().rev().map(|part| part.over);
        let over = overs.filter(|over| *over == 0 || input_tokens > *over).max()?;
        let own = of_tier(over, tier);
        let is_sold = tier.is_cheap() || of_tier(0, tier).is_some();
        own.or_else(|| of_tier(over, Tier::Standard).filter(|_| is_sold))
            .or_else(|| of_tier(0, tier))
    }

    /// The rates that a call may be charged by whose input is at most this long.
    pub fn all_rates_up_to(&self, tier: Tier, input_tokens: u64) -> impl Iterator<Item = Option<&Rates>> {
        let overs = self.parts.iter().map(|part| part.over);
        overs
            .filter(move |over| *over == 0 || input_tokens > *over)
            .map(move |over| self.rates(tier, over.saturating_add(1)))
    }

    /// Each tier's rates, with the number of input tokens above which they hold.
    pub fn parts(&self) -> impl Iterator<Item = (u64, Tier, &Rates)> {
        self.parts.iter().map(|part| (part.over, part.tier, &part.rates))
    }

    /// A price that is there and that nobody knows: what costs so is unpriced.
    pub fn unknown() -> Self {
        Self {
            parts: Box::default(),
        }
    }

    /// A price with nothing but these rates.
    ///
    /// # Errors
    /// When there is none for input.
    pub fn flat(rates: Rates) -> Result<Self, PriceError> {
        Self::of(vec![(0, Tier::Standard, rates)])
    }

    /// A price of these parts.
    ///
    /// # Errors
    /// When one is there twice, or the usual tier has no price for input.
    pub fn of(parts: Vec<(u64, Tier, Rates)>) -> Result<Self, PriceError> {
        let mut parts: Vec<Part> = parts
            .into_iter()
            .map(|(over, tier, rates)| Part::new(over, tier, rates))
            .collect();
        parts.sort_by_key(|part| (part.over, part.tier));
        let is_same = |two: &&[Part]| matches!(two, [a, b] if (a.over, a.tier) == (b.over, b.tier));
        if let Some([part, ..]) = parts.windows(2).find(is_same) {
            return Err(PriceError::Twice(part.head()));
        }
        let has_input = |part: &Part| part.rates.own(Component::Input).is_some();
        let is_usual = |part: &Part| part.over == 0 && part.tier == Tier::Standard;
        if parts.first().is_some_and(is_usual) && parts.iter().all(has_input) {
            return Ok(Self {
                parts: parts.into_boxed_slice(),
            });
        }
        Err(PriceError::NoInput)
    }
}

impl Part {
    fn new(over: u64, tier: Tier, rates: Rates) -> Self {
        Self {
            over,
            tier,
            rates,
            text: rates.to_string().into(),
        }
    }

    fn read(text: &str) -> Result<Self, PriceError> {
        let (head, rates) = text.split_once(':').unwrap_or(("", text));
        let bad = || PriceError::Head(head.trim().to_owned());
        let mut words = head.split_whitespace().peekable();
        let over = match words.next_if_eq(&"over") {
            Some(_) => words
                .next()
                .and_then(|number| number.parse().ok())
                .filter(|over| *over > 0)
                .ok_or_else(bad)?,
            None => 0,
        };
        let tier = match words.next() {
            Some(word) => Tier::from_word(word).ok_or_else(bad)?,
            None => Tier::Standard,
        };
        if words.next().is_some() {
            return Err(bad());
        }
        Ok(Self::new(over, tier, rates.parse()?))
    }

    fn head(&self) -> String {
        match (self.over, self.tier) {
            (0, tier) => tier.as_str().to_owned(),
            (over, Tier::Standard) => format!("over {over}"),
            (over, tier) => format!("over {over} {}", tier.as_str()),
        }
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let texts = text.split([';', '\n']).filter(|part| !part.trim().is_empty());
        let parts: Vec<Part> = texts.map(Part::read).collect::<Result<_, _>>()?;
        Self::of(
            parts
                .into_iter()
                .map(|part| (part.over, part.tier, part.rates))
                .collect(),
        )
    }
}

impl fmt::Display for Price {
    /// As it is read; the parts always in the same order, so that equal prices are equal texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, part) in self.parts.iter().enumerate() {
            if number > 0 {
                write!(f, "; {}: ", part.head())?;
            }
            f.write_str(&part.text)?;
        }
        Ok(())
    }
}
