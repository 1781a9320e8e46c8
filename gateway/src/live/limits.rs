//! A tenant's limits, by whose use they count.

use std::collections::HashMap;
use std::sync::Arc;

use policy::limit::{Limit, Subject};

/// Looked at for each call and attempt, so nothing is searched or made there.
#[derive(Debug, Default)]
pub(super) struct Limits {
    tenant: Vec<Arc<Limit>>,
    keys: ById,
    credentials: ById,
    models: ById,
}

type ById = HashMap<Arc<str>, Vec<Arc<Limit>>>;

impl Limits {
    pub(super) fn of(limits: &[Arc<Limit>]) -> Self {
        let mut found = Self::default();
        for limit in limits {
            let of_this = match &limit.subject {
                Subject::Tenant => &mut found.tenant,
                Subject::Key(id) => found.keys.entry(id.clone()).or_default(),
                Subject::Credential(id) => found.credentials.entry(id.clone()).or_default(),
                Subject::Model(model) => found.models.entry(model.clone()).or_default(),
            };
            of_this.push(limit.clone());
        }
        found
    }

    pub(super) fn tenant(&self) -> &[Arc<Limit>] {
        &self.tenant
    }

    pub(super) fn key(&self, id: &str) -> &[Arc<Limit>] {
        on(&self.keys, id)
    }

    pub(super) fn credential(&self, id: &str) -> &[Arc<Limit>] {
        on(&self.credentials, id)
    }

    pub(super) fn model(&self, model: &str) -> &[Arc<Limit>] {
        on(&self.models, model)
    }
}

fn on<'a>(limits: &'a ById, id: &str) -> &'a [Arc<Limit>] {
    limits.get(id).map_or(&[], Vec::as_slice)
}
