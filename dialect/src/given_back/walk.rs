//! The walk through a request in which something of the gateway's stands: what each dialect has it in.

use std::ops::Range;

use memchr::memmem;

use super::places::{Held, place};
use super::{GOOGLES, is_call_id};
use crate::Dialect;
use crate::gemini_generate::{NO_SEAL, is_third};
use crate::neutral::carry::{Opaque, opaque_of, split_tool_call_id};
use crate::neutral::names::{CALL_ID, fit};
use crate::neutral::{ReasoningField, Target, ThinkingStyle};
use crate::{anthropic_messages, openai_chat};

/// What was found.
pub(super) struct Found {
    pub(super) edits: Vec<(Range<usize>, String)>,
    /// Whether thoughts are taken out, and not only what stood for the seals of texts.
    pub(super) loses_thoughts: bool,
}

pub(super) struct Walk<'b> {
    body: &'b [u8],
    target: &'b Target<'b>,
    found: Found,
    /// Whether a call of Anthropic's goes without the thoughts before it.
    has_bare_calls: bool,
}

/// Gemini's members, which are read under two names.
const SIGNATURES: [&str; 2] = ["thoughtSignature", "thought_signature"];
const CALLS: [&str; 2] = ["functionCall", "function_call"];
const RESULTS: [&str; 2] = ["functionResponse", "function_response"];

