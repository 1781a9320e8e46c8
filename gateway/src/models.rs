//! Which models a key can reach: what the providers behind it list, and what routes name.

use std::time::Duration;

use bytes::BytesMut;
use dialect::Dialect;
use dialect::openai_chat::ModelEntry;
use dialect::refusal::Refusal;
use futures_util::future::join_all;
use http::{HeaderMap, Method};
use policy::Plan;
use provider::gemini_cli::MODELS;
use provider::{Errand, Provider, ProviderKind, Timeouts, echo};

use crate::call::{Caller, identify, not_found, route, rules};
use crate::clock::now_ms;
use crate::live::Credential;
use crate::worker::{Request, Worker};

const LIST_BYTES_MAX: usize = 8 << 20;
/// A provider that does not list its models within this long is left out.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

impl Worker {
    /// The models that this key can reach, by the names under which it reaches them, in the order of these.
    ///
    /// # Errors
    /// When the caller is not known.
    pub async fn list_models(&self, request: &Request<'_>) -> Result<Vec<ModelEntry>, Refusal> {
        let caller = identify(self.gateway.directory(), request.key, now_ms()).await?;
        let mut entries = self.upstream_models(&caller, request).await;
        entries.extend(self.routed_models(&caller));
        entries.retain(|entry| caller.key.models.allows(&entry.id));
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        entries.dedup_by(|a, b| a.id == b.id);
        Ok(entries)
    }

    /// One of them.
    ///
    /// # Errors
    /// When the caller is not known, or cannot reach a model of this name.
    pub async fn model(&self, request: &Request<'_>, name: &str) -> Result<ModelEntry, Refusal> {
        let entries = self.list_models(request).await?;
        entries
            .into_iter()
            .find(|entry| entry.id == name)
            .ok_or_else(|| not_found(name))
    }

    /// What the caller's providers list, all asked at once.
    async fn upstream_models(&self, caller: &Caller, request: &Request<'_>) -> Vec<ModelEntry> {
        let catalog = self.gateway.directory().catalog();
        let lists = join_all(
            catalog
                .iter()
                .map(|provider| self.models_of(provider, caller, request)),
        )
        .await;
        lists
            .into_iter()
            .flatten()
            .filter_map(|entry| self.reachable(caller, entry))
            .collect()
    }

    async fn models_of(
        &self,
        provider: &Provider,
        caller: &Caller,
        request: &Request<'_>,
    ) -> Vec<ModelEntry> {
        if provider.kind == ProviderKind::Echo {
            return echo::models();
        }
        let Some(credential) = caller.tenant.credentials(&provider.name).first() else {
            return Vec::new();
        };
        if provider.kind == ProviderKind::GeminiCli {
            return self.models_of_gemini_cli(provider);
        }
        if !provider.lists_models {
            return Vec::new();
        }
        let attempt_id = request.call_id.to_string();
        let asked = self.ask_for_models(provider, credential, &attempt_id);
        let listed = self.gateway.model_lists().of(&credential.id, asked).await;
        listed.map(|list| list.as_ref().clone()).unwrap_or_default()
    }

    /// Those that the program can be asked for, where it is switched on: it has no list of its own.
    fn models_of_gemini_cli(&self, provider: &Provider) -> Vec<ModelEntry> {
        let entry = |model: &&str| ModelEntry {
            id: (*model).to_owned(),
            created_at_s: 0,
            owned_by: provider.name.clone(),
        };
        let models = self.upstreams.gemini_cli().map_or(&[][..], |_| &MODELS);
        models.iter().map(entry).collect()
    }

    async fn ask_for_models(
        &self,
        provider: &Provider,
        credential: &Credential,
        attempt_id: &str,
    ) -> Option<Vec<ModelEntry>> {
        let errand = Errand {
            credential_id: &credential.id,
            base_url: &credential.base_url,
            auth: provider.auth,
            dialect: provider.dialect,
            betas: &[],
            secret: credential.secret.as_ref(),
            method: Method::GET,
            path: match provider.dialect {
                Dialect::OpenaiChat | Dialect::OpenaiResponses => "/models",
                // Both tell a page at a time; this is the largest.
                Dialect::AnthropicMessages => "/models?limit=1000",
                Dialect::GeminiGenerate => "/models?pageSize=1000",
            },
            body: Vec::new(),
            streamed: false,
            attempt_id,
            client_headers: &HeaderMap::new(),
            may_go: provider::AT_ANY_TIME,
            timeouts: &Timeouts {
                first_byte_whole: LIST_TIMEOUT,
                gap: LIST_TIMEOUT,
                total: LIST_TIMEOUT,
                ..Timeouts::default()
            },
        };
        let answer = self.upstreams.send(errand).await;
        let list = match answer {
            Ok(answer) if answer.status.is_success() => read(answer, provider).await,
            _ => None,
        };
        if list.is_none() {
            tracing::warn!(provider = %provider.name, credential_id = %credential.id, "no list of models");
        }
        list
    }

    /// The entry under the name by which this caller reaches that model: its own name where a rule leads from it to
    /// the provider, else `provider/model`.
    fn reachable(&self, caller: &Caller, entry: ModelEntry) -> Option<ModelEntry> {
        let leads_there = |name: &str| {
            let plan = rules(self.gateway.directory(), caller, |rules| {
                policy::plan(name, rules)
            })?;
            let target = plan.targets.first()?;
            (target.provider == entry.owned_by && target.model == entry.id).then_some(())
        };
        if leads_there(&entry.id).is_some() {
            return Some(entry);
        }
        let named = format!("{}/{}", entry.owned_by, entry.id);
        leads_there(&named).map(|()| ModelEntry { id: named, ..entry })
    }

    /// The names that routes mention exactly, when something stands behind them.
    fn routed_models(&self, caller: &Caller) -> Vec<ModelEntry> {
        let directory = self.gateway.directory();
        let names = rules(directory, caller, |rules| {
            let routes = rules.tenant.iter().chain(rules.global);
            let names = routes.filter_map(|route| route.pattern.exact());
            names.map(str::to_owned).collect::<Vec<String>>()
        });
        names
            .into_iter()
            .filter_map(|name| {
                let plan = route(directory, caller, &name).ok()?;
                let owned_by = self.first_usable(caller, &plan)?;
                Some(ModelEntry {
                    id: name,
                    created_at_s: 0,
                    owned_by,
                })
            })
            .collect()
    }

    /// The provider of the plan's first target that the caller can use.
    fn first_usable(&self, caller: &Caller, plan: &Plan) -> Option<String> {
        let usable = plan.targets.iter().find(|target| {
            let provider = self.gateway.directory().catalog().get(&target.provider);
            provider.is_some_and(|provider| {
                provider.kind == ProviderKind::Echo || !caller.tenant.credentials(&target.provider).is_empty()
            })
        });
        usable.map(|target| target.provider.clone())
    }
}

async fn read(mut answer: provider::Answer, provider: &Provider) -> Option<Vec<ModelEntry>> {
    let mut body = BytesMut::new();
    while let Some(piece) = answer.body.next().await {
        body.extend_from_slice(&piece.ok()?);
        if body.len() > LIST_BYTES_MAX {
            return None;
        }
    }
    provider.dialect.read_model_list(&body, &provider.name)
}
