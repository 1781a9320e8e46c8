//! What a candidate is sent: the client's own bytes where it speaks the client's dialect, else a translation.

use bytes::Bytes;
use dialect::embeddings::{Form, Manner};
use dialect::neutral::{OwnedHeading, Target};
use dialect::refusal::{Code, Refusal};
use dialect::translate::{Crossing, Sent};
use dialect::{Counter, Dialect, Envelope, Spliced, Splicing, gemini_generate, splice};
use provider::{Embeds, Endpoint, EndpointError, Operation as At, ProviderKind, StreamUsage};

use super::attempt::Candidate;
use super::estimate::estimate;
use crate::clock::now_ms;
use crate::live::TenantState;
use crate::worker::{Asked, Operation, Request};

/// What comes of it.
pub(super) enum Prepared {
    Send(Parcel),
    /// The provider cannot be asked for this: here is an answer of our own.
    Answered(Bytes),
}

/// A body to send, where to, and what its answer has to be put through.
pub(super) struct Parcel {
    /// In which the provider is spoken to.
    pub(super) dialect: Dialect,
    pub(super) pieces: Vec<Bytes>,
    /// Whether a stream is asked for; not always because the client wants one.
    pub(super) streamed: bool,
    /// What follows the base URL.
    pub(super) path: String,
    /// What `x-tollgate-lossy` tells.
    pub(super) lossy: Option<String>,
    /// None between equals.
    pub(super) crossing: Option<Box<Crossing>>,
}

/// Prepares the request for this candidate.
///
/// # Errors
/// When it cannot be said in the dialect of its provider, or, for a `strict` tenant, not all of it can.
pub(super) fn prepare(
    candidate: &Candidate<'_>,
    request: &Request<'_>,
    envelope: &Envelope,
    body: &Bytes,
    tenant: &TenantState,
    cap: Option<u64>,
) -> Result<Prepared, Refusal> {
    let preparation = Preparation {
        candidate,
        request,
        envelope,
        body,
        tenant,
        cap,
    };
    match request.asked.operation {
        Operation::Generate => preparation.generate(),
        Operation::CountTokens(counter) => preparation.count(counter),
        Operation::Embed(form) => preparation.embed(form),
    }
}

/// From whom to whom.
struct Preparation<'a> {
    candidate: &'a Candidate<'a>,
    request: &'a Request<'a>,
    envelope: &'a Envelope,
    body: &'a Bytes,
    tenant: &'a TenantState,
    /// The most tokens that the answer shall have, where the client did not say so.
    cap: Option<u64>,
}

