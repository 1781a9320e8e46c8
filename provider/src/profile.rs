//! What the models of a provider take, as the catalogue tells it.
//!
//! Three layers, each saying only what differs from the one below: what is usual in a dialect (`[usual.…]`), the
//! provider's own (`[provider.profile]`), and that of the models which a pattern matches (`[[provider.model]]`). All
//! are put together when the catalogue is read, so that a call only looks up which one is its own.

use dialect::neutral::{CacheMarks, CallIds, Efforts, MaxTokensName, Profile, ReasoningField, ThinkingStyle};
use serde::Deserialize;

use crate::glob::Glob;

/// The profiles of one provider, ready for use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Profiles {
    usual: Profile,
    /// The first that matches is the model's own.
    of_models: Vec<(Vec<Glob>, Profile)>,
}

/// A table `[[provider.model]]`: for which models, and what is different about them.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(crate) struct ModelChanges {
    pub(crate) matches: Vec<Glob>,
    changes: Changes,
}

/// Makes the table of what may be said of a profile, so that a member is named once.
macro_rules! changes {
    ($($member:ident: $type:ty),* $(,)?) => {
        /// What is different about a profile.
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct Changes {
            $($member: Option<$type>,)*
        }

        impl Changes {
            pub(crate) fn applied_to(&self, profile: &Profile) -> Profile {
                Profile {
                    $($member: self.$member.unwrap_or(profile.$member),)*
                }
            }
        }
    };
}

changes! {
    max_tokens: u64,
    shared_window: Option<u64>,
    max_tokens_name: MaxTokensName,
    thinking: ThinkingStyle,
    efforts: Efforts,
    sampling: bool,
    json_schema: bool,
    json_schema_with_tools: bool,
    system_anywhere: bool,
    prefill: bool,
    parallel_tools: bool,
    forced_calls_with_thinking: bool,
    several_answers: bool,
    stream_options: bool,
    reasoning: ReasoningField,
    think_tags: bool,
    image_urls: bool,
    full_json_schema: bool,
    cache_marks: CacheMarks,
    free_text_tools: bool,
    extra_content: bool,
    call_ids: CallIds,
    openai_members: bool,
    user: bool,
}

impl Profiles {
    pub(crate) fn new(usual: Profile, models: &[ModelChanges]) -> Self {
        let of_models = models
            .iter()
            .map(|model| (model.matches.clone(), model.changes.applied_to(&usual)))
            .collect();
        Self { usual, of_models }
    }

    pub(crate) fn of(&self, model: &str) -> &Profile {
        self.of_models
            .iter()
            .find(|(globs, _)| globs.iter().any(|glob| glob.matches(model)))
            .map_or(&self.usual, |(_, profile)| profile)
    }
}

/// A pattern that comes too late: a mistake of whoever wrote it, who meant something by it.
pub(crate) fn unreachable(models: &[ModelChanges]) -> Option<&str> {
    let mut before: Vec<&Glob> = Vec::new();
    for glob in models.iter().flat_map(|model| &model.matches) {
        // With its stars for text, a pattern is a name that it matches itself: what matches that, matches them all.
        if before.iter().any(|earlier| earlier.matches(glob.as_str())) {
            return Some(glob.as_str());
        }
        before.push(glob);
    }
    None
}

/// By hand, since serde cannot both flatten a table and refuse what it does not know.
impl TryFrom<toml::Table> for ModelChanges {
    type Error = toml::de::Error;

