//! What becomes of members that only another dialect understands: one table for all, and one walk over a request.
//!
//! A writer calls [`foreign`] before anything else. After that every [`Raw`] of another origin is accounted for (told
//! as lost, or known to mean nothing there), and the writer passes over it in silence.

use serde::Deserialize;

use super::{Citation, Losses, Media, Part, Profile, Raw, Request, Role, ToolKind, Turn};
use crate::Dialect;
use crate::refusal::{Code, Refusal};

/// What is done with a member that cannot cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The answer stays acceptable without it; it is told as lost.
    Drop,
    /// No answer is touched by it; it is told as lost, but refused to nobody.
    Mention,
    /// The answer would not be what the client asked for.
    Refuse,
    /// It asks for nothing that a target could do; nothing is lost.
    Pass,
}

/// What Claude Code says of its own accord: thoughts stay in the conversation, as they do anyway.
const KEEPS_THOUGHTS: [&str; 2] = [
    r#"{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]}"#,
    r#"{"edits":[{"keep":"all","type":"clear_thinking_20251015"}]}"#,
];

/// Where a member stands, as each dialect calls that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Request,
    Turn,
    /// A part as a whole, or a member of one.
    Part,
    Tool,
    Call,
}

/// The member's path, its fate, and the values with which it means nothing, spelled without white space.
pub(crate) type Row = (&'static str, Fate, &'static [&'static str]);

#[rustfmt::skip]
const OPENAI_CHAT: &[Row] = &[
    ("audio",                       Fate::Refuse, &[]),
    ("function_call",               Fate::Refuse, &["\"auto\""]),
    ("include_reasoning",           Fate::Pass,   &[]),
    ("logit_bias",                  Fate::Refuse, &["{}"]),
    ("modalities",                  Fate::Refuse, &["[\"text\"]", "[]"]),
    ("moderation",                  Fate::Drop,   &[]),
    ("plugins",                     Fate::Refuse, &["[]"]),
    ("prediction",                  Fate::Drop,   &[]),
    ("prompt_cache_key",            Fate::Mention, &[]),
    ("prompt_cache_options",        Fate::Drop,   &[]),
    ("prompt_cache_retention",      Fate::Drop,   &[]),
    ("reasoning_format",            Fate::Pass,   &[]),
    ("store",                       Fate::Drop,   &["false"]),
    ("stream_options",              Fate::Pass,   &[]),
    ("usage",                       Fate::Pass,   &[]),
    ("verbosity",                   Fate::Drop,   &["\"medium\""]),
    ("web_search_options",          Fate::Refuse, &[]),
    ("messages.annotations",        Fate::Drop,   &["[]"]),
    ("messages.audio",              Fate::Refuse, &[]),
    ("messages.prefix",             Fate::Refuse, &["false"]),
    ("messages.content.file",       Fate::Refuse, &[]),
    ("messages.tool_calls.index",   Fate::Pass,   &[]),
];

#[rustfmt::skip]
const OPENAI_RESPONSES: &[Row] = &[
    ("background",                  Fate::Refuse, &["false"]),
    // What Codex says of itself and of its session.
    ("client_metadata",             Fate::Mention, &["{}"]),
    ("context_management",          Fate::Drop,   &["[]"]),
    ("conversation",                Fate::Refuse, &[]),
    ("include",                     Fate::Drop,   &["[]", "[\"reasoning.encrypted_content\"]"]),
    ("max_tool_calls",              Fate::Drop,   &[]),
    ("moderation",                  Fate::Drop,   &[]),
    ("previous_response_id",        Fate::Refuse, &[]),
    ("prompt",                      Fate::Refuse, &[]),
    ("prompt_cache_key",            Fate::Mention, &[]),
    ("prompt_cache_options",        Fate::Drop,   &[]),
    ("prompt_cache_retention",      Fate::Drop,   &[]),
    ("store",                       Fate::Drop,   &["false"]),
    ("stream_options",              Fate::Pass,   &[]),
    ("truncation",                  Fate::Refuse, &["\"disabled\""]),
    ("verbosity",                   Fate::Drop,   &["\"medium\""]),
    ("input.phase",                 Fate::Drop,   &[]),
    ("input.item_reference",        Fate::Refuse, &[]),
];

#[rustfmt::skip]
const ANTHROPIC_MESSAGES: &[Row] = &[
    ("container",                   Fate::Refuse, &[]),
    ("context_management",          Fate::Drop,   &["{\"edits\":[]}", KEEPS_THOUGHTS[0], KEEPS_THOUGHTS[1]]),
    ("inference_geo",               Fate::Refuse, &[]),
    ("mcp_servers",                 Fate::Refuse, &["[]"]),
    ("metadata",                    Fate::Mention, &["{}"]),
    ("anthropic_version",           Fate::Pass,   &[]),
    ("diagnostics",                 Fate::Pass,   &[]),
    ("speed",                       Fate::Drop,   &["\"standard\""]),
    ("messages.content.caller",     Fate::Drop,   &["{\"type\":\"direct\"}"]),
    ("messages.content.citations",  Fate::Drop,   &["{\"enabled\":false}"]),
    ("tools.allowed_callers",       Fate::Drop,   &["[\"direct\"]"]),
    // All tools are told of at once instead.
    ("tools.defer_loading",         Fate::Mention, &["false"]),
    ("tools.eager_input_streaming", Fate::Pass,   &[]),
];

#[rustfmt::skip]
const GEMINI_GENERATE: &[Row] = &[
    ("cachedContent",               Fate::Refuse, &[]),
    ("labels",                      Fate::Mention, &["{}"]),
    ("modelArmorConfig",            Fate::Refuse, &[]),
    ("safetySettings",              Fate::Drop,   &["[]"]),
    ("store",                       Fate::Drop,   &["false"]),
    ("generationConfig.enableEnhancedCivicAnswers", Fate::Drop, &["false"]),
    ("generationConfig.imageConfig",        Fate::Refuse, &[]),
    ("generationConfig.mediaResolution",    Fate::Drop,   &[]),
    // A text out of a list (`text/x.enum`).
    ("generationConfig.responseMimeType",   Fate::Refuse, &[]),
    ("generationConfig.responseModalities", Fate::Refuse, &["[\"TEXT\"]", "[]"]),
    ("generationConfig.speechConfig",       Fate::Refuse, &[]),
];

/// Members that OpenAI's two dialects have in common, which pass between them to whoever takes them: many who speak OpenAI's
/// dialects refuse what they do not know.
const OPENAIS: [&str; 5] = [
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "verbosity",
];

/// Whether a member of a request means the same in both of OpenAI's dialects.
pub fn is_openais(name: &str) -> bool {
    OPENAIS.contains(&name)
}

/// Accounts for all that a request holds in a dialect other than `own`, to which it is about to be written.
///
/// # Errors
/// When something of it cannot be left out, or the tenant wants nothing left out.
pub fn foreign(
    request: &Request,
    own: Dialect,
    profile: &Profile,
    losses: &mut Losses,
) -> Result<(), Refusal> {
    let takes_openais = profile.openai_members && is_openai(own);
    let mut judge = Judge {
        own,
        takes_openais,
        losses,
    };
    judge.all(Place::Request, &request.raw)?;
    for turn in &request.turns {
        judge.turn(turn)?;
    }
    for tool in &request.tools {
        judge.all(Place::Tool, &tool.raw)?;
        match &tool.kind {
            // What a vendor runs, no other vendor runs.
            ToolKind::Server(raw) if raw.origin != own => return Err(refuse_tool(&tool.name)),
            ToolKind::Server(_) | ToolKind::Function { .. } | ToolKind::FreeText { .. } => {}
        }
    }
    Ok(())
}

/// Agents offer such tools unasked, and their users have to learn which to switch off.
fn refuse_tool(name: &str) -> Refusal {
    const LONG: usize = 64;
    let name: String = name.chars().take(LONG).collect();
    let message = format!(
        "the tool `{name}` in `tools` has no like in the dialect of the provider that this model is routed to"
    );
    Refusal::new(Code::CannotTranslate, message).param("tools")
}

struct Judge<'a> {
    own: Dialect,
    takes_openais: bool,
    losses: &'a mut Losses,
}

/// The kind of a part, by the name that every dialect but Gemini's gives it.
#[derive(Deserialize)]
struct Typed {
    r#type: Option<String>,
}

impl Judge<'_> {
    fn turn(&mut self, turn: &Turn) -> Result<(), Refusal> {
        self.all(Place::Turn, &turn.raw)?;
        // What a vendor's own tools left in an answer can be missed; what the caller gave to be read cannot.
        let unknown = if turn.role == Role::Assistant {
            Fate::Drop
        } else {
            Fate::Refuse
        };
        turn.parts.iter().try_for_each(|part| self.part(part, unknown))
    }

    fn part(&mut self, part: &Part, unknown: Fate) -> Result<(), Refusal> {
        match part {
            Part::Raw(raw) => self.one(Place::Part, raw, unknown),
            Part::Media(Media { raw, .. }) => self.all(Place::Part, raw),
            Part::ToolCall(call) => self.all(Place::Call, &call.raw),
            Part::ToolResult(result) => {
                self.all(Place::Turn, &result.raw)?;
                result
                    .parts
                    .iter()
                    .try_for_each(|part| self.part(part, Fate::Refuse))
            }
            Part::Text(text) => text.citations.iter().try_for_each(|citation| match citation {
                Citation::Raw(raw) => self.one(Place::Part, raw, Fate::Drop),
                Citation::Url { .. } => Ok(()),
            }),
            Part::Refusal(_) | Part::Reasoning(_) => Ok(()),
        }
    }

    fn all(&mut self, place: Place, raws: &[Raw]) -> Result<(), Refusal> {
        raws.iter().try_for_each(|raw| self.one(place, raw, Fate::Drop))
    }

    /// Judges one piece; one that no table names meets the fate `unknown`.
    fn one(&mut self, place: Place, raw: &Raw, unknown: Fate) -> Result<(), Refusal> {
        let is_shared =
            place == Place::Request && self.takes_openais && is_openai(raw.origin) && is_openais(&raw.name);
        if raw.origin == self.own || raw.json.get() == "null" || is_shared {
            return Ok(());
        }
        let prefix = prefix(raw.origin, place);
        let kind = raw.name.is_empty().then(|| kind_of(raw)).flatten();
        let name = kind.as_deref().unwrap_or(&raw.name);
        let row = table(raw.origin)
            .iter()
            .find(|(path, ..)| path.strip_prefix(prefix) == Some(name));
        match row {
            Some((_, _, harmless)) if harmless.contains(&compact(raw).as_str()) => Ok(()),
            Some((_, Fate::Pass, _)) => Ok(()),
            Some((path, Fate::Drop, _)) => self.losses.drop(path),
            Some((path, Fate::Mention, _)) => {
                self.losses.mention(path);
                Ok(())
            }
            Some((path, Fate::Refuse, _)) => Err(Losses::refuse(*path)),
            None if unknown == Fate::Refuse => Err(Losses::refuse_unknown(prefix, name)),
            None => self.losses.drop_unknown(prefix, name),
        }
    }
}

