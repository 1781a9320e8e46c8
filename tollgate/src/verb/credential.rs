//! `tollgate credential …`

use std::io::{IsTerminal as _, Read as _, stdin};

use clap::Subcommand;
use gateway::google::CONSENT_TEXT;
use provider::google::{TokenFile, TokenKind};
use provider::{AuthStyle, BaseUrl, Catalog, Provider, ProviderKind, Trust, vertex};
use serde_json::{Value, json};
use store::{BaseUrlBy, Credential, GoogleKind, NewCredential, NewGoogleLogin};
use vault::Secret;
use vault::gateway_key::random_id;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::time::instant;

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Adds a credential. Its secret is read from standard input, or from a variable.
    Add(Add),
    /// Shows a tenant's credentials, without their secrets.
    List {
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Changes a credential's place among those for the same provider: the heaviest is asked first, and another one when that
    /// has to rest, fails, or has used up a limit.
    Weigh {
        id: String,
        weight: i64,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Uses a credential no more; nothing of it is lost.
    Disable {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Uses a disabled credential again.
    Enable {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
    /// Removes a credential.
    Remove {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: String,
    },
}

#[derive(clap::Args)]
pub(crate) struct Add {
    /// The tenant's name or id.
    #[arg(long)]
    tenant: String,
    /// A provider of the catalogue; `custom` for any OpenAI-compatible server.
    #[arg(long)]
    provider: String,
    /// What people call it; without one, its id.
    #[arg(long)]
    name: Option<String>,
    /// Its place among the tenant's credentials for this provider: the heaviest is asked first.
    #[arg(long, default_value_t = 1)]
    weight: i64,
    /// Where the provider is, when not where the catalogue says.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The variable that holds the secret.
    #[arg(long, value_name = "VAR", conflicts_with = "no_secret")]
    from_env: Option<String>,
    /// For a server that asks for none.
    #[arg(long)]
    no_secret: bool,
    /// For `gemini-cli`: whoever owns the account has read in docs/gemini-logins.md what Google's terms say, and agrees.
    /// Without it the login waits until somebody agrees at `/ui/gemini`.
    #[arg(long)]
    agree: bool,
}

/// Of a token whose end is not told.
const TOKEN_LIFE_MS: i64 = 3_600_000;
/// No provider's key comes near this.
const SECRET_BYTES_MAX: u64 = 64 << 10;

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add(add) => add.run(desk).await,
        Verb::List { tenant } => list(desk, &tenant).await,
        Verb::Weigh { id, weight, tenant } => {
            let tenant = desk.tenant(&tenant).await?;
            desk.store
                .set_credential_weight(&desk.change(), &tenant.id, &id, weight)
                .await?;
            desk.form.one(&json!({"id": id, "weight": weight}))
        }
        Verb::Disable { id, tenant } => set_disabled(desk, &id, &tenant, true).await,
        Verb::Enable { id, tenant } => set_disabled(desk, &id, &tenant, false).await,
        Verb::Remove { id, tenant } => {
            let tenant = desk.tenant(&tenant).await?;
            desk.store
                .remove_credential(&desk.change(), &tenant.id, &id)
                .await?;
            desk.form.one(&json!({"removed": id}))
        }
    }
}

impl Add {
    async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let catalog = Catalog::built_in().map_err(|error| Failure::other(error.to_string()))?;
        let provider = known(&catalog, &self.provider)?;
        self.check_base_url(provider)?;
        let tenant = desk.tenant(&self.tenant).await?;
        let secret = self.secret()?;
        let base_url = self.base_url(provider, secret.as_ref())?;
        let id = random_id("cred")?;
        let new = NewCredential {
            id: &id,
            tenant_id: &tenant.id,
            provider: &provider.name,
            name: self.name.as_deref().unwrap_or(&id),
            weight: self.weight,
            base_url: base_url.as_deref(),
            // Whoever can run this can also change the database: an operator.
            base_url_by: BaseUrlBy::Operator,
            secret: secret.as_ref(),
        };
        if provider.kind == ProviderKind::GeminiCli {
            return self.add_login(desk, new).await;
        }
        let credential = desk.store.add_credential(&desk.change(), &new).await?;
        desk.form.one(&shown(&credential))
    }

    /// The secret of a login is the file `oauth_creds.json` that the gemini CLI keeps.
    async fn add_login(&self, desk: &Desk, new: NewCredential<'_>) -> Result<(), Failure> {
        let no_tokens = || Failure::new(Kind::Secret, "a login has tokens: give it its oauth_creds.json");
        let file = new.secret.ok_or_else(no_tokens)?;
        let mut tokens = TokenFile::read(file)
            .map_err(|error| Failure::new(Kind::Secret, format!("the secret: {error}")))?;
        let change = desk.change();
        if tokens.expiry_date == 0 {
            tokens.expiry_date = change.at_ms.saturating_add(TOKEN_LIFE_MS);
        }
        let secret = tokens.write();
        let login = NewGoogleLogin {
            kind: match tokens.kind {
                TokenKind::OwnClient => GoogleKind::OwnClient,
                TokenKind::CliLogin => GoogleKind::CliLogin,
            },
            email: tokens.email.as_deref(),
            project_id: tokens.project_id.as_deref(),
            expires_at_ms: tokens.expiry_date,
            consent: self.agree.then_some((change.actor, CONSENT_TEXT)),
        };
        let new = NewCredential {
            secret: Some(&secret),
            ..new
        };
        let id = desk.store.add_google_login(&change, &new, &login).await?;
        let credentials = desk.store.list_credentials(new.tenant_id).await?;
        let added = credentials.iter().find(|credential| credential.id == id);
        desk.form.one(&added.map_or(Value::Null, shown))
    }

    fn check_base_url(&self, provider: &Provider) -> Result<(), Failure> {
        match (&self.base_url, &provider.base_url) {
            (Some(url), _) => BaseUrl::parse(url, Trust::Operator)
                .map(|_| ())
                .map_err(|error| Failure::other(format!("--base-url: {error}"))),
            (None, None) if provider.auth == AuthStyle::GoogleServiceAccount => Ok(()),
            (None, None) => Err(Failure::other(format!(
                "provider {} needs --base-url",
                provider.name
            ))),
            (None, Some(_)) => Ok(()),
        }
    }

    /// Where the provider is. What is left out for Vertex AI, the key file tells.
    fn base_url(&self, provider: &Provider, secret: Option<&Secret>) -> Result<Option<String>, Failure> {
        if provider.auth != AuthStyle::GoogleServiceAccount {
            return Ok(self.base_url.clone());
        }
        let whole = secret.and_then(|file| vertex::base_url(self.base_url.as_deref(), file));
        whole.map(Some).ok_or_else(|| {
            let message = "the key file names no project: give it with --base-url, as the catalogue shows";
            Failure::new(Kind::Secret, message)
        })
    }

    fn secret(&self) -> Result<Option<Secret>, Failure> {
        if self.no_secret {
            return Ok(None);
        }
        let text = match &self.from_env {
            Some(name) => std::env::var(name)
                .map_err(|_| Failure::new(Kind::Secret, format!("the variable {name} is not set")))?,
            None => from_stdin()?,
        };
        let text = text.trim();
        if text.is_empty() {
            let message =
                "the secret is empty: give it on standard input, or with --from-env; --no-secret for none";
            return Err(Failure::new(Kind::Secret, message));
        }
        Ok(Some(Secret::new(text.to_owned())))
    }
}

