//! Talking to vendors: who they are ([`Catalog`]), where they are ([`BaseUrl`]), which addresses may be reached on a
//! tenant's word ([`address`]), and sending them a request ([`Upstreams`]);
//! [`gemini_cli`], the program that is run as a provider; and [`echo`], the provider that needs no account.

pub mod address;
mod base_url;
mod catalog;
pub mod echo;
mod endpoint;
pub mod gemini_cli;
mod glob;
pub mod google;
mod profile;
mod upstream;
pub mod vertex;

pub use base_url::{BaseUrl, BaseUrlError, Trust};
pub use catalog::{AuthStyle, Catalog, CatalogError, Embeds, OnCancel, Provider, ProviderKind, StreamUsage};
pub use endpoint::{Endpoint, EndpointError, Operation};
pub use glob::Glob;
pub use upstream::{
    AT_ANY_TIME, Answer, AnswerBody, BodyFault, Courier, Errand, MayGo, SendFault, Timeouts, TlsError,
    Tokens, UpstreamSettings, Upstreams,
};