fn is_openai(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiResponses)
}

/// What becomes of the members that only this dialect understands.
pub(crate) fn table(origin: Dialect) -> &'static [Row] {
    match origin {
        Dialect::OpenaiChat => OPENAI_CHAT,
        Dialect::OpenaiResponses => OPENAI_RESPONSES,
        Dialect::AnthropicMessages => ANTHROPIC_MESSAGES,
        Dialect::GeminiGenerate => GEMINI_GENERATE,
    }
}

/// What stands before a member's name in its path.
fn prefix(origin: Dialect, place: Place) -> &'static str {
    match (place, origin) {
        (Place::Request, _) => "",
        (Place::Tool, _) => "tools.",
        (Place::Call, Dialect::OpenaiChat) => "messages.tool_calls.",
        (Place::Part, Dialect::OpenaiChat | Dialect::AnthropicMessages)
        | (Place::Call, Dialect::AnthropicMessages) => "messages.content.",
        (Place::Turn, Dialect::OpenaiChat | Dialect::AnthropicMessages) => "messages.",
        (_, Dialect::OpenaiResponses) => "input.",
        (Place::Turn, Dialect::GeminiGenerate) => "contents.",
        (Place::Part | Place::Call, Dialect::GeminiGenerate) => "contents.parts.",
    }
}

