//! Talking to vendors: who they are ([`Catalog`]), where they are ([`BaseUrl`]), and which addresses may be reached
//! on a tenant's word ([`address`]).

pub mod address;
mod base_url;
mod catalog;

pub use base_url::{BaseUrl, BaseUrlError, Trust};
pub use catalog::{AuthStyle, Catalog, CatalogError, Provider};