impl<'b> Walk<'b> {
    pub(super) fn through(dialect: Dialect, body: &'b [u8], target: &'b Target<'b>) -> Found {
        let mut walk = Self {
            body,
            target,
            found: Found {
                edits: Vec::new(),
                loses_thoughts: false,
            },
            has_bare_calls: false,
        };
        let request = walk.held(body.trim_ascii());
        let (list, is_kept): (_, fn(&mut Self, &mut Held<'b>) -> bool) = match dialect {
            Dialect::OpenaiChat => ("messages", Self::chat_message),
            Dialect::OpenaiResponses => ("input", Self::item),
            Dialect::AnthropicMessages => ("messages", Self::message),
            Dialect::GeminiGenerate => ("contents", Self::content),
        };
        let list = request.get(list);
        if !walk.each(list, is_kept) {
            walk.empty(list);
        }
        walk.think_no_more(request.get("thinking"));
        walk.found
    }

    fn held(&self, json: &'b [u8]) -> Held<'b> {
        Held::new(self.body, json)
    }

    /// Takes out the items of a list that are not to be kept; `is_kept` edits those that are. A list of which nothing would
    /// be left is not edited, and `false` said of it.
    fn each(
        &mut self,
        list: Option<&'b [u8]>,
        mut is_kept: impl FnMut(&mut Self, &mut Held<'b>) -> bool,
    ) -> bool {
        let Some(list) = list else { return true };
        let mut items = self.held(list);
        for item in &mut items.values {
            let mut held = self.held(item.json);
            item.is_cut = !is_kept(self, &mut held);
        }
        if items.is_emptied() {
            return false;
        }
        items.cuts(&mut self.found.edits);
        true
    }

    fn empty(&mut self, list: Option<&'b [u8]>) {
        if let Some(list) = list {
            self.found.edits.push((place(self.body, list), "[]".to_owned()));
        }
    }

    /// Takes out the members of which this is true.
    fn without(&mut self, members: &mut Held<'b>, is_out: impl Fn(&[u8], &[u8]) -> bool) {
        for member in &mut members.values {
            member.is_cut = is_out(member.name, member.json);
            self.found.loses_thoughts |= member.is_cut;
        }
        members.cuts(&mut self.found.edits);
    }

    fn set(&mut self, at: &'b [u8], text: &str) {
        let text = serde_json::Value::from(text).to_string();
        self.found.edits.push((place(self.body, at), text));
    }

    /// An id goes without what it carries, in a form that the provider takes.
    fn id(&mut self, holder: &Held<'b>, name: &str, fit: impl Fn(&str) -> String) {
        let (Some(at), Some(id)) = (holder.get(name), holder.text(name)) else {
            return;
        };
        let (bare, carried) = split_tool_call_id(&id);
        if !carried.is_empty() {
            self.set(at, &fit(&bare));
        }
    }

    /// Whether an opaque member is the vendor's own, and not one that carries something.
    fn is_own(&mut self, holder: &Held<'b>, name: &str) -> bool {
        let carried = holder.text(name).and_then(|text| opaque_of(&text));
        self.found.loses_thoughts |= carried == Some(Opaque::Thoughts);
        carried.is_none()
    }

    /// An item of `input`. Thoughts that no vendor has sealed would be looked for where answers are kept, and not found.
    fn item(&mut self, item: &mut Held<'b>) -> bool {
        self.id(item, "call_id", |id| fit(id, &CALL_ID).into_owned());
        if item.text("type").as_deref() != Some("reasoning") {
            return true;
        }
        let id = item.text("id").unwrap_or_default();
        let call = id.strip_prefix("rs_").and_then(|id| id.as_bytes().first_chunk());
        let is_unsealed = item.text("encrypted_content").is_none_or(|text| text.is_empty());
        if is_unsealed && call.is_some_and(is_call_id) && self.hides_thoughts() {
            self.found.loses_thoughts = true;
            return false;
        }
        self.is_own(item, "encrypted_content")
    }

    /// Whether the provider has no member for thoughts that anybody could read.
    fn hides_thoughts(&self) -> bool {
        self.target.profile.reasoning == ReasoningField::None
    }

    /// A message of Chat Completions.
    fn chat_message(&mut self, message: &mut Held<'b>) -> bool {
        let profile = self.target.profile;
        let fit = |id: &str| openai_chat::call_id(id, profile.call_ids).into_owned();
        let is_googles = |name: &[u8], value: &[u8]| {
            name == b"extra_content" && !profile.extra_content && memmem::find(value, GOOGLES).is_some()
        };
        self.id(message, "tool_call_id", fit);
        self.each(message.get("tool_calls"), |walk, call| {
            walk.id(call, "id", fit);
            walk.without(call, is_googles);
            true
        });
        let has_own = self.each(message.get("reasoning_details"), |walk, detail| {
            walk.is_own(detail, "signature") && walk.is_own(detail, "data")
        });
        let keeps_text = has_own || profile.reasoning == ReasoningField::ReasoningContent;
        self.without(message, |name, value| match name {
            b"reasoning_details" => !has_own,
            b"reasoning_content" => !keeps_text,
            _ => is_googles(name, value),
        });
        true
    }

    /// A message of Anthropic's.
    fn message(&mut self, message: &mut Held<'b>) -> bool {
        let content = message.get("content");
        let is_answer = message.text("role").as_deref() == Some("assistant");
        let mut is_said = content.is_some_and(|content| content.first() != Some(&b'['));
        let (mut has_cuts, mut is_bare) = (false, false);
        let is_kept = self.each(content, |walk, block| {
            walk.id(block, "tool_use_id", |id| {
                fit(id, &anthropic_messages::CALL_ID).into_owned()
            });
            let kind = block.text("type").unwrap_or_default();
            let is_kept = match kind.as_str() {
                "thinking" => {
                    let is_unsealed = block.text("signature").is_none_or(|text| text.is_empty());
                    let is_ours = is_unsealed && walk.hides_thoughts();
                    walk.found.loses_thoughts |= is_ours;
                    !is_ours && walk.is_own(block, "signature")
                }
                "redacted_thinking" => walk.is_own(block, "data"),
                "tool_use" => {
                    walk.id(block, "id", |id| {
                        fit(id, &anthropic_messages::CALL_ID).into_owned()
                    });
                    is_bare |= has_cuts;
                    true
                }
                _ => true,
            };
            has_cuts |= !is_kept;
            is_said |= kind != "tool_result";
            is_kept
        });
        self.has_bare_calls = (self.has_bare_calls && (is_answer || !is_said)) || is_bare;
        is_kept
    }

    /// A model that is told to think by a number of tokens wants the thoughts before a call that is being answered.
    fn think_no_more(&mut self, thinking: Option<&'b [u8]>) {
        let by_budget = matches!(self.target.profile.thinking, ThinkingStyle::Budget { .. });
        if let Some(thinking) = thinking.filter(|_| self.has_bare_calls && by_budget) {
            let at = place(self.body, thinking);
            self.found.edits.push((at, r#"{"type":"disabled"}"#.to_owned()));
        }
    }

    /// One of Gemini's `contents`.
    fn content(&mut self, content: &mut Held<'b>) -> bool {
        self.each(content.get("parts"), |walk, part| {
            let of = |names: [&str; 2]| names.iter().find_map(|name| part.get(name));
            let call = of(CALLS);
            for of_call in [call, of(RESULTS)].into_iter().flatten() {
                let of_call = walk.held(of_call);
                walk.id(&of_call, "id", str::to_owned);
            }
            let sealed = SIGNATURES.iter().find(|name| part.get(name).is_some());
            let Some(name) = sealed.filter(|name| !walk.is_own(part, name)) else {
                return true;
            };
            if part.get("thought") == Some(b"true") {
                return false;
            }
            let stands_in = call.is_some() && is_third(walk.target);
            if let Some(at) = part.get(name) {
                walk.set(at, if stands_in { NO_SEAL } else { "" });
            }
            true
        })
    }
}
