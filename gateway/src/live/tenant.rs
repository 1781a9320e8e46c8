//! A tenant as calls see it: its rows, checked and turned into what the hot path uses.

use std::collections::HashMap;
use std::sync::Arc;

use policy::limit::Limit;
use policy::price::{PriceBook, PriceList};
use policy::{ModelAllow, PatternError, Route};
use provider::{BaseUrl, Catalog, ProviderKind, Trust};
use store::{BaseUrlBy, CredentialBundle, GlobalBundle, KeyBundle, LoginBundle, TenantBundle};
use vault::{DigestKey, Secret};

use super::health::Health;
use super::limits::Limits;
use crate::room::RoomTaken;

/// Everything about one tenant that a call may need, as of one revision. Never changed, only replaced.
pub struct TenantState {
    pub id: Arc<str>,
    pub name: String,
    pub disabled: bool,
    /// Whether what would be lost of a call is a reason to refuse it.
    pub strict: bool,
    /// The tenant's revision when this was loaded; a later one means that this is out of date.
    pub revision: i64,
    pub routes: Vec<Route>,
    /// All of them; those that concern a call are found by what it is of.
    pub limits: Vec<Arc<Limit>>,
    /// What its calls cost where that is its own affair.
    pub prices: PriceBook,
    /// Rows that cannot be used and were left out.
    pub left_out: Vec<LeftOut>,
    keys: HashMap<String, Arc<GatewayKey>>,
    /// By provider name; inside one provider the heaviest first, then by name.
    credentials: HashMap<String, Vec<Arc<Credential>>>,
    limits_on: Limits,
    /// What its calls hold, whichever revision they see.
    pub(crate) room_taken: Arc<RoomTaken>,
}

/// A row that makes sense, but cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// `credential` or `gateway key`.
    pub what: &'static str,
    pub id: String,
    pub why: String,
}

/// One gateway key with its one or two live secrets.
pub struct GatewayKey {
    pub id: String,
    pub name: String,
    pub models: ModelAllow,
    rotated_at_ms: Option<i64>,
    expires_at_ms: Option<i64>,
    revoked_at_ms: Option<i64>,
    secrets: Vec<LiveSecret>,
}

/// The keyed digest of a secret, and until when it opens anything (during a rotation's grace period).
struct LiveSecret {
    digest: Vec<u8>,
    valid_until_ms: Option<i64>,
}

/// One credential, ready to be used.
pub struct Credential {
    pub id: String,
    pub name: String,
    pub provider: String,
    pub base_url: BaseUrl,
    pub secret: Option<Secret>,
    /// Of a login with Google: another number is another token. 0 for what is none.
    pub token_version: i64,
    /// How it has fared of late.
    pub health: Health,
}

/// What holds for every tenant.
pub struct GlobalState {
    pub revision: i64,
    pub routes: Vec<Route>,
    /// What calls cost where the operator says so for all.
    pub prices: Arc<PriceList>,
    /// Routes and prices that cannot be read.
    pub broken: u64,
}

impl TenantState {
    /// Builds the state from rows. A credential that cannot be used (unknown provider, bad base URL) is left out
    /// and reported: it must not take its tenant's other credentials with it.
    pub fn build(bundle: TenantBundle, catalog: &Catalog) -> Self {
        let tenant = bundle.tenant;
        let mut credentials: HashMap<String, Vec<Arc<Credential>>> = HashMap::new();
        let mut rows = bundle.credentials;
        rows.retain(|row| !row.credential.disabled);
        let mut left_out = Vec::new();
        rows.sort_by(|a, b| {
            b.credential
                .weight
                .cmp(&a.credential.weight)
                .then_with(|| a.credential.name.cmp(&b.credential.name))
        });
        for row in rows {
            match Credential::build(row, catalog) {
                Ok(credential) => {
                    credentials
                        .entry(credential.provider.clone())
                        .or_default()
                        .push(Arc::new(credential));
                }
                Err(unusable) => left_out.push(unusable),
            }
        }
        let keys = usable_keys(bundle.keys, &mut left_out);
        for LeftOut { what, id, why } in &left_out {
            tracing::warn!(tenant = %tenant.id, %id, %why, "{what} left out");
        }
        let limits: Vec<Arc<Limit>> = bundle.limits.into_iter().map(Arc::new).collect();
        Self {
            id: Arc::from(tenant.id.as_str()),
            name: tenant.name,
            disabled: tenant.disabled,
            strict: tenant.strict,
            revision: bundle.revision,
            routes: bundle.routes,
            left_out,
            keys,
            credentials,
            limits_on: Limits::of(&limits),
            limits,
            prices: PriceBook::new(Some(bundle.prices), None),
            room_taken: Arc::default(),
        }
    }

