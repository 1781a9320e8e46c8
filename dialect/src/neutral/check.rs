//! What has to hold of a request before it is written in another dialect, and the order that stricter dialects want.
//!
//! Every vendor refuses a call of a tool without a result, and a result without a call; refused here, it is said in
//! words that a client understands, and nothing is made up in their place. Anthropic and Gemini want more: speakers
//! take turns, and the results come straight after the calls, in their order. [`arrange`] does that without copying.

use std::collections::{HashMap, VecDeque};

use super::{Effort, Part, Profile, Raw, Request, Role, ThinkingAmount, ThinkingStyle, ToolCall, Turn};
use crate::refusal::{Code, Refusal};

/// How a dialect wants its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Order {
    /// Whether results have a turn of their own (Gemini). Else they stand first in the turn that follows the calls.
    pub results_apart: bool,
    /// Whether texts of nothing but white space are refused (Anthropic), and so are left out. Those that are empty always
    /// are, unless they carry a seal.
    pub no_blanks: bool,
}

impl Order {
    fn is_nothing(&self, part: &Part) -> bool {
        match part {
            Part::Text(text) if text.seal.is_some() => false,
            Part::Text(text) if self.no_blanks => text.text.trim().is_empty(),
            Part::Text(text) => text.text.is_empty(),
            _ => false,
        }
    }
}

/// Consecutive turns of one speaker, as one.
#[derive(Debug, Clone, PartialEq)]
pub struct Arranged<'a> {
    pub role: &'a Role,
    pub pieces: Vec<Piece<'a>>,
    /// Members of those turns that have no slot.
    pub raw: Vec<&'a Raw>,
    /// Whether it holds results alone.
    pub is_results: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece<'a> {
    pub part: &'a Part,
    /// Of a result: the call that it answers, which knows the tool's name.
    pub call: Option<&'a ToolCall>,
}

/// Checks that no stop sequence is empty: no vendor takes such a one, and no answer could end at it.
///
/// # Errors
/// When one is.
pub fn stop(sequences: &[String]) -> Result<(), Refusal> {
    if sequences.iter().any(String::is_empty) {
        let message = "`stop` holds an empty sequence, at which no answer could end";
        return Err(Refusal::new(Code::InvalidValue, message).param("stop"));
    }
    Ok(())
}

/// Checks that no call is forced upon a model that thinks, where its vendor refuses that. Who has said how much it shall
/// think is not answered as if nothing had been said.
///
/// # Errors
/// When one is.
pub fn forced_call(request: &Request, profile: &Profile) -> Result<(), Refusal> {
    if profile.forced_calls_with_thinking || profile.thinking == ThinkingStyle::None {
        return Ok(());
    }
    let thinks =
        |amount: &ThinkingAmount| amount.is_chosen() && *amount != ThinkingAmount::Effort(Effort::None);
    if request.forces_call()
        && request
            .thinking
            .as_ref()
            .is_some_and(|thinking| thinks(&thinking.amount))
    {
        return Err(forced_while_thinking());
    }
    Ok(())
}

pub(crate) fn forced_while_thinking() -> Refusal {
    let message = "this model cannot be forced to call a tool while it thinks: leave `tool_choice` to it, or ask for no \
                   reasoning";
    Refusal::new(Code::CannotTranslate, message).param("tool_choice")
}

/// Checks that every call has its result, before the model speaks again, and every result its call.
///
/// # Errors
/// When one of them is missing; the refusal names it by its id.
pub fn tools(turns: &[Turn]) -> Result<(), Refusal> {
    let mut open = Open::default();
    let mut is_answered = false;
    for turn in turns {
        let speaks_again = turn.role == Role::Assistant;
        if speaks_again && is_answered {
            open.close()?;
        }
        is_answered = !speaks_again;
        for part in &turn.parts {
            match part {
                Part::ToolCall(call) => open.call(call),
                Part::ToolResult(_) => open.result(part)?,
                _ => {}
            }
        }
    }
    open.close()?;
    Ok(())
}

