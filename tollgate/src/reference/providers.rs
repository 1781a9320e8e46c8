//! The table in `docs/providers.md`: the catalogue, as far as users need it.

use dialect::Dialect;
use provider::{AuthStyle, Catalog, Provider};

use super::hold_part;

const DIALECTS: [(Dialect, &str); 4] = [
    (Dialect::OpenaiChat, "Chat Completions"),
    (Dialect::OpenaiResponses, "Responses"),
    (Dialect::AnthropicMessages, "Messages"),
    (Dialect::GeminiGenerate, "Gemini"),
];

fn row(provider: &Provider) -> String {
    let speaks: Vec<&str> = DIALECTS
        .iter()
        .filter(|(dialect, _)| provider.speaks(*dialect))
        .map(|(_, name)| *name)
        .collect();
    let listed = |texts: Vec<String>| texts.join(", ");
    let quoted = |text: &String| format!("`{text}`");
    format!(
        "| {} | `{}` | {} | {} | {} | {} | {} |\n",
        provider.title,
        provider.name,
        speaks.join(", "),
        provider.base_url.as_ref().map_or_else(String::new, quoted),
        shown(provider.auth),
        listed(provider.env.iter().map(quoted).collect()),
        listed(
            provider
                .model_prefixes
                .iter()
                .map(|prefix| format!("`{prefix}…`"))
                .collect()
        ),
    )
}

fn shown(auth: AuthStyle) -> &'static str {
    match auth {
        AuthStyle::Bearer => "`authorization: Bearer`",
        AuthStyle::XApiKey => "`x-api-key`",
        AuthStyle::XGoogApiKey => "`x-goog-api-key`",
        AuthStyle::ApiKey => "`api-key`",
        AuthStyle::GoogleServiceAccount => "a token, got with the key file of a service account",
        AuthStyle::None => "",
    }
}

#[test]
fn the_table_of_providers_is_true() {
    let mut table = String::from(
        "\n| provider | name | speaks | base URL | shown as | key from the environment | bare names of models |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for provider in Catalog::built_in().unwrap().iter() {
        table.push_str(&row(provider));
    }
    table.push('\n');
    hold_part("providers.md", &table);
}