fn known<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c Provider, Failure> {
    match catalog.get(name) {
        Some(provider) if provider.kind == ProviderKind::Echo => {
            Err(Failure::other(format!("provider {name} needs no credential")))
        }
        Some(provider) => Ok(provider),
        None => {
            let names: Vec<&str> = catalog.iter().map(|provider| provider.name.as_str()).collect();
            Err(Failure::new(
                Kind::NotFound,
                format!("there is no provider {name}; there are: {}", names.join(", ")),
            ))
        }
    }
}

fn from_stdin() -> Result<String, Failure> {
    if stdin().is_terminal() {
        // A prompt belongs to standard error: standard output is the answer.
        tell("The secret, then Enter and Ctrl-D:");
    }
    let mut text = String::new();
    stdin()
        .take(SECRET_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(Kind::Secret, format!("the secret cannot be read: {error}")))?;
    Ok(text)
}

fn tell(text: &str) {
    use std::io::Write as _;
    let _unheard = writeln!(std::io::stderr(), "{text}");
}

async fn list(desk: &Desk, tenant: &str) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    let credentials = desk.store.list_credentials(&tenant.id).await?;
    let rows: Vec<Value> = credentials.iter().map(shown).collect();
    desk.form.list(
        &[
            "provider",
            "name",
            "id",
            "weight",
            "base_url",
            "disabled",
            "created_at",
        ],
        &rows,
    )
}

async fn set_disabled(desk: &Desk, id: &str, tenant: &str, disabled: bool) -> Result<(), Failure> {
    let tenant = desk.tenant(tenant).await?;
    desk.store
        .set_credential_disabled(&desk.change(), &tenant.id, id, disabled)
        .await?;
    desk.form.one(&json!({"id": id, "disabled": disabled}))
}

fn shown(credential: &Credential) -> Value {
    json!({
        "id": credential.id,
        "tenant_id": credential.tenant_id,
        "provider": credential.provider,
        "name": credential.name,
        "weight": credential.weight,
        "base_url": credential.base_url,
        "disabled": credential.disabled,
        "created_at": instant(credential.created_at_ms),
    })
}
