//! The `api.json` of models.dev: one object, a member for each provider, whose models' prices are dollars for a million
//! tokens.

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
    ("google", "gemini"),
    ("google-vertex", "vertex"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("xai", "xai"),
    ("groq", "groq"),
    ("cerebras", "cerebras"),
    ("togetherai", "together"),
    ("fireworks-ai", "fireworks"),
    ("perplexity", "perplexity"),
    ("nvidia", "nvidia"),
    ("moonshotai", "moonshot"),
    ("zai", "zai"),
    ("alibaba", "alibaba"),
    ("huggingface", "huggingface"),
    ("deepinfra", "deepinfra"),
    ("sambanova", "sambanova"),
    ("openrouter", "openrouter"),
    ("ollama-cloud", "ollama"),
];

/// Its names of kinds of token.
const KINDS: [(&str, Component); 7] = [
    ("input", Component::Input),
    ("cache_read", Component::Cached),
    ("cache_write", Component::CacheWrite),
    ("input_audio", Component::AudioInput),
    ("output", Component::Output),
    ("reasoning", Component::Reasoning),
    ("output_audio", Component::AudioOutput),
];
const LONG: u64 = 200_000;

pub(super) fn read(entries: &[Entry<'_>], import: &mut Import) {
    for (theirs, value) in entries {
        let models = Members::read(value.get()).and_then(|mut provider| provider.take("models"));
        let Some(models) = models.and_then(|models| members(models.get())) else {
            import.skip(theirs, "it has no models");
            continue;
        };
        let Some((_, provider)) = PROVIDERS.iter().find(|(known, _)| known == theirs) else {
            import.skip(
                theirs,
                format!("none of our providers, with {} models", models.len()),
            );
            continue;
        };
        for (model, value) in models {
            match take(provider, &model, value) {
                Ok(taken) => import.taken.push(taken),
                Err(why) => import.skip(&format!("{theirs}/{model}"), why),
            }
        }
    }
}

fn take(provider: &'static str, model: &str, value: &RawValue) -> Result<Taken, String> {
    let mut entry = Members::read(value.get()).ok_or("it is no object")?;
    let mut limit = entry
        .take("limit")
        .and_then(|limit| Members::read(limit.get()))
        .unwrap_or_default();
    let context = tokens(limit.take("input"));
    let context = context.or_else(|| tokens(limit.take("context")));
    let cost = entry.take("cost").ok_or("it has no price")?;
    let mut parts = Parts::default();
    let mut beside = Vec::new();
    for (name, value) in members(cost.get()).ok_or("its cost is no object")? {
        match name.as_str() {
            // The same as a tier of it, where there are any.
            "context_over_200k" => read_rates(LONG, value, &mut parts, &mut beside)?,
            "tiers" => {
                let tiers: Vec<&RawValue> =
                    serde_json::from_str(value.get()).map_err(|_| "its tiers are no list".to_owned())?;
                for tier in tiers {
                    read_rates(size(tier)?, tier, &mut parts, &mut beside)?;
                }
            }
            _ => {}
        }
    }
    read_rates(0, cost, &mut parts, &mut beside)?;
    Ok(Taken {
        provider,
        model: model.to_owned(),
        price: parts.price()?,
        context,
        max_output: tokens(limit.take("output")),
        beside,
    })
}

/// Above how many tokens a tier begins.
fn size(tier: &RawValue) -> Result<u64, String> {
    let tier = Members::read(tier.get()).and_then(|mut part| part.take("tier"));
    let size = tier.and_then(|tier| tokens(Members::read(tier.get())?.take("size")));
    size.ok_or_else(|| "its tiers have one without a size".to_owned())
}

fn read_rates(over: u64, cost: &RawValue, parts: &mut Parts, beside: &mut Vec<String>) -> Result<(), String> {
    for (name, value) in members(cost.get()).ok_or("a part of its cost is no object")? {
        if value.get() == "null" {
            continue;
        }
        let Some((_, component)) = KINDS.iter().find(|(known, _)| *known == name) else {
            if !matches!(name.as_str(), "tiers" | "tier" | "context_over_200k") && !beside.contains(&name) {
                beside.push(name);
            }
            continue;
        };
        let rate = number::per_million(value.get());
        let rate = rate.ok_or_else(|| format!("its {name} is {}", value.get()))?;
        let is_unsaid = rate.0 == 0 && matches!(component, Component::Cached | Component::CacheWrite);
        // Nothing is read from a cache for nothing: it is how this file says that it does not know.
        if !is_unsaid {
            parts.set(over, Tier::Standard, *component, rate);
        }
    }
    Ok(())
}
