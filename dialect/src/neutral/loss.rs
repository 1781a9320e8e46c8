//! What could not cross.

use crate::refusal::{Code, Refusal};

/// A member of the client's request, or of the provider's answer, that had no place in the other dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// What the client calls it: the path of the member, indices left out (`logit_bias`, `messages.name`).
    pub member: &'static str,
}

/// What was lost on one way, each member once. It is told in `x-tollgate-lossy`.
#[derive(Debug, Default, Clone)]
pub struct Losses {
    strict: bool,
    lost: Vec<Loss>,
}

impl Losses {
    /// With `strict`, what would be dropped is refused.
    pub fn new(strict: bool) -> Self {
        Self {
            strict,
            lost: Vec::new(),
        }
    }

    /// Drops a member whose absence leaves the answer acceptable.
    ///
    /// # Errors
    /// When the tenant wants nothing dropped.
    pub fn drop(&mut self, member: &'static str) -> Result<(), Refusal> {
        if self.strict {
            return Err(Self::refuse(member));
        }
        if !self.lost.iter().any(|loss| loss.member == member) {
            self.lost.push(Loss { member });
        }
        Ok(())
    }

    /// The refusal of a member without which the answer would not be what the client asked for.
    pub fn refuse(member: &'static str) -> Refusal {
        let message = format!(
            "`{member}` cannot be expressed in the dialect of the provider that this model is routed to"
        );
        Refusal::new(Code::CannotTranslate, message).param(member)
    }

    /// In the order in which they were found.
    pub fn lost(&self) -> &[Loss] {
        &self.lost
    }

    /// The value of `x-tollgate-lossy`; `None` when nothing was lost.
    pub fn header(&self) -> Option<String> {
        let members: Vec<_> = self.lost.iter().map(|loss| loss.member).collect();
        (!members.is_empty()).then(|| members.join(", "))
    }
}
