//! Many models' prices, and which of them a model's name means.

use std::collections::HashMap;
use std::sync::Arc;

use super::quote::Price;

/// Prices by provider and model.
#[derive(Debug, Default)]
pub struct PriceList {
    providers: HashMap<Arc<str>, Models>,
}

/// By model, of each the latest price first.
type Models = HashMap<Arc<str>, Vec<Arc<ModelPrice>>>;

/// What a model costs since some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPrice {
    /// `None` where it is not known to have been another one before.
    pub from_ms: Option<i64>,
    pub price: Price,
    /// How many tokens of input the model takes, if anybody says.
    pub context: Option<u64>,
    /// How many tokens an answer can have, if anybody says.
    pub max_output: Option<u64>,
}

impl PriceList {
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// Adds a price; whether there was none yet of this model from the same instant on. If there was, it stays.
    pub fn add(&mut self, provider: &str, model: &str, price: Arc<ModelPrice>) -> bool {
        let of_provider = match self.providers.get_mut(provider) {
            Some(known) => known,
            None => self.providers.entry(Arc::from(provider)).or_default(),
        };
        let prices = of_provider.entry(Arc::from(model)).or_default();
        let at = prices.partition_point(|known| known.from_ms > price.from_ms);
        let is_new = prices.get(at).is_none_or(|known| known.from_ms != price.from_ms);
        if is_new {
            prices.insert(at, price);
        }
        is_new
    }

    /// The price of exactly this model at an instant.
    pub fn exact(&self, provider: &str, model: &str, at_ms: i64) -> Option<&Arc<ModelPrice>> {
        let prices = self.providers.get(provider)?.get(model)?;
        let has_begun = |price: &&Arc<ModelPrice>| price.from_ms.is_none_or(|from_ms| from_ms <= at_ms);
        prices.iter().find(has_begun)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Arc<ModelPrice>)> {
        self.providers.iter().flat_map(|(provider, models)| {
            models.iter().flat_map(move |(model, prices)| {
                prices.iter().map(move |price| (&**provider, &**model, price))
            })
        })
    }
}

/// The name of the family that a dated model belongs to, whose price it has where it has none of its own: what stands
/// before `-2024-08-06`, `-20250929`, `@20250929` or `-latest`; and of a model that was tuned (`ft:gpt-4o:acme::1`) the
/// first two pieces. `None` for any other name.
pub fn family(model: &str) -> Option<&str> {
    if let Some(tuned) = model.strip_prefix("ft:")
        && let Some((base, _)) = tuned.split_once(':')
    {
        return model.get(.."ft:".len() + base.len());
    }
    let base = model.strip_suffix("-latest").or_else(|| undated(model))?;
    (!base.is_empty()).then_some(base)
}

fn undated(model: &str) -> Option<&str> {
    let tail = |length: usize| model.split_at_checked(model.len().checked_sub(length)?);
    let is_date = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                form => byte == form,
            })
    };
    for form in ["-0000-00-00", "-00000000", "@00000000"] {
        if let Some((base, date)) = tail(form.len())
            && is_date(date, form)
        {
            return Some(base);
        }
    }
    None
}
