//! Every case over every crossing: there, and back. What becomes of each is written down in `crossings.txt`.

use std::collections::BTreeSet;
use std::fmt;

use super::cases;
use super::face::{FACES, Face};
use super::gist::{accounts, differences, of_request};
use super::sent;
use crate::Dialect;
use crate::neutral::{Losses, Part, Profile, Request, Target, ToolChoice, Undo};
use crate::refusal::Refusal;
use crate::translate::in_words_of;

/// What is said in other words where the dialect has none for it, by case, target, and subject.
const OTHER_WORDS: [(&str, Dialect, &[&str]); 16] = [
    // An instruction stands in for a mode that the dialect does not have, or wants beside it.
    (
        "json_object",
        Dialect::AnthropicMessages,
        &["conversation", "output"],
    ),
    ("json_object", Dialect::OpenaiResponses, &["conversation"]),
    // Instructions stand at the beginning alone; a later one is the user's, marked as what it is.
    ("json_object", Dialect::GeminiGenerate, &["conversation"]),
    ("system_in_the_middle", Dialect::GeminiGenerate, &["conversation"]),
    // A number has to be named.
    ("no_cap", Dialect::AnthropicMessages, &["max_tokens"]),
    // Whether thoughts are shown is not the client's to say.
    ("budget", Dialect::OpenaiChat, &["show"]),
    // Current models are told how much to think in a word.
    ("tokens_of_thought", Dialect::OpenaiChat, &["show", "thinking"]),
    ("tokens_of_thought", Dialect::OpenaiResponses, &["thinking"]),
    ("tokens_of_thought", Dialect::AnthropicMessages, &["thinking"]),
    ("tokens_of_thought", Dialect::GeminiGenerate, &["thinking"]),
    // Results are texts, and have no mark of an error; images follow in a turn of their own.
    ("result_error", Dialect::OpenaiChat, &["conversation", "errors"]),
    ("result_image", Dialect::OpenaiChat, &["conversation"]),
    // A file has to be named.
    ("document_without_name", Dialect::OpenaiChat, &["names"]),
    ("document_without_name", Dialect::OpenaiResponses, &["names"]),
    // All calls are held to their schemas, or none.
    ("strict_tool", Dialect::GeminiGenerate, &["strict"]),
    // Only these tools are sent, one of which has to be called.
    ("tools_among", Dialect::AnthropicMessages, &["tools"]),
];

/// The instruction that OpenAI wants beside the mode may as well be the client's own.
const SAID_BY_CLIENTS: [(&str, Dialect); 1] = [("json_object", Dialect::OpenaiResponses)];

/// A case as a client of a dialect writes it.
struct Body {
    json: Vec<u8>,
    /// Whether that dialect has words of its own for it.
    is_native: bool,
}

/// A case on its way from a client to a provider.
pub(super) struct Crossing {
    pub case: &'static str,
    pub from: Dialect,
    pub to: Dialect,
    /// Whether the client's dialect has words of its own for it.
    pub is_native: bool,
    pub became: Became,
    problems: Vec<String>,
}

/// What became of a case.
pub(super) enum Became {
    /// What was named in the refusal.
    Refused(String),
    Arrived {
        lost: Vec<String>,
        other_words: Vec<&'static str>,
        /// Whether the answer has something to be turned back.
        is_emulated: bool,
    },
}

impl fmt::Display for Became {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(what) => write!(f, "refused: {what}"),
            Self::Arrived {
                lost, other_words, ..
            } => {
                let said = |words, what: String| (!what.is_empty()).then(|| format!("{words}: {what}"));
                let parts = [
                    said("lost", lost.join(", ")),
                    said("in other words", other_words.join(", ")),
                ];
                let parts: Vec<_> = parts.into_iter().flatten().collect();
                f.write_str(if parts.is_empty() { "faithful" } else { "" })?;
                f.write_str(&parts.join("; "))
            }
        }
    }
}

pub(super) fn write(face: &Face, request: &Request) -> Result<(Vec<u8>, Undo, Losses), Refusal> {
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    let mut losses = Losses::new(false);
    let written = (face.write_request)(request, &target, &mut losses)?;
    Ok((written.body, written.undo, losses))
}

fn lost(losses: &Losses) -> Vec<String> {
    losses.lost().iter().map(|loss| loss.member.to_string()).collect()
}

/// The case as a client of this dialect writes it; `None` where the dialect cannot say it.
fn as_client(face: &Face, name: &str, case: &Request) -> Option<Body> {
    let (json, undo, losses) = write(face, case).ok()?;
    if !losses.lost().is_empty() {
        return None;
    }
    let said = (face.read_request)(&json).unwrap();
    let is_said = undo.is_empty() && differences(&of_request(case), &of_request(&said)).is_empty();
    let is_native = is_said || SAID_BY_CLIENTS.contains(&(name, face.dialect));
    Some(Body { json, is_native })
}