    fn try_from(mut table: toml::Table) -> Result<Self, Self::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Match {
            One(Glob),
            Several(Vec<Glob>),
        }
        let matched = table
            .remove("match")
            .ok_or_else(|| serde::de::Error::missing_field("match"))?;
        let matches = match matched.try_into()? {
            Match::One(glob) => vec![glob],
            Match::Several(globs) => globs,
        };
        Ok(Self {
            matches,
            changes: table.try_into()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, CatalogError};

    const ROW: &str =
        "[[provider]]\nname = \"a\"\ntitle = \"A\"\ndialect = \"openai_chat\"\nauth = \"bearer\"\n";

    fn profile(provider: &str, model: &str) -> Profile {
        let catalog = Catalog::built_in().unwrap();
        catalog.get(provider).unwrap().profile(model).clone()
    }

    #[test]
    fn claude_thinks_by_effort_since_4_6_and_by_a_budget_before() {
        let by_effort = "claude-opus-4-6 claude-sonnet-4-6 claude-opus-4-7 claude-opus-4-8-20260528 claude-opus-5 \
                         claude-sonnet-5 claude-fable-5 claude-haiku-5-5 claude-of-years-to-come";
        for model in by_effort.split_whitespace() {
            let profile = profile("anthropic", model);
            assert_eq!(profile.thinking, ThinkingStyle::Effort, "{model}");
            assert_eq!(profile.max_tokens, 128_000, "{model}");
            assert!(!profile.prefill && profile.json_schema, "{model}");
        }
        let by_budget = "claude-opus-4-5-20251101 claude-sonnet-4-5 claude-haiku-4-5-20251001 claude-opus-4-1-20250805 \
                         claude-sonnet-4-0 claude-sonnet-4-20250514 claude-opus-4-20250514 claude-3-7-sonnet-20250219";
        for model in by_budget.split_whitespace() {
            let profile = profile("anthropic", model);
            let ThinkingStyle::Budget { min, max, can_be_off } = profile.thinking else {
                panic!("{model}");
            };
            assert!(min == 1_024 && can_be_off, "{model}");
            assert!(max < profile.max_tokens, "{model}: thoughts are part of the cap");
            assert!(profile.prefill && profile.sampling, "{model}");
        }
        for (model, max_tokens) in [
            ("claude-3-5-haiku-latest", 8_192),
            ("claude-3-haiku-20240307", 4_096),
        ] {
            let profile = profile("anthropic", model);
            assert_eq!(profile.thinking, ThinkingStyle::None);
            assert_eq!(profile.max_tokens, max_tokens);
        }
    }

    #[test]
    fn claude_refuses_to_be_told_how_to_draw_since_4_7_and_takes_later_instructions_since_4_8() {
        let table = [
            ("claude-sonnet-4-6", true, false),
            ("claude-opus-4-7", false, false),
            ("claude-opus-4-8", false, true),
            ("claude-sonnet-5", false, true),
            ("claude-fable-5", false, true),
        ];
        for (model, sampling, system_anywhere) in table {
            let profile = profile("anthropic", model);
            assert_eq!(profile.sampling, sampling, "{model}");
            assert_eq!(profile.system_anywhere, system_anywhere, "{model}");
        }
        assert!(profile("anthropic", "claude-sonnet-4-5").json_schema);
        assert!(!profile("anthropic", "claude-sonnet-4-20250514").json_schema);
    }

    #[test]
    fn openais_own_name_of_the_cap_is_for_openai() {
        for model in [
            "o1",
            "o3-mini",
            "o4-mini",
            "gpt-5-nano",
            "gpt-5.6-sol",
            "gpt-4o",
            "gpt-7",
        ] {
            let name = profile("openai", model).max_tokens_name;
            assert_eq!(name, MaxTokensName::MaxCompletionTokens, "{model}");
        }
        for provider in ["mistral", "together", "custom", "vllm"] {
            let name = profile(provider, "some-model").max_tokens_name;
            assert_eq!(name, MaxTokensName::MaxTokens, "{provider}");
        }
    }

    #[test]
    fn openais_reasoning_models_are_told_apart_from_those_before() {
        for model in [
            "o1",
            "o3-mini",
            "o4-mini-2025-04-16",
            "gpt-5",
            "gpt-5-mini-2025-08-07",
            "gpt-5.6",
        ] {
            let profile = profile("openai", model);
            assert_eq!(profile.thinking, ThinkingStyle::Effort, "{model}");
            assert!(!profile.sampling, "{model}");
        }
        for model in [
            "gpt-4o-mini",
            "gpt-4.1-nano-2025-04-14",
            "gpt-3.5-turbo",
            "gpt-4",
            "ft:gpt-4o:acme::1",
        ] {
            let profile = profile("openai", model);
            assert_eq!(profile.thinking, ThinkingStyle::None, "{model}");
            assert!(profile.sampling && !profile.free_text_tools, "{model}");
        }
        assert!(!profile("openai", "o3").parallel_tools);
        assert!(!profile("openai", "gpt-4-turbo").json_schema);
        assert!(profile("openai", "gpt-4o").json_schema);
        let marks = |model| profile("openai", model).cache_marks;
        assert_eq!(marks("gpt-5.6-luna"), CacheMarks::Breakpoint);
        for model in ["gpt-5", "gpt-5-mini", "gpt-5.5", "gpt-4o", "o3"] {
            assert_eq!(marks(model), CacheMarks::None, "{model}");
        }
    }

    #[test]
    fn p60_members_that_openai_alone_has_go_to_those_who_take_them() {
        for (provider, takes) in [
            ("openai", true),
            ("azure", true),
            ("openrouter", true),
            ("groq", false),
            ("mistral", false),
            ("gemini_openai", false),
            ("custom", false),
            ("custom-responses", true),
        ] {
            assert_eq!(profile(provider, "any").openai_members, takes, "{provider}");
        }
    }

    #[test]
    fn a_model_is_asked_for_an_effort_that_it_takes() {
        use dialect::neutral::Effort::{High, Low, Max, Medium, Minimal, None, Xhigh};
        let table = [
            ("openai", "o3", None, Low),
            ("openai", "gpt-5-mini", None, Minimal),
            ("openai", "gpt-5.1", Minimal, Low),
            ("openai", "gpt-5.1", None, None),
            ("openai", "gpt-5.1-codex-max", Max, Xhigh),
            ("openai", "gpt-5.2-codex", None, Low),
            ("openai", "gpt-5.6", Max, Max),
            ("anthropic", "claude-opus-4-6", Xhigh, High),
            ("anthropic", "claude-opus-4-6", Max, Max),
            ("anthropic", "claude-fable-5", None, Minimal),
            ("anthropic", "claude-sonnet-5", None, None),
            ("xai", "grok-3-mini", Medium, Low),
            ("groq", "openai/gpt-oss-120b", Xhigh, High),
            ("deepseek", "deepseek-v4-flash", None, Minimal),
            ("gemini", "gemini-3-pro-preview", None, Low),
            ("gemini", "gemini-3-pro-preview", Medium, Low),
            ("gemini", "gemini-3.1-pro-preview", Medium, Medium),
            ("gemini", "gemini-3.7-flash", Minimal, Low),
            ("gemini", "gemini-3.7-flash-lite", Minimal, Minimal),
            ("gemini", "gemini-3.1-flash-image", Low, Minimal),
            ("vertex", "gemini-3-flash-preview", None, Minimal),
            ("gemini", "gemini-flash-latest", Minimal, Low),
        ];
        for (provider, model, wanted, expected) in table {
            let fit = profile(provider, model).efforts.fit(&wanted).into_owned();
            assert_eq!(fit, expected, "{provider} {model}");
        }
    }

    #[test]
    fn gemini_thinks_by_a_budget_in_2_5_and_by_effort_since_3() {
        let budget = |min, max, can_be_off| ThinkingStyle::Budget { min, max, can_be_off };
        let table = [
            ("gemini-2.5-pro", budget(128, 32_768, false), false, true),
            ("gemini-2.5-flash", budget(1, 24_576, true), false, true),
            (
                "gemini-2.5-flash-lite-preview-09-2025",
                budget(512, 24_576, true),
                false,
                true,
            ),
            ("gemini-2.5-flash-image", ThinkingStyle::None, false, true),
            ("gemini-2.0-flash", ThinkingStyle::None, false, false),
            ("gemini-3-flash-preview", ThinkingStyle::Effort, true, true),
            ("gemini-3.1-pro-preview", ThinkingStyle::Effort, true, true),
            ("gemini-flash-latest", ThinkingStyle::Effort, true, true),
        ];
        for (model, thinking, json_schema_with_tools, full_json_schema) in table {
            let profile = profile("gemini", model);
            assert_eq!(profile.thinking, thinking, "{model}");
            assert_eq!(profile.json_schema_with_tools, json_schema_with_tools, "{model}");
            assert_eq!(profile.full_json_schema, full_json_schema, "{model}");
            assert!(!profile.image_urls && !profile.system_anywhere, "{model}");
        }
        assert!(profile("gemini_openai", "gemini-3-pro").extra_content);
    }

    #[test]
    fn vendors_have_their_thoughts_where_they_have_them() {
        use ReasoningField::{None, Reasoning, ReasoningContent, ReasoningDetails};
        let table = [
            ("openai", "gpt-5", None),
            ("deepseek", "deepseek-reasoner", ReasoningContent),
            ("deepseek", "deepseek-v4-flash", ReasoningContent),
            ("xai", "grok-3-mini", ReasoningContent),
            ("zai", "glm-5.2", ReasoningContent),
            ("alibaba", "qwen3-max", ReasoningContent),
            ("moonshot", "kimi-k2.6", ReasoningContent),
            ("groq", "openai/gpt-oss-120b", Reasoning),
            ("cerebras", "gpt-oss-120b", Reasoning),
            ("openrouter", "openai/gpt-5-mini", ReasoningDetails),
            ("custom", "any", None),
        ];
        for (provider, model, expected) in table {
            assert_eq!(profile(provider, model).reasoning, expected, "{provider} {model}");
        }
        assert!(profile("huggingface", "deepseek-ai/DeepSeek-R1").think_tags);
        assert!(!profile("huggingface", "meta-llama/llama-3.1-8b-instruct").think_tags);
    }

    #[test]
    fn each_vendors_oddities_are_its_own() {
        for provider in Catalog::built_in().unwrap().iter() {
            let profile = provider.profile("some-model");
            let is = |names: &str| names.split(' ').any(|name| name == provider.name);
            assert_eq!(
                profile.call_ids == CallIds::Nine,
                is("mistral"),
                "{}",
                provider.name
            );
            let with_cache_control = profile.cache_marks == CacheMarks::CacheControl;
            assert_eq!(with_cache_control, is("openrouter"), "{}", provider.name);
            let asks = !is("mistral perplexity");
            assert_eq!(profile.stream_options, asks, "{}", provider.name);
            for model in ["some-model", "gemini-2.5-pro", "openai/gpt-oss-20b"] {
                let several = provider.profile(model).several_answers;
                assert_eq!(several, !is("echo gemini-cli groq"), "{}", provider.name);
            }
            let forced = profile.forced_calls_with_thinking;
            assert_eq!(forced, !is("deepseek"), "{}", provider.name);
        }
    }

    #[test]
    fn layers_lie_upon_each_other_and_the_first_pattern_counts() {
        let text = format!(
            "[usual.openai_chat]\nprefill = true\nsampling = false\n{ROW}stream_usage = \"unasked\"\n\
             [provider.profile]\nsampling = true\nmax_tokens = 5\n\
             [[provider.model]]\nmatch = [\"b-1*\", \"c-1\"]\nmax_tokens = 6\n\
             [[provider.model]]\nmatch = \"b*\"\nmax_tokens = 7\n{}like = \"a\"\n\
             [provider.profile]\nprefill = false\n[[provider.model]]\nmatch = \"c\"\nmax_tokens = 8\n",
            ROW.replace("\"a\"", "\"z\"")
        );
        let catalog = Catalog::parse(&text).unwrap();
        let [a, z] = ["a", "z"].map(|name| catalog.get(name).unwrap());
        assert!(a.profile("x").prefill && a.profile("x").sampling && !a.profile("x").stream_options);
        for (model, max_tokens) in [("b-12", 6), ("b-2", 7), ("x", 5)] {
            assert_eq!(a.profile(model).max_tokens, max_tokens, "{model}");
            assert_eq!(z.profile(model).max_tokens, max_tokens, "{model}");
        }
        assert_eq!(z.profile("c").max_tokens, 8);
        assert!(z.profile("x").sampling && !z.profile("x").prefill && z.profile("x").stream_options);
    }

    #[test]
    fn a_profile_that_makes_no_sense_is_refused() {
        let bad = [
            "[provider.profile]\ncolour = \"red\"",
            "[provider.profile]\nthinking = \"hard\"",
            "[provider.profile]\nthinking = { budget = { min = 1, max = 2, can_be_off = true, or_so = 1 } }",
            "[[provider.model]]\nmax_tokens = 1",
            "[[provider.model]]\nmatch = 1",
            "[[provider.model]]\nmatch = \"m\"\ncolour = \"red\"",
            "[[provider.model]]\nmatch = \"m\"\nmax_tokens = -1",
        ];
        for lines in bad {
            let parsed = Catalog::parse(&format!("{ROW}{lines}\n"));
            assert!(
                matches!(parsed, Err(CatalogError::Syntax(_))),
                "{lines}: {parsed:?}"
            );
        }
        let late =
            format!("{ROW}[[provider.model]]\nmatch = \"m*\"\n[[provider.model]]\nmatch = \"m-*-x\"\n");
        assert!(matches!(
            Catalog::parse(&late),
            Err(CatalogError::Unreachable { .. })
        ));
    }
}
