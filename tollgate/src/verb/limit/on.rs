//! Whose use a limit counts, as people write it.

use std::str::FromStr;
use std::sync::Arc;

use policy::limit::Subject;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};

/// A subject, not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    /// By name or id.
    Tenant(String),
    Key(String),
    Credential(String),
    /// The tenant by name or id, and what the provider calls the model, which may have slashes of its own.
    Model {
        tenant: String,
        model: String,
    },
}

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (kind, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty())?;
            match kind {
                "tenant" => Some(Self::Tenant(rest.to_owned())),
                "key" => Some(Self::Key(rest.to_owned())),
                "credential" => Some(Self::Credential(rest.to_owned())),
                "model" => match rest.split_once('/') {
                    Some((tenant, model)) if !tenant.is_empty() && !model.is_empty() => Some(Self::Model {
                        tenant: tenant.to_owned(),
                        model: model.to_owned(),
                    }),
                    _ => None,
                },
                _ => None,
            }
        };
        read().ok_or_else(|| {
            format!(
                "`{text}` is no subject: write `tenant:T`, `key:ID`, `credential:ID` or `model:TENANT/MODEL`"
            )
        })
    }
}

impl On {
    /// The tenant that it belongs to, and itself.
    pub(super) async fn found(&self, desk: &Desk) -> Result<(String, Subject), Failure> {
        match self {
            Self::Tenant(tenant) => Ok((desk.tenant(tenant).await?.id, Subject::Tenant)),
            Self::Model { tenant, model } => {
                let tenant_id = desk.tenant(tenant).await?.id;
                Ok((tenant_id, Subject::Model(Arc::from(model.as_str()))))
            }
            Self::Key(id) => {
                let tenant_id = owner(desk, "gateway key", id).await?;
                Ok((tenant_id, Subject::Key(Arc::from(id.as_str()))))
            }
            Self::Credential(id) => {
                let tenant_id = owner(desk, "credential", id).await?;
                Ok((tenant_id, Subject::Credential(Arc::from(id.as_str()))))
            }
        }
    }
}

/// As it can be typed again.
pub(super) fn shown_subject(tenant_id: &str, subject: &Subject) -> String {
    match subject {
        Subject::Tenant => format!("tenant:{tenant_id}"),
        Subject::Key(id) => format!("key:{id}"),
        Subject::Credential(id) => format!("credential:{id}"),
        Subject::Model(model) => format!("model:{tenant_id}/{model}"),
    }
}

async fn owner(desk: &Desk, what: &str, id: &str) -> Result<String, Failure> {
    let found = desk.store.tenant_of(id).await?;
    found.ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no {what} {id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_as_it_is_shown() {
        for text in [
            "tenant:acme",
            "key:k1",
            "credential:c1",
            "model:acme/meta-llama/Llama-3.3-70B",
        ] {
            let on: On = text.parse().unwrap();
            let shown = match on {
                On::Tenant(tenant) => shown_subject(&tenant, &Subject::Tenant),
                On::Key(id) => shown_subject("acme", &Subject::Key(Arc::from(id))),
                On::Credential(id) => shown_subject("acme", &Subject::Credential(Arc::from(id))),
                On::Model { tenant, model } => shown_subject(&tenant, &Subject::Model(Arc::from(model))),
            };
            assert_eq!(shown, text);
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for text in [
            "",
            "acme",
            "tenant:",
            "planet:mars",
            "model:acme",
            "model:/m",
            "model:acme/",
        ] {
            assert!(text.parse::<On>().is_err(), "{text}");
        }
    }
}
