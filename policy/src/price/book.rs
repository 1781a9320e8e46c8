//! What one tenant pays by.

use std::sync::Arc;

use dialect::Usage;

use super::list::{ModelPrice, PriceList, family};
use super::shipped::shipped;
use super::tier::Tier;

/// Three lists, of which the nearest that has a price counts. Cheap to make and to copy.
#[derive(Debug, Clone, Default)]
pub struct PriceBook {
    tenant: Option<Arc<PriceList>>,
    global: Option<Arc<PriceList>>,
}

/// Whose price it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    Tenant,
    /// The operator's, for every tenant.
    Global,
    /// It comes with the program.
    Shipped,
}

/// A price, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub layer: Layer,
    /// Whether it is that of the model's family ([`family`]).
    pub of_family: bool,
    pub price: Arc<ModelPrice>,
}

/// What an attempt has cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Priced {
    Cost {
        nano_dollars: u64,
        /// Whose price it was, since when, and the rates.
        version: String,
    },
    /// Nobody has said what it costs.
    Unpriced,
}

impl Layer {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Global => "global",
            Self::Shipped => "shipped",
        }
    }
}

impl PriceBook {
    /// A list that is `None`, or empty, has no say.
    pub fn new(tenant: Option<Arc<PriceList>>, global: Option<Arc<PriceList>>) -> Self {
        Self { tenant, global }
    }

    /// The same, with this list for every tenant.
    #[must_use]
    pub fn with_global(&self, global: Arc<PriceList>) -> Self {
        Self {
            tenant: self.tenant.clone(),
            global: Some(global),
        }
    }

    /// The price of a model at an instant: of the very name where any list has it, else of its family; of those the
    /// tenant's, the operator's for all, the one that comes with the program.
    pub fn find(&self, provider: &str, model: &str, at_ms: i64) -> Option<Found> {
        let named = self.find_named(provider, model, at_ms);
        named.or_else(|| {
            let mut found = self.find_named(provider, family(model)?, at_ms)?;
            found.of_family = true;
            Some(found)
        })
    }

    fn find_named(&self, provider: &str, model: &str, at_ms: i64) -> Option<Found> {
        let lists = [
            (Layer::Tenant, self.tenant.as_deref()),
            (Layer::Global, self.global.as_deref()),
            (Layer::Shipped, shipped(provider)),
        ];
        lists.into_iter().find_map(|(layer, list)| {
            let price = list?.exact(provider, model, at_ms)?;
            Some(Found {
                layer,
                of_family: false,
                price: Arc::clone(price),
            })
        })
    }

    /// What this use of a model has cost.
    pub fn cost(&self, provider: &str, model: &str, at_ms: i64, usage: &Usage, tier: Tier) -> Priced {
        let Some(found) = self.find(provider, model, at_ms) else {
            return Priced::Unpriced;
        };
        let part = found.price.price.part(tier, usage.input_tokens);
        let cost = part.and_then(|part| Some((part, part.rates.cost(usage)?)));
        let Some((part, nano_dollars)) = cost else {
            return Priced::Unpriced;
        };
        Priced::Cost {
            nano_dollars,
            version: found.version(&part.text),
        }
    }

    /// How many tokens an answer of this model can have, if anybody says.
    pub fn max_output(&self, provider: &str, model: &str, at_ms: i64) -> Option<u64> {
        self.find(provider, model, at_ms)?.price.max_output
    }
}

impl Found {
    /// Put together by hand, since each call has one.
    fn version(&self, rates: &str) -> String {
        let layer = self.layer.as_str();
        let from = self.price.from_ms.map(|from_ms| from_ms.to_string());
        let from = from.as_deref().unwrap_or_default();
        let mut version = String::with_capacity(layer.len() + 1 + from.len() + 1 + rates.len());
        version.push_str(layer);
        if !from.is_empty() {
            version.push('@');
            version.push_str(from);
        }
        version.push(' ');
        version.push_str(rates);
        version
    }
}
