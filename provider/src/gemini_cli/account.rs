//! What Google says of an account, asked by the program: whether it is served, and in which tier.
//!
//! Nothing of this asks Google itself, which is for the program alone to do. A new session has it look at the account, and
//! of what it found it tells by a command of its own, whose words are always the same.

use serde_json::{Map, json};
use tokio::time::timeout;
use vault::Secret;

use super::GeminiCli;
use super::acp::{Broken, Message, Update};
use super::credential::Login;
use super::fault::{AccountRefusal, Failure};
use super::worker::{READ_TIMEOUT, Worker, words};
use crate::base_url::{BaseUrl, Trust};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The tier, as Google calls it, where it does.
    Served { tier: Option<String> },
    /// In Google's own words.
    Refused(String),
    /// Why nobody knows.
    Unknown(String),
}

const MODEL: &str = "gemini-2.5-flash";
const COMMAND: &str = "/about";
const TIER: &str = "- Tier: ";
const NO_TIER: &str = "Unknown";
const WORDS_LEN_MAX: usize = 400;

impl GeminiCli {
    /// Looks at the account of a login, in a process of its own.
    pub async fn account(&self, tenant_id: &str, secret: &Secret, base_url: &BaseUrl) -> Account {
        let unknown = |why: &str| Account::Unknown(why.to_owned());
        let Some(login) = Login::read(secret).filter(|_| base_url.trust() == Trust::Operator) else {
            return unknown("the login cannot be shown to the gemini CLI");
        };
        let Some(_turn) = self.0.turn_at_once(tenant_id) else {
            return unknown("all processes of the gemini CLI are busy");
        };
        let (settings, state) = (self.0.settings(), self.0.state());
        let endpoint = base_url.uri().to_string();
        let endpoint = endpoint.trim_end_matches('/');
        let way = self.0.way(&login, endpoint);
        match Worker::start(settings, state, &way, MODEL, &Map::new()).await {
            Ok(mut worker) => worker.account().await.unwrap_or_else(|Broken(why)| unknown(why)),
            Err(Failure::Account(refusal)) => Account::Refused(refusal.to_string()),
            Err(_) => unknown("the gemini CLI does not work here"),
        }
    }
}

impl Worker {
    async fn account(&mut self) -> Result<Account, Broken> {
        let session = json!({"cwd": self.home().work(), "mcpServers": []});
        let late = |_| Broken("the gemini CLI does not answer");
        let begun = timeout(READ_TIMEOUT, self.call("session/new", session)).await;
        let begun = match begun.map_err(late)?? {
            Ok(begun) => begun,
            Err(error) => return Ok(judged(&words(&error), error.message)),
        };
        let session_id = begun.get("sessionId").cloned().unwrap_or_default();
        let prompt = json!({"sessionId": session_id, "prompt": [{"type": "text", "text": COMMAND}]});
        let told = timeout(READ_TIMEOUT, self.told(prompt)).await;
        Ok(Account::Served {
            tier: tier(&told.map_err(late)??),
        })
    }

    /// What it says to a prompt.
    async fn told(&mut self, prompt: serde_json::Value) -> Result<String, Broken> {
        let id = self.acp().ask("session/prompt", prompt).await?;
        let mut told = String::new();
        loop {
            match self.acp().next().await? {
                Message::Update(Update::Text(text)) if told.len() < WORDS_LEN_MAX * 10 => {
                    told.push_str(&text)
                }
                Message::Answer { id: of, .. } | Message::Error { id: of, .. } if of == id => {
                    return Ok(told);
                }
                _ => {}
            }
        }
    }
}

/// What somebody has against an account: Google, or the network on the way to it.
fn judged(all: &str, message: String) -> Account {
    let message: String = message
        .chars()
        .filter(|letter| !letter.is_control())
        .take(WORDS_LEN_MAX)
        .collect();
    let is_token = all.contains("invalid authentication credentials");
    if is_token || AccountRefusal::read(all) != AccountRefusal::Other {
        Account::Refused(message)
    } else {
        Account::Unknown(message)
    }
}

fn tier(told: &str) -> Option<String> {
    let tier = told.lines().find_map(|line| line.strip_prefix(TIER))?.trim();
    (!tier.is_empty() && tier != NO_TIER).then(|| tier.chars().take(WORDS_LEN_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tier_is_found_where_there_is_one() {
        let told = "Gemini CLI Info:\n- Version: 0.61.0\n- User Email: Unknown\n- Tier: Gemini Code Assist";
        assert_eq!(tier(told).as_deref(), Some("Gemini Code Assist"));
        assert_eq!(tier("- Tier: Unknown"), None);
        assert_eq!(tier(""), None);
    }

    #[test]
    fn the_network_is_not_taken_for_google() {
        let refused = judged("UNSUPPORTED_CLIENT", "no longer".to_owned());
        assert_eq!(refused, Account::Refused("no longer".to_owned()));
        assert_eq!(
            judged("ECONNREFUSED", "no\n".to_owned()),
            Account::Unknown("no".to_owned())
        );
    }
}
