//! Prices: what the use of a model costs, in whole nano-dollars and without a rounding that anybody would notice.
//!
//! A [`Price`] is what a vendor asks for a model since some day: a rate for each kind of token ([`Rates`]), by tier of
//! service and by how long the input is. A [`PriceList`] has the prices of many models, and a [`PriceBook`] is what one
//! tenant pays by: its own list, the operator's for everybody, and the one that comes with the program.
//!
//! What a call has cost is written down with its [`Priced::version`], which holds the very rates: whatever becomes of
//! the lists, the same sum comes out of the same rows ([`Rates::of_version`]).

mod book;
mod import;
mod list;
mod quote;
mod rates;
mod shipped;
mod tier;

pub use book::{Found, Layer, PriceBook, Priced};
pub use import::{Import, ImportError, Skipped, Taken, import};
pub use list::{ModelPrice, PriceList, family};
pub use quote::{Price, PriceError};
pub use rates::{Component, NANO_DOLLARS, Rate, Rates};
pub use shipped::{ShippedError, Source, shipped, shipped_sources};
pub use tier::Tier;

#[cfg(test)]
mod tests;
