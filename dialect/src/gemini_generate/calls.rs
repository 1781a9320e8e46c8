//! Which call a result answers, though Google often gives calls no ids: the gateway makes them, and knows its own again.
//!
//! No id goes to Google that Google did not give: those that it gave are marked on their way through a client of another
//! dialect, so that they are known when they come back, and those of other vendors, or of clients, are not taken for its own.
//! Ids that were made hold what keeps them apart for as long as a conversation lasts: the id of the answer that holds the
//! call, or the call's number in the conversation.

use crate::neutral::ToolCall;

/// How ids begin that were made here. No vendor's do.
const MADE: &str = "call_tlg_";
/// How those begin that Google gave.
const GIVEN: &str = "call_tlgg_";

/// The calls of a conversation, or of an answer, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    /// Whether they are an answer's, whose ids are Google's own.
    is_answer: bool,
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

/// An id as Google gave it; `None` for one that it did not give.
pub(super) fn given(id: &str) -> Option<&str> {
    id.strip_prefix(GIVEN)
}

/// The id of a call as a client of this dialect gets it: none where no vendor gave one.
pub(super) fn shown(call: &ToolCall) -> Option<&str> {
    let is_vendors = |id: &&str| !call.id_is_ours && !id.starts_with(MADE);
    given(&call.id).or_else(|| Some(call.id.as_str()).filter(is_vendors))
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
            is_answer: true,
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
        let given = given.filter(|id| !id.is_empty() && *id != name);
        let mark = if self.is_answer { GIVEN } else { "" };
        let given = given.map(|id| format!("{mark}{id}")).filter(|id| !is_open(id));
        let id_is_ours = given.is_none();
        let id = match given {
            Some(id) => id,
            None => format!("{MADE}{}{}", self.origin, self.made),
        };
        self.made += 1;
        self.seen.push(Call {
            id: id.clone(),
            name: name.to_owned(),
            is_answered: false,
        });
        (id, id_is_ours)
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