/// The turns in the order that a stricter dialect wants. Turns that nothing is left of are left out.
///
/// # Errors
/// As [`tools`].
pub fn arrange(turns: &[Turn], order: Order) -> Result<Vec<Arranged<'_>>, Refusal> {
    let mut arranger = Arranger {
        order,
        open: Open::default(),
        waiting: Vec::new(),
        arranged: Vec::new(),
    };
    for turn in turns {
        arranger.turn(turn)?;
    }
    arranger.end_of_results()?;
    Ok(arranger.arranged)
}

/// Calls that wait for their results.
#[derive(Default)]
struct Open<'a> {
    /// In the order in which they were made.
    calls: Vec<(&'a ToolCall, Option<&'a Part>)>,
    /// Where the unanswered ones stand, by id: some providers use an id twice.
    unanswered: HashMap<&'a str, VecDeque<usize>>,
    has_results: bool,
}

impl<'a> Open<'a> {
    fn call(&mut self, call: &'a ToolCall) {
        let places = self.unanswered.entry(&call.id).or_default();
        places.push_back(self.calls.len());
        self.calls.push((call, None));
    }

    fn result(&mut self, part: &'a Part) -> Result<(), Refusal> {
        let Part::ToolResult(result) = part else {
            return Ok(());
        };
        let place = self
            .unanswered
            .get_mut(result.call_id.as_str())
            .and_then(VecDeque::pop_front);
        let Some((_, answer)) = place.and_then(|place| self.calls.get_mut(place)) else {
            return Err(orphan("result", &result.call_id, "call before it"));
        };
        *answer = Some(part);
        self.has_results = true;
        Ok(())
    }

    fn is_answered(&self) -> bool {
        self.calls.iter().all(|(_, answer)| answer.is_some())
    }

    /// The calls with their results, all of which have to be there.
    fn close(&mut self) -> Result<Vec<Piece<'a>>, Refusal> {
        let open = std::mem::take(self);
        let piece = |(call, answer): (&'a ToolCall, Option<&'a Part>)| match answer {
            Some(part) => Ok(Piece {
                part,
                call: Some(call),
            }),
            None => Err(orphan("call", &call.id, "result after it")),
        };
        open.calls.into_iter().map(piece).collect()
    }
}

fn orphan(what: &str, id: &str, lacks: &str) -> Refusal {
    let id: String = id.chars().take(100).collect();
    let message = format!("the tool {what} `{id}` has no {lacks}");
    Refusal::new(Code::InvalidValue, message).param("messages")
}

struct Arranger<'a> {
    order: Order,
    open: Open<'a>,
    /// What was said between calls and their results, which has to wait.
    waiting: Vec<(&'a Role, Piece<'a>)>,
    arranged: Vec<Arranged<'a>>,
}

impl<'a> Arranger<'a> {
    fn turn(&mut self, turn: &'a Turn) -> Result<(), Refusal> {
        let order = self.order;
        let speaks_again = turn.role == Role::Assistant;
        if speaks_again && (self.open.has_results || !self.waiting.is_empty()) {
            self.end_of_results()?;
        }
        for part in turn.parts.iter().filter(|part| !order.is_nothing(part)) {
            let piece = Piece { part, call: None };
            match part {
                Part::ToolResult(_) => self.open.result(part)?,
                _ if speaks_again || self.open.calls.is_empty() => self.push(&turn.role, piece, false),
                _ => self.waiting.push((&turn.role, piece)),
            }
            if let Part::ToolCall(call) = part {
                self.open.call(call);
            }
        }
        if self.open.has_results && self.open.is_answered() {
            self.end_of_results()?;
        }
        if let Some(last) = self.arranged.last_mut().filter(|last| *last.role == turn.role) {
            last.raw.extend(&turn.raw);
        }
        Ok(())
    }

    fn end_of_results(&mut self) -> Result<(), Refusal> {
        for piece in self.open.close()? {
            self.push(&Role::User, piece, true);
        }
        for (role, piece) in std::mem::take(&mut self.waiting) {
            self.push(role, piece, false);
        }
        Ok(())
    }