impl Preparation<'_> {
    fn generate(&self) -> Result<Prepared, Refusal> {
        let Asked { dialect, in_path, .. } = self.request.asked;
        let provider = self.candidate.provider.dialect_for(dialect);
        let streamed = self.envelope.stream;
        if provider == dialect {
            let path = self.path(
                provider,
                if in_path.is_array {
                    At::GenerateArray
                } else {
                    At::Generate { stream: streamed }
                },
            )?;
            let ask_usage =
                self.candidate.provider.stream_usage == StreamUsage::Ask && dialect == Dialect::OpenaiChat;
            let spliced = self.spliced(ask_usage, self.cap)?;
            return Ok(Prepared::passing(provider, path, spliced, streamed));
        }
        let crossed = Crossing::capped(
            self.sent(),
            provider,
            &self.target(),
            self.heading(),
            self.tenant.strict,
            self.cap,
        )?;
        let streamed = streamed || crossed.0.gathers();
        let path = self.path(provider, At::Generate { stream: streamed })?;
        Ok(Prepared::crossing(provider, path, crossed, streamed))
    }

    /// Where the provider cannot count, the gateway guesses.
    fn count(&self, client: Counter) -> Result<Prepared, Refusal> {
        let provider = self.candidate.provider.dialect_for(self.request.asked.dialect);
        let cannot = self.candidate.provider.kind == ProviderKind::GeminiCli;
        let Some(counter) = Counter::of(provider).filter(|_| !cannot) else {
            let answer = estimate(client, self.body, self.request.asked.in_path)?;
            return Ok(Prepared::Answered(answer));
        };
        let path = self.path(provider, At::CountTokens)?;
        if client == counter {
            let spliced = match provider {
                Dialect::GeminiGenerate => self.renamed()?,
                _ => self.spliced(false, None)?,
            };
            return Ok(Prepared::passing(provider, path, spliced, false));
        }
        let ways = (client, counter);
        let crossed = Crossing::of_count(
            self.sent(),
            ways,
            &self.target(),
            self.heading(),
            self.tenant.strict,
        )?;
        Ok(Prepared::crossing(provider, path, crossed, false))
    }

    fn embed(&self, client: Form) -> Result<Prepared, Refusal> {
        let provider = self.candidate.provider.dialect_for(self.request.asked.dialect);
        let is_built_in = self.candidate.provider.kind == ProviderKind::Echo;
        let usual = Form::of(provider).filter(|_| !is_built_in);
        let manner = match (self.candidate.provider.embeds, usual) {
            (Embeds::None, _) | (_, None) => return Err(self.no_such_operation()),
            (Embeds::Usual, Some(form)) => Manner::As(form),
            (Embeds::Vertex, Some(_)) => Manner::Vertex,
        };
        let passes = match manner {
            Manner::As(_) => client.is_of(provider),
            Manner::Vertex => client.is_vertex_own(&self.candidate.target.model),
        };
        if passes {
            let path = self.path(provider, at(client))?;
            return Ok(Prepared::passing(provider, path, self.renamed()?, false));
        }
        let ways = (client, manner);
        let (target, heading) = (self.target(), self.heading());
        let crossed =
            Crossing::of_embeddings(self.sent(), ways, provider, &target, heading, self.tenant.strict)?;
        let path = self.path(provider, crossed.0.embeds_as().map_or(At::Embed, at))?;
        Ok(Prepared::crossing(provider, path, crossed, false))
    }

    /// Where the provider takes this. The built-in echo is nowhere.
    fn path(&self, dialect: Dialect, operation: At) -> Result<String, Refusal> {
        let Some(credential) = self.candidate.credential else {
            return Ok(String::new());
        };
        let Candidate { target, provider, .. } = self.candidate;
        let endpoint = Endpoint::of(provider, &credential.base_url, dialect, operation, &target.model);
        match endpoint {
            Ok(endpoint) => Ok(endpoint.as_str().to_owned()),
            Err(EndpointError::NoSuchOperation) => Err(self.no_such_operation()),
            Err(EndpointError::ModelName) => {
                let message = format!("Provider `{}` can have no model of this name.", provider.name);
                Err(Refusal::new(Code::ModelNotFound, message).param("model"))
            }
        }
    }

    fn no_such_operation(&self) -> Refusal {
        let name = &self.candidate.provider.name;
        let message = format!("Provider `{name}`, to which this model is routed, cannot do this.");
        Refusal::new(Code::UnsupportedDialect, message).param("model")
    }

    /// The client's bytes, but for what this model of this provider's has to be told otherwise.
    fn spliced(&self, ask_usage: bool, cap: Option<u64>) -> Result<Spliced, Refusal> {
        let splicing = Splicing {
            dialect: self.request.asked.dialect,
            target: self.target(),
            ask_usage,
            cap,
            strict: self.tenant.strict,
        };
        splicing.of(self.body, self.envelope)
    }

    /// The client's bytes with the target's model for the name that the client asked for.
    fn renamed(&self) -> Result<Spliced, Refusal> {
        let model = &self.candidate.target.model;
        let pieces = match self.request.asked.dialect {
            Dialect::GeminiGenerate => gemini_generate::rename(self.body, model)?,
            _ => splice(self.body, self.envelope, model, false),
        };
        Ok(Spliced { pieces, lossy: None })
    }

    fn sent(&self) -> Sent<'_> {
        Sent {
            tenant: &self.tenant.id,
            dialect: self.request.asked.dialect,
            body: self.body,
            in_path: self.request.asked.in_path,
        }
    }

    fn target(&self) -> Target<'_> {
        let model = &self.candidate.target.model;
        Target {
            model,
            profile: self.candidate.provider.profile(model),
        }
    }

    fn heading(&self) -> OwnedHeading {
        let prefix = self.request.asked.dialect.id_prefix();
        OwnedHeading {
            id: format!("{prefix}{}", self.request.call_id),
            created_s: now_ms().unsigned_abs() / 1_000,
            model: self.envelope.model.clone(),
        }
    }
}

/// Where embeddings of this form are asked for.
fn at(form: Form) -> At {
    match form {
        Form::Openai | Form::GeminiMany | Form::VertexMany => At::Embed,
        Form::GeminiOne | Form::VertexOne => At::EmbedOne,
        Form::VertexPredict => At::Predict,
    }
}

impl Prepared {
    /// How long the request is that would be sent.
    pub(super) fn sent_bytes(&self) -> usize {
        match self {
            Self::Send(parcel) => parcel.pieces.iter().map(Bytes::len).sum(),
            Self::Answered(_) => 0,
        }
    }

    fn passing(dialect: Dialect, path: String, spliced: Spliced, streamed: bool) -> Self {
        let Spliced { pieces, lossy } = spliced;
        Self::Send(Parcel {
            dialect,
            streamed,
            pieces,
            path,
            lossy,
            crossing: None,
        })
    }

    fn crossing(
        dialect: Dialect,
        path: String,
        (crossing, body): (Crossing, Vec<u8>),
        streamed: bool,
    ) -> Self {
        Self::Send(Parcel {
            dialect,
            streamed,
            pieces: vec![Bytes::from(body)],
            path,
            lossy: crossing.lossy().map(str::to_owned),
            crossing: Some(Box::new(crossing)),
        })
    }
}
