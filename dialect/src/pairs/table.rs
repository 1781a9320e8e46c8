//! Every case over every crossing: there, and back. What becomes of each is written down in `crossings.txt`.

use std::collections::BTreeSet;

use super::cases;
use super::face::{FACES, Face};
use super::gist::{accounts, differences, of_request};
use crate::Dialect;
use crate::neutral::{Losses, Part, Profile, Request, Target, ToolChoice, Undo};
use crate::refusal::Refusal;

/// What is said in other words where the dialect has none for it, by case, target, and subject.
const OTHER_WORDS: [(&str, Dialect, &[&str]); 9] = [
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
    // Results are texts, and have no mark of an error; images follow in a turn of their own.
    ("result_error", Dialect::OpenaiChat, &["conversation", "errors"]),
    ("result_image", Dialect::OpenaiChat, &["conversation"]),
    // Only these tools are sent, one of which has to be called.
    ("tools_among", Dialect::AnthropicMessages, &["tools"]),
];

/// What became of a case.
struct Crossed {
    outcome: String,
    problems: Vec<String>,
}

fn write(face: &Face, request: &Request) -> Result<(Vec<u8>, Undo, Losses), Refusal> {
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
fn as_client(face: &Face, case: &Request) -> Option<Vec<u8>> {
    let (body, _, losses) = write(face, case).ok()?;
    losses.lost().is_empty().then_some(body)
}

fn cross(case: &str, from: &Face, to: &Face, body: &[u8]) -> Crossed {
    let asked = (from.read_request)(body).unwrap();
    let (sent, undo, losses) = match write(to, &asked) {
        Ok(written) => written,
        Err(refusal) => {
            let what = refusal
                .param
                .map_or_else(|| refusal.message.clone(), str::to_owned);
            return Crossed {
                outcome: format!("refused: {what}"),
                problems: Vec::new(),
            };
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
    let said =
        |words: &str, what: Vec<String>| (!what.is_empty()).then(|| format!("{words}: {}", what.join(", ")));
    let other_words = other_words.into_iter().map(str::to_owned).collect();
    let outcome = [said("lost", there), said("in other words", other_words)];
    let outcome: Vec<_> = outcome.into_iter().flatten().collect();
    let outcome = if outcome.is_empty() {
        "faithful".to_owned()
    } else {
        outcome.join("; ")
    };
    Crossed { outcome, problems }
}

/// Seals are their vendor's alone, and go through clients, not through other vendors: no request takes one there and back.
fn is_in_other_words(case: &str, to: Dialect, subject: &str) -> bool {
    let is_listed = |(known, dialect, subjects): &(&str, Dialect, &[&str])| {
        *known == case && *dialect == to && subjects.contains(&subject)
    };
    subject == "seals" || OTHER_WORDS.iter().any(is_listed)
}

/// What the gateway does to the answer, done to the request.
fn undone(mut request: Request, undo: &Undo) -> Request {
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
    for (name, case) in cases::all() {
        table.push_str(&format!("{name}\n"));
        for from in &FACES {
            let Some(body) = as_client(from, &case) else {
                continue;
            };
            for to in FACES.iter().filter(|to| to.dialect != from.dialect) {
                let crossed = cross(name, from, to, &body);
                let way = format!("{} > {}", from.dialect.as_str(), to.dialect.as_str());
                table.push_str(&format!("    {way}: {}\n", crossed.outcome));
                for problem in crossed.problems {
                    problems.push(format!("{name}, {way}: {problem}"));
                }
            }
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
