//! How fast a provider answers, as far as it asks another price for it.

/// A tier of service with prices of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Tier {
    #[default]
    Standard,
    /// Answered within a day.
    Batch,
    /// Answered when there is nothing better to do.
    Flex,
    /// Answered before the others.
    Priority,
    /// The same model on faster machines.
    Fast,
}

impl Tier {
    pub const ALL: [Self; 5] = [
        Self::Standard,
        Self::Batch,
        Self::Flex,
        Self::Priority,
        Self::Fast,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Fast => "fast",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == word)
    }

    /// The tier that a vendor's word stands for, in a request or an answer, in any vendor's spelling. Any other word, and
    /// none, is the usual tier: `auto` and `default` of OpenAI, `on_demand` of Groq, `ON_DEMAND` of Google.
    pub fn of_vendor(word: Option<&str>) -> Self {
        let Some(word) = word else { return Self::Standard };
        let is = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
        if is(&["batch"]) {
            Self::Batch
        } else if is(&["flex", "on_demand_flex", "SERVICE_TIER_FLEX"]) {
            Self::Flex
        } else if is(&["priority", "on_demand_priority", "SERVICE_TIER_PRIORITY"]) {
            Self::Priority
        } else if is(&["fast"]) {
            Self::Fast
        } else {
            Self::Standard
        }
    }

    /// The other tiers in which a vendor may answer, and charge for, when it was asked in this word: who asks for none gets
    /// what his project at the vendor is set to, and who asks for another may get the usual one
    /// (<https://platform.openai.com/docs/api-reference/chat/create>, `service_tier`).
    pub(crate) fn others_of_vendor(word: Option<&str>) -> &'static [Self] {
        match Self::of_vendor(word) {
            Self::Standard if word.is_none_or(|word| word.eq_ignore_ascii_case("auto")) => &[Self::Priority],
            Self::Standard => &[],
            _ => &[Self::Standard],
        }
    }

    /// Whether it is never dearer than the usual one: where it has no price of its own, that one's is an upper bound.
    pub(super) fn is_cheap(self) -> bool {
        matches!(self, Self::Standard | Self::Batch | Self::Flex)
    }
}