    fn push(&mut self, role: &'a Role, piece: Piece<'a>, is_result: bool) {
        let apart = self.order.results_apart;
        match self.arranged.last_mut() {
            Some(last) if last.role == role && (!apart || last.is_results == is_result) => {
                last.is_results &= is_result;
                last.pieces.push(piece);
            }
            _ => self.arranged.push(Arranged {
                role,
                pieces: vec![piece],
                raw: Vec::new(),
                is_results: is_result,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neutral::{Arguments, Text, ToolResult};

    fn call(id: &str) -> Part {
        Part::ToolCall(ToolCall {
            id: id.to_owned(),
            id_is_ours: false,
            name: format!("tool_{id}"),
            arguments: Arguments::Json(String::new()),
            seal: None,
            cache: None,
            raw: Vec::new(),
        })
    }

    fn result(id: &str) -> Part {
        Part::ToolResult(ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts: Vec::new(),
            is_error: false,
            is_free_text: false,
            cache: None,
            raw: Vec::new(),
        })
    }

    fn user(parts: Vec<Part>) -> Turn {
        Turn::new(Role::User, parts)
    }

    fn assistant(parts: Vec<Part>) -> Turn {
        Turn::new(Role::Assistant, parts)
    }

    /// The arranged turns as text: `U` and so on, then texts, `+call`, `-result`.
    fn arranged(turns: &[Turn], order: Order) -> String {
        let piece = |piece: &Piece<'_>| match piece.part {
            Part::Text(Text { text, .. }) => text.clone(),
            Part::ToolCall(call) => format!("+{}", call.id),
            Part::ToolResult(result) => {
                assert_eq!(piece.call.unwrap().id, result.call_id);
                format!("-{}", result.call_id)
            }
            other => format!("{other:?}"),
        };
        let turn = |turn: &Arranged<'_>| {
            let pieces: Vec<_> = turn.pieces.iter().map(piece).collect();
            format!(
                "{}:{}",
                format!("{:?}", turn.role).chars().next().unwrap(),
                pieces.join(",")
            )
        };
        let arranged = arrange(turns, order).unwrap();
        arranged.iter().map(turn).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn p11_results_stand_behind_their_calls_in_their_order() {
        let turns = [
            Turn::new(Role::System, vec![Part::text("s")]),
            user(vec![Part::text("a")]),
            user(vec![Part::text(""), Part::text(" "), Part::text("b")]),
            assistant(vec![Part::text("c"), call("1")]),
            assistant(vec![call("2")]),
            user(vec![Part::text("d"), result("2")]),
            Turn::new(Role::System, vec![Part::text("e")]),
            user(vec![result("1"), Part::text("f")]),
            assistant(vec![Part::text(""), call("1")]),
            user(vec![result("1")]),
        ];
        assert!(tools(&turns).is_ok());
        assert_eq!(
            arranged(&turns, Order::default()),
            "S:s U:a, ,b A:c,+1,+2 U:-1,-2,d S:e U:f A:+1 U:-1"
        );
        let strict = Order {
            results_apart: true,
            no_blanks: true,
        };
        assert_eq!(
            arranged(&turns, strict),
            "S:s U:a,b A:c,+1,+2 U:-1,-2 U:d S:e U:f A:+1 U:-1"
        );
    }

    #[test]
    fn orphans_are_refused_by_their_ids() {
        let table = [
            (
                vec![user(vec![result("x")])],
                "the tool result `x` has no call before it",
            ),
            (
                vec![assistant(vec![call("y")])],
                "the tool call `y` has no result after it",
            ),
            (
                vec![
                    assistant(vec![call("1"), call("2")]),
                    user(vec![result("1")]),
                    assistant(vec![Part::text("z")]),
                ],
                "the tool call `2` has no result after it",
            ),
            (
                vec![assistant(vec![call("1")]), user(vec![result("1"), result("1")])],
                "the tool result `1` has no call before it",
            ),
            (
                vec![user(vec![result("1")]), assistant(vec![call("1")])],
                "the tool result `1` has no call before it",
            ),
        ];
        for (turns, message) in table {
            assert_eq!(tools(&turns).unwrap_err().message, message);
            assert_eq!(arrange(&turns, Order::default()).unwrap_err().message, message);
        }
    }
}