/// Every case in every dialect that can say it.
fn bodies() -> Vec<(&'static str, Vec<(&'static Face, Body)>)> {
    let written = cases::all().into_iter().map(|(name, case)| {
        let of = |face: &'static Face| Some((face, as_client(face, name, &case)?));
        (name, FACES.iter().filter_map(of).collect())
    });
    let sent = sent::all().into_iter().map(|(name, sent)| {
        let of = |face: &'static Face| {
            let (_, json) = sent.iter().find(|(dialect, _)| *dialect == face.dialect)?;
            let json = json.to_string().into_bytes();
            let is_native = true;
            Some((face, Body { json, is_native }))
        };
        (name, FACES.iter().filter_map(of).collect())
    });
    written.chain(sent).collect()
}

/// Every case over every crossing.
pub(super) fn crossings() -> Vec<Crossing> {
    let mut crossings = Vec::new();
    for (case, bodies) in bodies() {
        for (from, body) in bodies {
            for to in FACES.iter().filter(|to| to.dialect != from.dialect) {
                let (became, problems) = cross(case, from, to, &body.json);
                crossings.push(Crossing {
                    case,
                    from: from.dialect,
                    to: to.dialect,
                    is_native: body.is_native,
                    became,
                    problems,
                });
            }
        }
    }
    crossings
}

pub(super) fn cross(case: &str, from: &Face, to: &Face, body: &[u8]) -> (Became, Vec<String>) {
    let asked = (from.read_request)(body).unwrap();
    let (sent, undo, losses) = match write(to, &asked) {
        Ok(written) => written,
        Err(refusal) => {
            let refusal = in_words_of(from.dialect, refusal);
            let what = refusal
                .param
                .map_or_else(|| refusal.message.clone(), |param| param.into_owned());
            return (Became::Refused(what), Vec::new());
        }
    };
    let there = lost(&losses);
    let mut problems = Vec::new();
    let arrived = (to.read_request)(&sent).map(|arrived| undone(arrived, &undo));
    let back = arrived
        .as_ref()
        .map_err(|refusal| refusal.message.clone())
        .and_then(|arrived| {
            let (body, undo, losses) = write(from, arrived).map_err(|refusal| refusal.message)?;
            let returned = (from.read_request)(&body).map_err(|refusal| refusal.message)?;
            Ok((undone(returned, &undo), lost(&losses)))
        });
    let asked = of_request(&asked);
    let mut other_words = BTreeSet::new();
    let mut hold = |name: &str, other: &Request, lost: &[String]| {
        for subject in differences(&asked, &of_request(other)) {
            if is_in_other_words(case, to.dialect, subject) {
                other_words.insert(subject);
            } else if !lost.iter().any(|lost| accounts(lost, subject)) {
                let (one, two) = (asked.get(subject), of_request(other).get(subject).cloned());
                problems.push(format!("{name}, {subject}: {one:?} became {two:?}"));
            }
        }
    };
    match (&arrived, back) {
        (Ok(arrived), Ok((returned, lost_back))) => {
            hold("there", arrived, &there);
            hold("back", &returned, &[there.clone(), lost_back].concat());
        }
        (_, back) => problems.push(format!("cannot be read again: {:?}", back.err())),
    }
    if !problems.is_empty() {
        problems.push(String::from_utf8_lossy(&sent).into_owned());
    }
    let became = Became::Arrived {
        lost: there,
        other_words: other_words.into_iter().collect(),
        is_emulated: !undo.is_empty(),
    };
    (became, problems)
}

/// Seals are their vendor's alone, and go through clients, not through other vendors: no request takes one there and back.
fn is_in_other_words(case: &str, to: Dialect, subject: &str) -> bool {
    let is_listed = |(known, dialect, subjects): &(&str, Dialect, &[&str])| {
        *known == case && *dialect == to && subjects.contains(&subject)
    };
    subject == "seals" || OTHER_WORDS.iter().any(is_listed)
}

/// What the gateway does to the answer, done to the request.
pub(super) fn undone(mut request: Request, undo: &Undo) -> Request {
    for tool in &mut request.tools {
        undo.names.turn_back(&mut tool.name);
    }
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Part::ToolCall(call) = part {
            undo.names.turn_back(&mut call.name);
        }
    }
    if let Some(ToolChoice::Tool(name)) = &mut request.tool_choice {
        undo.names.turn_back(name);
    }
    request.stop.extend(undo.stop.iter().cloned());
    request
}

#[test]
fn what_a_client_means_arrives_and_comes_back() {
    let mut table = String::new();
    let mut problems = Vec::new();
    let mut last = "";
    for crossing in crossings() {
        let Crossing { case, from, to, .. } = crossing;
        if case != last {
            table.push_str(&format!("{case}\n"));
            last = case;
        }
        let way = format!("{} > {}", from.as_str(), to.as_str());
        table.push_str(&format!("    {way}: {}\n", crossing.became));
        for problem in crossing.problems {
            problems.push(format!("{case}, {way}: {problem}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pairs/crossings.txt");
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == table,
        "crossings.txt is not what happens; TOLLGATE_TEST_BLESS=1 writes it anew:\n{table}"
    );
}
