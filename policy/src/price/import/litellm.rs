//! LiteLLM's file: one object, a member for each model, whose prices are dollars for a token.

use dialect::json::Members;
use serde_json::value::RawValue;

use super::super::rates::Component;
use super::super::tier::Tier;
use super::{Entry, Import, Parts, Taken, members, number, tokens};

/// Its names of providers, and ours.
const PROVIDERS: [(&str, &str); 22] = [
    ("openai", "openai"),
    ("azure", "azure"),
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("vertex_ai-language-models", "vertex"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("xai", "xai"),
    ("groq", "groq"),
    ("cerebras", "cerebras"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("perplexity", "perplexity"),
    ("nvidia_nim", "nvidia"),
    ("moonshot", "moonshot"),
    ("zai", "zai"),
    ("dashscope", "alibaba"),
    ("huggingface", "huggingface"),
    ("deepinfra", "deepinfra"),
    ("sambanova", "sambanova"),
    ("bedrock_mantle", "bedrock"),
    ("openrouter", "openrouter"),
];

/// Its names of kinds of token.
const KINDS: [(&str, Component); 9] = [
    ("input_cost_per_token", Component::Input),
    ("cache_read_input_token_cost", Component::Cached),
    (
        "cache_creation_input_token_cost_above_1hr",
        Component::CacheWrite1h,
    ),
    ("cache_creation_input_token_cost", Component::CacheWrite),
    ("input_cost_per_audio_token", Component::AudioInput),
    ("output_cost_per_token", Component::Output),
    ("output_cost_per_reasoning_token", Component::Reasoning),
    ("output_cost_per_audio_token", Component::AudioOutput),
    ("output_cost_per_image_token", Component::ImageOutput),
];

/// What is said of the price of tokens, and how.
enum Said {
    Rate {
        over: u64,
        tier: Tier,
        component: Component,
    },
    /// A price of something that no price of ours can say.
    Beside,
    /// Nothing about prices.
    Nothing,
}

pub(super) fn read(entries: &[Entry<'_>], import: &mut Import) {
    for (name, value) in entries.iter().filter(|(name, _)| name != "sample_spec") {
        match take(name, value) {
            Ok(taken) => import.taken.push(taken),
            Err(why) => import.skip(name, why),
        }
    }
}

fn take(name: &str, value: &RawValue) -> Result<Taken, String> {
    let mut entry = Members::read(value.get()).ok_or("it is no object")?;
    let theirs = entry.text("litellm_provider").ok().flatten().unwrap_or_default();
    let ours = PROVIDERS.iter().find(|(known, _)| *known == theirs);
    let (_, provider) = ours.ok_or_else(|| format!("`{theirs}` is none of our providers"))?;
    let mode = entry.text("mode").ok().flatten().unwrap_or_default();
    let context = tokens(entry.take("max_input_tokens"));
    let max_output = tokens(entry.take("max_output_tokens"));
    let mut parts = Parts::default();
    let mut beside = Vec::new();
    if let Some(tiers) = entry.take("tiered_pricing") {
        read_tiers(tiers, &mut parts)?;
    }
    for (member, value) in entry.rest() {
        match said(&member) {
            Said::Rate { .. } if value.get() == "null" => {}
            Said::Rate {
                over,
                tier,
                component,
            } => {
                let rate = number::per_token(value.get());
                let rate = rate.ok_or_else(|| format!("its {member} is {}", value.get()))?;
                parts.set(over, tier, component, rate);
            }
            Said::Beside => beside.push(member.into_owned()),
            Said::Nothing => {}
        }
    }
    beside.sort_unstable();
    let price = parts.price().map_err(|why| match beside.as_slice() {
        [] => why,
        units => format!("{why}; it is charged by {}", units.join(", ")),
    })?;
    if !matches!(
        mode.as_str(),
        "chat" | "completion" | "responses" | "embedding" | "image_generation" | ""
    ) {
        return Err(format!("it is for {mode}"));
    }
    let prefix = format!("{}/", theirs.split('-').next().unwrap_or_default());
    Ok(Taken {
        provider,
        model: name.strip_prefix(&prefix).unwrap_or(name).to_owned(),
        price,
        context,
        max_output,
        beside,
    })
}

/// What the name of a member means: a kind, above how many tokens, in which tier.
fn said(member: &str) -> Said {
    let kind = KINDS
        .iter()
        .find_map(|(name, component)| Some((member.strip_prefix(name)?, *component)));
    let Some((rest, component)) = kind else {
        let is_a_price = [
            "_cost",
            "cost_per",
            "pricing",
            "uplift",
            "provider_specific_entry",
        ];
        return if is_a_price.iter().any(|word| member.contains(word)) {
            Said::Beside
        } else {
            Said::Nothing
        };
    };
    let (over, rest) = match rest.strip_prefix("_above_") {
        Some(above) => match above.split_once("k_tokens") {
            Some((thousands, rest)) => match thousands.parse::<u64>() {
                Ok(thousands) if thousands > 0 => (thousands.saturating_mul(1_000), rest),
                _ => return Said::Beside,
            },
            None => return Said::Beside,
        },
        None => (0, rest),
    };
    let tier = match rest {
        "" => Tier::Standard,
        "_batches" => Tier::Batch,
        "_flex" => Tier::Flex,
        "_priority" => Tier::Priority,
        _ => return Said::Beside,
    };
    Said::Rate {
        over,
        tier,
        component,
    }
}

/// Prices by how long the input is, each with its range.
fn read_tiers(tiers: &RawValue, parts: &mut Parts) -> Result<(), String> {
    let tiers: Vec<&RawValue> =
        serde_json::from_str(tiers.get()).map_err(|_| "its tiered_pricing is no list".to_owned())?;
    for tier in tiers {
        let members = members(tier.get()).ok_or("its tiered_pricing holds what is no object")?;
        let range = members.iter().find(|(name, _)| name == "range");
        let range: Option<Vec<&RawValue>> =
            range.and_then(|(_, range)| serde_json::from_str(range.get()).ok());
        let from = range
            .as_deref()
            .and_then(<[_]>::first)
            .and_then(|from| number::whole(from.get()));
        let from = from.ok_or("its tiered_pricing has a part without a range")?;
        for (name, value) in members {
            if let Said::Rate {
                over: 0,
                tier,
                component,
            } = said(&name)
            {
                let rate = number::per_token(value.get());
                let rate = rate.ok_or_else(|| format!("its {name} is {}", value.get()))?;
                parts.set(from, tier, component, rate);
            }
        }
    }
    Ok(())
}
