//! What could not cross.

use std::borrow::Cow;

use crate::refusal::{Code, Refusal};

/// A member of the client's request, or of the provider's answer, that had no place in the other dialect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// What the client calls it: the path of the member, indices left out (`logit_bias`, `messages.name`).
    pub member: Cow<'static, str>,
}

/// How long a client's own name may be in a header.
const NAME_BYTES_MAX: usize = 64;

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
        self.note(Cow::Borrowed(member));
        Ok(())
    }

    /// Leaves out a member that touches no answer, only what the provider knows of the caller or what it keeps at hand. It
    /// is told like any loss, and refused to nobody.
    pub fn mention(&mut self, member: &'static str) {
        self.note(Cow::Borrowed(member));
    }

    /// Drops a member that no table of ours knows, by the name that the client gave it. A name that has no business in
    /// a header is told by the place in which it stood alone.
    ///
    /// # Errors
    /// When the tenant wants nothing dropped.
    pub fn drop_unknown(&mut self, place: &'static str, name: &str) -> Result<(), Refusal> {
        if self.strict {
            return Err(Self::refuse(told(place, name)));
        }
        self.note(told(place, name));
        Ok(())
    }

    fn note(&mut self, member: Cow<'static, str>) {
        if !self.lost.iter().any(|loss| loss.member == member) {
            self.lost.push(Loss { member });
        }
    }

    /// The refusal of a member without which the answer would not be what the client asked for.
    pub fn refuse(member: impl Into<Cow<'static, str>>) -> Refusal {
        let member = member.into();
        let message = format!(
            "`{member}` cannot be expressed in the dialect of the provider that this model is routed to"
        );
        Refusal::new(Code::CannotTranslate, message).param(member)
    }

    /// The refusal of a part or a member that no table of ours knows, by the name that the client gave it.
    pub fn refuse_unknown(place: &'static str, name: &str) -> Refusal {
        if is_fit(name) {
            return Self::refuse(told(place, name));
        }
        Self::refuse(place.trim_end_matches('.'))
    }

    /// In the order in which they were found.
    pub fn lost(&self) -> &[Loss] {
        &self.lost
    }

    /// The value of `x-tollgate-lossy`; `None` when nothing was lost.
    pub fn header(&self) -> Option<String> {
        let members: Vec<_> = self.lost.iter().map(|loss| loss.member.as_ref()).collect();
        (!members.is_empty()).then(|| members.join(", "))
    }
}

/// The path of a member that the client named.
fn told(place: &'static str, name: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{place}{}", if is_fit(name) { name } else { "?" }))
}

/// Whether a name can stand in a header.
fn is_fit(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':' | b'.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
}
