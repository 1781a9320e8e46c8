//! Rows, on SQLite and on Postgres. The only crate with SQL.
//!
//! One SQL text serves both databases, by sqlx's `Any` driver; only the ledger is written by each one's own. Ids and times come in as arguments. Secrets come in and
//! go out as [`vault::Secret`]; what lies in the database is sealed.
//!
//! Every change takes the next revision, writes one audit row, and is seen by all replicas: see [`Change`] and
//! [`Store::changes_since`]. What a call needs about a tenant is read at once, as a [`TenantBundle`].

mod admin_key;
mod append;
mod audit;
mod bundle;
mod change;
mod credential;
mod error;
mod gateway_key;
mod given;
mod google_attempt;
mod google_login;
mod lease;
mod ledger;
mod limit;
mod limit_use;
mod master;
mod migrate;
mod name;
mod open;
mod presence;
mod price;
mod probe;
mod revision;
mod route;
mod row;
mod tenant;
mod ui_session;
mod usage;

pub use admin_key::{AdminKey, AdminKeyBundle, AdminRole, NewAdminKey};
pub use audit::AuditRow;
pub use bundle::{CredentialBundle, GlobalBundle, KeyBundle, LoginBundle, TenantBundle};
pub use change::Change;
pub use credential::{BaseUrlBy, Credential, NewCredential};
pub use error::StoreError;
pub use gateway_key::{GatewayKey, NewGatewayKey};
pub use google_attempt::{GoogleAttempt, NewGoogleAttempt, TakenAttempt};
pub use google_login::{GoogleFailure, GoogleKind, GoogleLogin, NewGoogleLogin};
pub use lease::{Begun, Disagreement, LeaseSums, Tidied, WindowReport};
pub use ledger::{Appended, AttemptRow, AttemptUsage};
pub use limit::{LimitRow, NewLimit};
pub use limit_use::LimitUse;
pub use master::{BrokenBlob, ENCRYPTED_COLUMNS, EncryptedColumn, Rewrapped, SealedReport, VaultStatus};
pub use migrate::Migrated;
pub use open::{Store, StoreOptions};
pub use price::{NewPrice, PriceRow};
pub use revision::{Changes, Wakeups};
pub use route::{NewRoute, RouteRow};
pub use tenant::{NewTenant, Tenant};
pub use ui_session::UiSession;
pub use usage::{UsageBy, UsageDifference, UsageLine, UsageQuery};

/// The scope of what belongs to every tenant, where a tenant's id stands otherwise.
const EVERY_TENANT: &str = "*";