    /// The key with this id, live or not.
    pub fn key(&self, id: &str) -> Option<&Arc<GatewayKey>> {
        self.keys.get(id)
    }

    /// Takes over what is not in the database from how the tenant was known before: what its calls hold, and how those of
    /// its credentials have fared that have not changed.
    pub(super) fn take_over(&mut self, before: &Self) {
        for credential in self.credentials.values_mut().flatten() {
            let mut known = before.credentials(&credential.provider).iter();
            if let Some(same) = known.find(|known| known.is_same(credential)) {
                *credential = same.clone();
            }
        }
    }

    /// The tenant's usable credentials for a provider, the preferred one first.
    pub fn credentials(&self, provider: &str) -> &[Arc<Credential>] {
        self.credentials.get(provider).map_or(&[], Vec::as_slice)
    }

    /// The limits on all that the tenant does.
    pub fn limits_on_tenant(&self) -> &[Arc<Limit>] {
        self.limits_on.tenant()
    }

    /// The limits on one of its gateway keys.
    pub fn limits_on_key(&self, id: &str) -> &[Arc<Limit>] {
        self.limits_on.key(id)
    }

    /// The limits on one of its credentials.
    pub fn limits_on_credential(&self, id: &str) -> &[Arc<Limit>] {
        self.limits_on.credential(id)
    }

    /// The limits on a model, by what the provider calls it.
    pub fn limits_on_model(&self, model: &str) -> &[Arc<Limit>] {
        self.limits_on.model(model)
    }

