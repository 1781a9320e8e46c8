//! The prices that come with the program: one file for each vendor in `policy/prices/`. A vendor's file is read when its
//! first price is asked for, so that a gateway keeps in memory what it uses.
//!
//! A call is charged by the prices of the day on which it was made: what becomes wrong in a file stays there, and the new
//! price is added with the day from which it holds.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use toml::value::{Date, Datetime};

use super::list::{ModelPrice, PriceList};
use super::quote::PriceError;

/// Where a figure is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub provider: String,
    pub model: String,
    /// The page that says so.
    pub page: String,
    /// The day on which it was looked at.
    pub seen: Date,
    pub price: Arc<ModelPrice>,
}

/// A file that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shipped prices of {vendor} make no sense: {why}")]
pub struct ShippedError {
    pub vendor: &'static str,
    pub why: String,
}

/// A vendor's prices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The page with the figures, and the day on which it was looked at; where a price has its own, that counts.
    source: String,
    seen: Datetime,
    price: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    models: Vec<String>,
    from: Option<Datetime>,
    source: Option<String>,
    seen: Option<Datetime>,
    context: Option<u64>,
    max_output: Option<u64>,
    price: String,
}

struct Vendor {
    /// The file's own name first, then those of providers that sell the same models at the same prices.
    providers: &'static [&'static str],
    text: &'static str,
    list: LazyLock<Option<PriceList>, fn() -> Option<PriceList>>,
}

const COUNT: usize = 16;

macro_rules! vendors {
    ($($file:ident: $providers:expr;)*) => {
        mod lists {
            $(pub(super) fn $file() -> Option<super::PriceList> {
                super::list(stringify!($file)).ok()
            })*
        }

        static VENDORS: [Vendor; COUNT] = [$(Vendor {
            providers: $providers,
            text: include_str!(concat!("../../prices/", stringify!($file), ".toml")),
            list: LazyLock::new(lists::$file),
        }),*];
    };
}

vendors! {
    openai: &["openai", "azure"];
    anthropic: &["anthropic"];
    gemini: &["gemini", "gemini_openai", "vertex"];
    mistral: &["mistral"];
    deepseek: &["deepseek"];
    xai: &["xai"];
    groq: &["groq"];
    cerebras: &["cerebras"];
    together: &["together"];
    fireworks: &["fireworks"];
    moonshot: &["moonshot"];
    zai: &["zai"];
    alibaba: &["alibaba"];
    deepinfra: &["deepinfra"];
    sambanova: &["sambanova"];
    bedrock: &["bedrock"];
}

/// The list that has the prices of a provider.
pub fn shipped(provider: &str) -> Option<&'static PriceList> {
    let vendor = VENDORS
        .iter()
        .find(|vendor| vendor.providers.contains(&provider))?;
    vendor.list.as_ref()
}

/// Every price that comes with the program, and where it is from.
///
/// # Errors
/// When a file makes no sense, which a test rules out.
pub fn shipped_sources() -> Result<Vec<Source>, ShippedError> {
    let mut all = Vec::new();
    for vendor in &VENDORS {
        all.extend(vendor.sources().map_err(|why| ShippedError {
            vendor: vendor.name(),
            why,
        })?);
    }
    Ok(all)
}

fn list(name: &str) -> Result<PriceList, String> {
    let vendor = VENDORS.iter().find(|vendor| vendor.name() == name);
    let mut list = PriceList::default();
    for source in vendor.ok_or("there is no such vendor")?.sources()? {
        list.add(&source.provider, &source.model, source.price);
    }
    Ok(list)
}

impl Vendor {
    fn name(&self) -> &'static str {
        self.providers.first().copied().unwrap_or_default()
    }

    fn sources(&self) -> Result<Vec<Source>, String> {
        let file: File = toml::from_str(self.text).map_err(|error| error.to_string())?;
        let mut sources = Vec::new();
        for entry in &file.price {
            let bad = |why: String| format!("{}: {why}", entry.models.join(", "));
            let seen = day(entry.seen.unwrap_or(file.seen)).map_err(bad)?;
            let price = Arc::new(entry.price().map_err(bad)?);
            for model in &entry.models {
                sources.extend(self.providers.iter().map(|provider| Source {
                    provider: (*provider).to_owned(),
                    model: model.clone(),
                    page: entry.source.as_ref().unwrap_or(&file.source).clone(),
                    seen,
                    price: Arc::clone(&price),
                }));
            }
        }
        Ok(sources)
    }
}

impl Entry {
    fn price(&self) -> Result<ModelPrice, String> {
        let from = self.from.map(day).transpose()?;
        Ok(ModelPrice {
            from_ms: from.map(start_ms),
            price: self
                .price
                .parse()
                .map_err(|error: PriceError| error.to_string())?,
            context: self.context,
            max_output: self.max_output,
        })
    }
}

fn day(written: Datetime) -> Result<Date, String> {
    let day = written
        .date
        .filter(|_| written.time.is_none() && written.offset.is_none());
    day.ok_or_else(|| format!("{written} is not a day"))
}

/// The first instant of a day, UTC: by the days since the beginning of March of the year 0, after which leap days are the
/// last of their year.
fn start_ms(day: Date) -> i64 {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    const EPOCH: i64 = 719_468;
    let (year, month) = (i64::from(day.year), i64::from(day.month));
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    let of_months = (153 * month + 2) / 5;
    (of_years + of_months + i64::from(day.day) - 1 - EPOCH) * DAY_MS
}
