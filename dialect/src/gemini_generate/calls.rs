//! Which call a result answers, though Google often gives calls no ids: the gateway makes them, and knows its own again.
//!
//! Ids that were made never go to Google. They hold what keeps them apart for as long as a conversation lasts: the id of
//! the answer that holds the call, or the call's number in the conversation.

/// How ids begin that were made here. No vendor's do.
const MADE: &str = "call_tlg_";

/// The calls of a conversation, or of an answer, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    /// Between the prefix and the number.
    origin: String,
    made: usize,
    seen: Vec<Call>,
}

#[derive(Debug, Clone)]
struct Call {
    id: String,
    name: String,
    is_answered: bool,
}

/// Whether an id was made here.
pub(super) fn is_made(id: &str) -> bool {
    id.starts_with(MADE)
}

impl Calls {
    /// Of an answer with this id, which may be missing.
    pub(super) fn of_answer(id: &str) -> Self {
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let mut origin: String = id.chars().filter(is_plain).take(ORIGIN_BYTES_MAX).collect();
        if !origin.is_empty() {
            origin.push('_');
        }
        Self {
            origin,
            ..Self::default()
        }
    }

    /// Of one of several answers with this id, the first of which is 0.
    pub(super) fn of_choice(id: &str, choice: u32) -> Self {
        match choice {
            0 => Self::of_answer(id),
            _ => Self::of_answer(&format!("{choice}_{id}")),
        }
    }

    /// The id of the next call, and whether it was made here. An id that is there already, or is only the function's
    /// name, tells no calls apart.
    pub(super) fn next(&mut self, given: Option<&str>, name: &str) -> (String, bool) {
        let is_open = |id: &str| self.seen.iter().any(|call| call.id == id && !call.is_answered);
        let given = given.filter(|id| !id.is_empty() && *id != name && !is_open(id));
        let id = match given {
            Some(id) => id.to_owned(),
            None => format!("{MADE}{}{}", self.origin, self.made),
        };
        self.made += 1;
        self.seen.push(Call {
            id: id.clone(),
            name: name.to_owned(),
            is_answered: false,
        });
        (id, given.is_none())
    }

    /// The id of the call that a result answers: the one with its id, or the first of its name that has no answer yet.
    /// A result without a call gets the id that it has, for others to judge.
    pub(super) fn answered(&mut self, given: Option<&str>, name: &str) -> String {
        let open = |is_it: &dyn Fn(&Call) -> bool| {
            let is_open = |call: &Call| !call.is_answered && is_it(call);
            self.seen.iter().position(is_open)
        };
        let at = open(&|call| given == Some(call.id.as_str())).or_else(|| open(&|call| call.name == name));
        match at.and_then(|at| self.seen.get_mut(at)) {
            Some(call) => {
                call.is_answered = true;
                call.id.clone()
            }
            None => given.unwrap_or(name).to_owned(),
        }
    }
}

/// So that an id that was made stays within the 64 bytes that OpenAI allows.
const ORIGIN_BYTES_MAX: usize = 40;
