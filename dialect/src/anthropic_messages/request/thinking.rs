//! How much a model is told to think, in the way in which it is told, and within the cap.

use crate::neutral::check::forced_while_thinking;
use crate::neutral::{Effort, Efforts, Losses, Profile, Request, ThinkingAmount, ThinkingStyle};
use crate::refusal::Refusal;

use super::super::words;

/// What is written about thinking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) switch: Option<Switch>,
    /// `output_config.effort`
    pub(super) effort: Option<String>,
    pub(super) max_tokens: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Switch {
    Adaptive,
    Enabled { budget: u64 },
    Disabled,
}

/// What thinking must leave for the answer.
const ANSWER_TOKENS_MIN: u64 = 1_024;

impl Plan {
    /// `hindrance` says that something else than a forced call does not go together with thinking in this request.
    pub(super) fn new(
        request: &Request,
        profile: &Profile,
        hindrance: bool,
        losses: &mut Losses,
    ) -> Result<Self, Refusal> {
        let mut plan = Self {
            switch: None,
            effort: None,
            max_tokens: request.max_tokens.unwrap_or_else(|| profile.cap_for(request)),
        };
        let Some(thinking) = &request.thinking else {
            return Ok(plan);
        };
        let is_off = thinking.amount == ThinkingAmount::Effort(Effort::None);
        match profile.thinking {
            ThinkingStyle::None if is_off => {}
            ThinkingStyle::None => losses.drop("reasoning")?,
            ThinkingStyle::Effort => plan.by_effort(&thinking.amount, profile.efforts, losses)?,
            ThinkingStyle::Budget { min, max, can_be_off } => {
                if is_off && !can_be_off {
                    losses.drop("reasoning")?;
                }
                let wanted = if is_off && can_be_off {
                    None
                } else {
                    Some(budget(&thinking.amount).clamp(min, max))
                };
                plan.by_budget(wanted, min, losses)?;
            }
        }
        if plan.is_on() && request.forces_call() && thinking.amount.is_chosen() {
            return Err(forced_while_thinking());
        }
        if plan.is_on() && (hindrance || request.forces_call()) {
            losses.drop("reasoning")?;
            plan.switch = None;
        }
        Ok(plan)
    }

    pub(super) fn is_on(&self) -> bool {
        matches!(self.switch, Some(Switch::Adaptive | Switch::Enabled { .. }))
    }

    fn by_effort(
        &mut self,
        amount: &ThinkingAmount,
        taken: Efforts,
        losses: &mut Losses,
    ) -> Result<(), Refusal> {
        self.switch = Some(Switch::Adaptive);
        self.effort = match amount {
            ThinkingAmount::Free => None,
            ThinkingAmount::Effort(effort) => {
                let fit = taken.fit(effort);
                if *fit != *effort {
                    losses.drop("reasoning")?;
                }
                if *fit == Effort::None {
                    self.switch = Some(Switch::Disabled);
                    return Ok(());
                }
                Some(words::effort(&fit).to_owned())
            }
            ThinkingAmount::Budget(tokens) => {
                let effort = Effort::of_budget(*tokens);
                let fit = taken.fit(&effort);
                if *fit == Effort::None {
                    self.switch = Some(Switch::Disabled);
                    return Ok(());
                }
                Some(words::effort(&fit).to_owned())
            }
        };
        Ok(())
    }

    /// The budget is part of the cap, and a cap that the client set is a limit of cost: it is never raised.
    fn by_budget(&mut self, wanted: Option<u64>, min: u64, losses: &mut Losses) -> Result<(), Refusal> {
        let Some(wanted) = wanted else {
            self.switch = Some(Switch::Disabled);
            return Ok(());
        };
        let budget = wanted.min(self.max_tokens.saturating_sub(ANSWER_TOKENS_MIN));
        if budget < min {
            return losses.drop("reasoning");
        }
        self.switch = Some(Switch::Enabled { budget });
        Ok(())
    }
}

/// Tokens for a word of effort, where the model wants a number.
fn budget(amount: &ThinkingAmount) -> u64 {
    match amount {
        ThinkingAmount::Budget(tokens) => *tokens,
        ThinkingAmount::Free => 16_384,
        ThinkingAmount::Effort(effort) => match effort {
            Effort::None | Effort::Minimal => 1_024,
            Effort::Low => 2_048,
            Effort::Medium | Effort::Other(_) => 8_192,
            Effort::High => 16_384,
            Effort::Xhigh | Effort::Max => 32_768,
        },
    }
}
