//! Prices out of the files that the community keeps: LiteLLM's `model_prices_and_context_window.json` and the `api.json`
//! of models.dev. What is taken, what is left out and why, is all told; nothing is guessed.

mod litellm;
mod models_dev;
mod number;

use std::collections::HashSet;

use dialect::json::Members;
use serde_json::value::RawValue;

use super::quote::{Price, PriceError};
use super::rates::{Component, Rate, Rates};
use super::tier::Tier;

/// What became of a file.
#[derive(Debug, Default)]
pub struct Import {
    pub taken: Vec<Taken>,
    pub skipped: Vec<Skipped>,
}

/// A price that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub provider: &'static str,
    pub model: String,
    pub price: Price,
    pub context: Option<u64>,
    pub max_output: Option<u64>,
    /// What else is charged for, which no price of tokens can say.
    pub beside: Vec<String>,
}

/// An entry that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

/// A file that is none of those.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("it is no JSON object")]
    NotJson,
    #[error("it is neither LiteLLM's file of prices nor the api.json of models.dev")]
    UnknownForm,
}

/// Reads a file, whichever of the two it is.
///
/// # Errors
/// When it is neither.
pub fn import(text: &str) -> Result<Import, ImportError> {
    let entries = members(text).ok_or(ImportError::NotJson)?;
    let has = |name: &'static str| {
        let mut values = entries.iter().filter_map(|(_, value)| Members::read(value.get()));
        values.any(|mut entry| entry.take(name).is_some())
    };
    let mut import = Import::default();
    if has("litellm_provider") {
        litellm::read(&entries, &mut import);
    } else if has("models") {
        models_dev::read(&entries, &mut import);
    } else {
        return Err(ImportError::UnknownForm);
    }
    import.leave_out_doubles();
    Ok(import)
}

type Entry<'a> = (String, &'a RawValue);

/// The members of an object, in their order; `None` when it is none.
fn members(json: &str) -> Option<Vec<Entry<'_>>> {
    let members = Members::read(json)?;
    Some(
        members
            .rest()
            .map(|(name, value)| (name.into_owned(), value))
            .collect(),
    )
}

impl Import {
    fn skip(&mut self, name: &str, why: impl Into<String>) {
        self.skipped.push(Skipped {
            name: name.to_owned(),
            why: why.into(),
        });
    }

    /// Two entries can come to one model, written with and without its provider. The first counts.
    fn leave_out_doubles(&mut self) {
        let mut known = HashSet::new();
        let mut doubles = Vec::new();
        self.taken.retain(|taken| {
            let is_new = known.insert((taken.provider, taken.model.clone()));
            if !is_new {
                doubles.push(format!("{}/{}", taken.provider, taken.model));
            }
            is_new
        });
        for name in doubles {
            self.skip(&name, "it is there already, under another name");
        }
    }
}

/// Rates on their way to a price.
#[derive(Default)]
struct Parts(Vec<(u64, Tier, Rates)>);

impl Parts {
    fn set(&mut self, over: u64, tier: Tier, component: Component, rate: Rate) {
        let is_it = |part: &&mut (u64, Tier, Rates)| (part.0, part.1) == (over, tier);
        if let Some((_, _, rates)) = self.0.iter_mut().find(is_it) {
            rates.set(component, rate);
            return;
        }
        let mut rates = Rates::default();
        rates.set(component, rate);
        self.0.push((over, tier, rates));
    }

    /// The price that they are. A part without a price for input is left out; what else a part does not say is as the usual
    /// part of the same length says.
    fn price(mut self) -> Result<Price, String> {
        let usual: Vec<(u64, Rates)> = self
            .0
            .iter()
            .filter(|(_, tier, _)| *tier == Tier::Standard)
            .map(|(over, _, rates)| (*over, *rates))
            .collect();
        self.0
            .retain(|(_, _, rates)| rates.own(Component::Input).is_some());
        for (over, tier, rates) in &mut self.0 {
            let longest = usual
                .iter()
                .filter(|(from, _)| from <= over)
                .max_by_key(|(from, _)| *from);
            if let Some((_, usual)) = longest
                && *tier != Tier::Standard
            {
                rates.fill_from(usual);
            }
        }
        match self
            .0
            .iter()
            .find(|(over, tier, _)| (*over, *tier) == (0, Tier::Standard))
        {
            None => Err("it has no price for tokens of input".to_owned()),
            Some((_, _, rates)) if rates.is_free() => {
                Err("its price is 0, which may mean free of charge or unknown".to_owned())
            }
            Some(_) => Price::of(self.0).map_err(|error: PriceError| error.to_string()),
        }
    }
}

/// A count of tokens, which some write as `2e5`.
fn tokens(value: Option<&RawValue>) -> Option<u64> {
    number::whole(value?.get()).filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests;
