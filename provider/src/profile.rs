//! What the models of a provider take, as the catalogue tells it.
//!
//! Three layers, each saying only what differs from the one below: what is usual in a dialect (`[usual.…]`), the
//! provider's own (`[provider.profile]`), and that of the models which a pattern matches (`[[provider.model]]`). All
//! are put together when the catalogue is read, so that a call only looks up which one is its own.

use dialect::neutral::{CacheMarks, CallIds, MaxTokensName, Profile, ReasoningField, ThinkingStyle};
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
    max_tokens_name: MaxTokensName,
    thinking: ThinkingStyle,
    sampling: bool,
    json_schema: bool,
    json_schema_with_tools: bool,
    system_anywhere: bool,
    prefill: bool,
    parallel_tools: bool,
    stream_options: bool,
    reasoning: ReasoningField,
    think_tags: bool,
    image_urls: bool,
    full_json_schema: bool,
    cache_marks: CacheMarks,
    free_text_tools: bool,
    extra_content: bool,
    call_ids: CallIds,
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