fn kind_of(raw: &Raw) -> Option<String> {
    serde_json::from_str::<Typed>(raw.json.get()).ok()?.r#type
}

/// A value without white space; a long one cannot be one of those that mean nothing.
fn compact(raw: &Raw) -> String {
    const LONG: usize = 256;
    let text = raw.json.get();
    if text.len() > LONG {
        return String::new();
    }
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn raw(origin: Dialect, name: &str, json: &str) -> Raw {
        Raw::new(origin, name, RawValue::from_string(json.to_owned()).unwrap())
    }

    fn judged(raws: Vec<Raw>, own: Dialect, strict: bool) -> Result<Option<String>, Option<&'static str>> {
        let request = Request {
            raw: raws,
            ..Request::default()
        };
        let mut losses = Losses::new(strict);
        foreign(&request, own, &Profile::default(), &mut losses).map_err(|refusal| refusal.named())?;
        Ok(losses.header())
    }

    #[test]
    fn each_member_is_dropped_by_name_refused_by_name_or_means_nothing() {
        let chat = |name: &str, json: &str| vec![raw(Dialect::OpenaiChat, name, json)];
        let own = Dialect::GeminiGenerate;
        let dropped = |name: &str| Ok(Some(name.to_owned()));
        assert_eq!(
            judged(chat("verbosity", "\"low\""), own, false),
            dropped("verbosity")
        );
        assert_eq!(
            judged(chat("verbosity", "\"low\""), own, true),
            Err(Some("verbosity"))
        );
        assert_eq!(judged(chat("new_member", "1"), own, false), dropped("new_member"));
        assert_eq!(judged(chat("a\r\nb", "1"), own, false), dropped("?"));
        assert_eq!(
            judged(chat("new_member", "1"), own, true),
            Err(Some("new_member"))
        );
        assert_eq!(judged(chat("new.member", "1"), own, false), dropped("new.member"));
        assert_eq!(judged(chat("a\r\nb", "1"), own, true), Err(Some("?")));
        assert_eq!(judged(chat(&"a".repeat(65), "1"), own, true), Err(Some("?")));
        assert_eq!(
            judged(chat("logit_bias", "{\"1\":5}"), own, false),
            Err(Some("logit_bias"))
        );
        for (name, json) in [
            ("logit_bias", "{ }"),
            ("modalities", "[ \"text\" ]"),
            ("audio", "null"),
            ("stream_options", "{\"include_obfuscation\":false}"),
        ] {
            assert_eq!(judged(chat(name, json), own, true), Ok(None), "{name}");
        }
        assert_eq!(
            judged(chat("logit_bias", "{\"1\":5}"), Dialect::OpenaiChat, true),
            Ok(None)
        );
    }

    #[test]
    fn an_unknown_part_is_missed_in_an_answer_and_refused_in_a_question() {
        let with = |role: Role| {
            let part = Part::Raw(raw(
                Dialect::AnthropicMessages,
                "",
                "{\"type\":\"server_tool_use\"}",
            ));
            let request = Request {
                turns: vec![Turn::new(role, vec![part])],
                ..Request::default()
            };
            let mut losses = Losses::new(false);
            foreign(&request, Dialect::OpenaiChat, &Profile::default(), &mut losses)
                .map_err(|refusal| refusal.named())?;
            Ok(losses.header())
        };
        let lost = "messages.content.server_tool_use".to_owned();
        assert_eq!(with(Role::Assistant), Ok(Some(lost)));
        let refused = "messages.content.server_tool_use";
        assert_eq!(with(Role::User), Err(Some(refused)));
    }
}
