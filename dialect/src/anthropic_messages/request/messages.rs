//! Arranging a conversation as Anthropic wants it: instructions in front, speakers in turns, the results of tools
//! directly after their calls and in the order of these, and no block without anything in it.

use crate::Dialect;
use crate::neutral::check::{self, Order};
use crate::neutral::{Losses, Part, Profile, Raw, Reasoning, Request, Role, Text, Turn};
use crate::refusal::{Code, Refusal};

/// Results stand first in the turn that follows, and blank texts are refused.
const ORDER: Order = Order {
    results_apart: false,
    no_blanks: true,
};

/// A conversation, arranged.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<&'a Text>,
    pub(super) messages: Vec<Message<'a>>,
}

#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) role: Speaker,
    pub(super) pieces: Vec<Piece<'a>>,
    /// Members of it that have no slot.
    pub(super) raw: Vec<&'a Raw>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    User,
    Assistant,
    System,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Piece<'a> {
    Part(&'a Part),
    /// An instruction in the mouth of the user, for a model that takes instructions in front alone.
    Reminder(&'a Text),
}

impl Speaker {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::System => "system",
        }
    }
}

/// Arranges what a request holds.
///
/// # Errors
/// When calls and results do not belong together, when nothing is left, or when an end is asked to be continued by a
/// model that does not.
pub(super) fn arrange<'a>(
    request: &'a Request,
    profile: &Profile,
    losses: &mut Losses,
) -> Result<Conversation<'a>, Refusal> {
    let is_instruction = |turn: &&Turn| turn.role == Role::System;
    let leading = request.turns.iter().take_while(is_instruction).count();
    let (front, rest) = request.turns.split_at_checked(leading).unwrap_or_default();
    let mut conversation = Conversation::default();
    for part in front.iter().flat_map(|turn| &turn.parts) {
        conversation.system.extend(instruction(part)?);
    }
    for turn in check::arrange(rest, ORDER)? {
        for piece in &turn.pieces {
            if is_lost(piece.part) {
                losses.drop("reasoning")?;
                continue;
            }
            conversation.part(turn.role, piece.part, profile)?;
        }
        if let Some(last) = conversation.messages.last_mut() {
            last.raw.extend(turn.raw);
        }
    }
    if request.turns.iter().any(|turn| turn.name.is_some()) {
        losses.drop("messages.name")?;
    }
    conversation.check(profile)?;
    Ok(conversation)
}

/// The text of an instruction, which is all that one can be.
fn instruction(part: &Part) -> Result<Option<&Text>, Refusal> {
    match part {
        Part::Text(text) => Ok(Some(text).filter(|text| !text.text.trim().is_empty())),
        _ => Err(refused(
            "instructions can only be text for the provider of this model",
        )),
    }
}

impl<'a> Conversation<'a> {
    fn part(&mut self, role: &Role, part: &'a Part, profile: &Profile) -> Result<(), Refusal> {
        match role {
            Role::System if !profile.system_anywhere => {
                let text = instruction(part)?.map(Piece::Reminder);
                text.into_iter().for_each(|piece| self.push(Speaker::User, piece));
            }
            Role::System => self.push(Speaker::System, Piece::Part(part)),
            Role::User => self.push(Speaker::User, Piece::Part(part)),
            Role::Assistant => self.push(Speaker::Assistant, Piece::Part(part)),
            Role::Other(_) => return Err(refused("a message has a role that the provider does not know")),
        }
        Ok(())
    }

    fn push(&mut self, role: Speaker, piece: Piece<'a>) {
        if piece.is_foreign() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.pieces.push(piece),
            _ => self.messages.push(Message {
                role,
                pieces: vec![piece],
                raw: Vec::new(),
            }),
        }
    }

    /// Whether it ends with the beginning of an answer, which the model is to continue. A turn that was paused ends with
    /// what only Anthropic understands, and is no beginning.
    pub(super) fn has_prefill(&self) -> bool {
        self.messages.last().is_some_and(|last| {
            let ends_raw = matches!(last.pieces.last(), Some(Piece::Part(Part::Raw(_))));
            last.role == Speaker::Assistant && !ends_raw
        })
    }

    /// Whether the answer that is being given has called tools without having thought first. A model that is told to
    /// think by a number of tokens refuses that.
    pub(super) fn calls_without_thought(&self) -> bool {
        let is_said = |piece: &Piece<'_>| !matches!(piece, Piece::Part(Part::ToolResult(_)));
        let open =
            self.messages.iter().rev().take_while(|message| {
                message.role == Speaker::Assistant || !message.pieces.iter().any(is_said)
            });
        let mut answers = open.filter(|message| message.role == Speaker::Assistant);
        answers.any(|message| {
            let begins = matches!(message.pieces.first(), Some(Piece::Part(Part::Reasoning(_))));
            let calls = |piece: &Piece<'_>| matches!(piece, Piece::Part(Part::ToolCall(_)));
            !begins && message.pieces.iter().any(calls)
        })
    }

    fn check(&self, profile: &Profile) -> Result<(), Refusal> {
        if self.messages.is_empty() {
            return Err(refused("there is no message with anything in it to be answered"));
        }
        if self.has_prefill() && !profile.prefill {
            return Err(refused(
                "the conversation ends with a message of the assistant, which the provider of this model would not continue",
            ));
        }
        Ok(())
    }
}

impl Piece<'_> {
    /// What only another dialect understands has been accounted for, and is left out.
    fn is_foreign(&self) -> bool {
        match self {
            Self::Part(Part::Raw(raw)) => raw.origin != Dialect::AnthropicMessages,
            Self::Part(_) | Self::Reminder(_) => false,
        }
    }
}

/// Whether Anthropic would not take a thought back: it has to have signed it.
fn is_lost(part: &Part) -> bool {
    match part {
        Part::Reasoning(Reasoning { seal, .. }) => seal
            .as_ref()
            .is_none_or(|seal| seal.origin != Dialect::AnthropicMessages),
        _ => false,
    }
}

fn refused(message: &str) -> Refusal {
    Refusal::new(Code::CannotTranslate, message).param("messages")
}