    /// The providers for which the tenant has a usable credential, in the order of their names.
    pub fn providers(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.credentials.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// The keys by id. One whose allow-list cannot be read is left out and reported: it must neither open everything nor
/// take its tenant's other keys with it.
fn usable_keys(bundles: Vec<KeyBundle>, left_out: &mut Vec<LeftOut>) -> HashMap<String, Arc<GatewayKey>> {
    let mut keys = HashMap::with_capacity(bundles.len());
    for bundle in bundles {
        let id = bundle.key.id.clone();
        match GatewayKey::build(bundle) {
            Ok(key) => {
                keys.insert(id, Arc::new(key));
            }
            Err(error) => left_out.push(LeftOut {
                what: "gateway key",
                id,
                why: error.to_string(),
            }),
        }
    }
    keys
}

impl GatewayKey {
    fn build(bundle: KeyBundle) -> Result<Self, PatternError> {
        let models = bundle.key.models.as_deref().map(ModelAllow::parse).transpose()?;
        let secrets = bundle
            .digests
            .into_iter()
            .map(|(digest, valid_until_ms)| LiveSecret {
                digest,
                valid_until_ms,
            })
            .collect();
        Ok(Self {
            id: bundle.key.id,
            name: bundle.key.name,
            models: models.unwrap_or_default(),
            rotated_at_ms: bundle.key.rotated_at_ms,
            expires_at_ms: bundle.key.expires_at_ms,
            revoked_at_ms: bundle.key.revoked_at_ms,
            secrets,
        })
    }

    /// Whether `secret` opens this key now. Every live secret is compared, also after one has matched, and before
    /// expiry and revocation are looked at: the work tells nothing about which of them failed.
    pub fn opens(&self, secret: &str, digest_key: &DigestKey, now_ms: i64) -> bool {
        let mut matched = false;
        for live in &self.secrets {
            let current = live.valid_until_ms.is_none_or(|until_ms| now_ms < until_ms);
            matched |= digest_key.verify(secret, &live.digest) & current;
        }
        matched && self.is_live(now_ms)
    }

    /// Whether `secret` is one that does not end with a rotation's grace period.
    pub fn opens_for_good(&self, secret: &str, digest_key: &DigestKey) -> bool {
        let lasting = self.secrets.iter().filter(|live| live.valid_until_ms.is_none());
        lasting.fold(false, |matched, live| {
            matched | digest_key.verify(secret, &live.digest)
        })
    }

    /// When it was last given another secret.
    pub fn rotated_at_ms(&self) -> Option<i64> {
        self.rotated_at_ms
    }

    /// Whether it is neither revoked nor at its end.
    pub fn is_live(&self, now_ms: i64) -> bool {
        self.revoked_at_ms.is_none() && self.expires_at_ms.is_none_or(|at_ms| now_ms < at_ms)
    }
}

impl Credential {
    fn is_same(&self, other: &Self) -> bool {
        let has_same_secret = match (&self.secret, &other.secret) {
            (Some(secret), Some(other)) => secret.matches(other),
            (secret, other) => secret.is_none() && other.is_none(),
        };
        has_same_secret
            && (&self.id, &self.name, &self.base_url, self.token_version)
                == (&other.id, &other.name, &other.base_url, other.token_version)
    }

    fn build(bundle: CredentialBundle, catalog: &Catalog) -> Result<Self, LeftOut> {
        let row = bundle.credential;
        let unusable = |why: String| LeftOut {
            what: "credential",
            id: row.id.clone(),
            why,
        };
        let provider = catalog
            .get(&row.provider)
            .ok_or_else(|| unusable(format!("the catalogue has no provider `{}`", row.provider)))?;
        let token_version = match (provider.kind, bundle.login) {
            (ProviderKind::GeminiCli, login) => usable(login).map_err(|why| unusable(why.to_owned()))?,
            _ => 0,
        };
        let (text, trust) = match (&row.base_url, &provider.base_url) {
            (Some(own), _) if row.base_url_by == BaseUrlBy::Tenant => (own, Trust::Tenant),
            (Some(own), _) => (own, Trust::Operator),
            (None, Some(of_catalogue)) => (of_catalogue, Trust::Operator),
            (None, None) => return Err(unusable(format!("provider `{}` needs a base URL", row.provider))),
        };
        let base_url = BaseUrl::parse(text, trust).map_err(|error| unusable(error.to_string()))?;
        Ok(Self {
            id: row.id,
            name: row.name,
            provider: row.provider,
            base_url,
            secret: bundle.secret,
            token_version,
            health: Health::default(),
        })
    }
}

/// The version of a login's token.
fn usable(login: Option<LoginBundle>) -> Result<i64, &'static str> {
    match login {
        None => Err("it is no login with Google"),
        Some(login) if login.revoked => Err("Google has ended this login"),
        Some(login) if !login.consented => Err("nobody has agreed to the warning for this login yet"),
        Some(login) => Ok(login.token_version),
    }
}

impl GlobalState {
    /// A route that cannot be read leads nowhere, and is reported: no other rule takes its calls, and it does not keep
    /// the others from being true.
    pub fn build(bundle: GlobalBundle) -> Self {
        for why in &bundle.broken {
            tracing::error!(%why, "a row for every tenant makes no sense; what its route matches leads nowhere, what its price is of has none");
        }
        Self {
            revision: bundle.revision,
            routes: bundle.routes,
            prices: bundle.prices,
            broken: bundle.broken.len() as u64,
        }
    }
}
