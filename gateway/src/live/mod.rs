//! What calls need to know, in memory.
//!
//! [`Directory`] answers "whose key is this" and "what does this tenant have" without the database once a tenant has
//! been seen; [`follow`] keeps it true when rows change, here or on another replica.

mod directory;
mod follow;
mod health;
mod limits;
mod model_lists;
mod poison;
mod rejected;
mod signs;
mod tenant;

pub use directory::{Directory, DirectorySettings, LookupError, built_in_routes};
pub use follow::follow;
pub use health::Health;
pub(crate) use health::Rest;
pub(crate) use model_lists::ModelLists;
pub use tenant::{Credential, GatewayKey, GlobalState, LeftOut, TenantState};
