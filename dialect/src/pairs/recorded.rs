//! What was recorded of each dialect, over every crossing.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::face::{FACES, Face, heading};
use super::gist::{differences, of_reply, of_request};
use crate::codec::{InPath, Meter};
use crate::json::Limits;
use crate::neutral::collect::Collector;
use crate::neutral::{Event, Fault, FaultKind, Finish, Losses, Part, Profile, Reply, Target};
use crate::refusal::Refusal;
use crate::spec::{Spec, recorded};
use crate::sse::StreamLimits;
use crate::{Dialect, StreamRelay, splice};

/// What may differ in an answer between two dialects, whatever they are: neither has a place for what the other tells.
const OPEN: [&str; 4] = ["citations", "names", "cache", "seals"];

pub(super) fn spec_of(face: &Face) -> Option<&'static Spec> {
    match face.folder {
        "anthropic" => Spec::anthropic(),
        "gemini" => Spec::google(),
        _ => Spec::openai(),
    }
}

/// Google's document has the model in the body, where the path has it.
pub(super) fn as_documented(face: &Face, body: &[u8]) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    if face.folder == "gemini" {
        request["model"] = "models/model".into();
    }
    request.to_string().into_bytes()
}

/// What the documents do not say of what the vendors take, and what clients ask that is theirs to refuse: the member, and
/// the beginning of the file's name.
const UNDOCUMENTED: [(&str, &str, &str); 11] = [
    // Newer than the document.
    ("anthropic", "/thinking", ""),
    ("anthropic", "/output_config", ""),
    (
        "anthropic",
        "/messages/2/role",
        "reasoning-tools-unsupported-model",
    ),
    ("anthropic", "/messages/2/role", "p22-"),
    // At least 16 there; a cap that a client has set is never raised.
    ("openai-responses", "/max_output_tokens", ""),
    ("openai-responses", "/temperature", "error-400-"),
    ("openai-chat", "/temperature", "error-400-"),
    ("anthropic", "/temperature", "error-400-"),
    // Words of one vendor's own are carried: they may be new, and not wrong.
    ("openai-responses", "/reasoning", "service-tier-groq-"),
    ("openai-responses", "/service_tier", "service-tier-groq-"),
    ("gemini", "/generationConfig/thinkingConfig", "service-tier-groq-"),
];

pub(super) fn is_undocumented(to: &Face, name: &str, problem: &str) -> bool {
    UNDOCUMENTED.iter().any(|(folder, member, file)| {
        *folder == to.folder && problem.starts_with(member) && name.starts_with(file)
    })
}

#[test]
fn recorded_requests_cross_or_are_refused_by_name() {
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    let mut problems = Vec::new();
    for to in &FACES {
        let Some(spec) = spec_of(to) else {
            return;
        };
        for from in FACES.iter().filter(|from| from.dialect != to.dialect) {
            let (mut faithful, mut lossy, mut refused) = (0, 0, 0);
            for (name, body) in recorded(from.folder, ".request.json") {
                let Ok(request) = (from.read_request)(&body) else {
                    continue;
                };
                let mut losses = Losses::new(false);
                let Ok(written) = (to.write_request)(&request, &target, &mut losses) else {
                    refused += 1;
                    continue;
                };
                *(if losses.lost().is_empty() {
                    &mut faithful
                } else {
                    &mut lossy
                }) += 1;
                let way = format!("{name} > {}", to.folder);
                let found = spec.problems(to.request_schema, &as_documented(to, &written.body));
                for problem in found
                    .iter()
                    .filter(|problem| !is_undocumented(to, &name, problem))
                {
                    problems.push(format!("{way}: {problem}"));
                }
                if let Err(refusal) = (to.read_request)(&written.body) {
                    problems.push(format!("{way}: cannot be read again: {}", refusal.message));
                }
            }
            println!(
                "{} > {}: {faithful} faithful, {lossy} lossy, {refused} refused",
                from.folder, to.folder
            );
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// The differences between two answers that nothing accounts for. In some dialects a refusal is a reason to end, in some
/// a text, and in some there is a word for it beside that.
pub(super) fn unlike(one: &Reply, other: &Reply) -> Vec<String> {
    let is_refused = matches!(one.finish, Finish::Refused(_));
    let (one, other) = (of_reply(one), of_reply(other));
    let is_open = |subject: &&str| {
        OPEN.contains(subject) || (is_refused && matches!(*subject, "stop" | "conversation"))
    };
    let differing = differences(&one, &other)
        .into_iter()
        .filter(|subject| !is_open(subject));
    differing
        .map(|subject| {
            format!(
                "{subject}: {:?} became {:?}",
                one.get(subject),
                other.get(subject)
            )
        })
        .collect()
}

pub(super) fn has_raw(reply: &Reply) -> bool {
    reply
        .parts
        .iter()
        .any(|part| matches!(part, Part::Raw(_) | Part::Media(_)))
}

#[test]
fn recorded_answers_cross() {
    let profile = Profile::default();
    let mut problems = Vec::new();
    for from in &FACES {
        let mut crossed = 0;
        for (name, body) in recorded(from.folder, ".response.json") {
            let Ok(reply) = (from.read_reply)(&body, &profile) else {
                continue;
            };
            // A call that makes no sense is the provider's failure, and is never written as an answer.
            if has_raw(&reply) || reply.finish.fault().is_some() {
                continue;
            }
            for to in FACES.iter().filter(|to| to.dialect != from.dialect) {
                let written = (to.write_reply)(&reply, &heading().as_heading());
                let way = format!("{name} > {}", to.folder);
                match (to.read_reply)(&written, &profile) {
                    Ok(back) => problems.extend(
                        unlike(&reply, &back)
                            .iter()
                            .map(|unlike| format!("{way}: {unlike}")),
                    ),
                    Err(error) => problems.push(format!("{way}: {error}")),
                }
                crossed += 1;
            }
        }
        println!("{}: {crossed} crossings of answers", from.folder);
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

pub(super) fn collected(events: &[Event]) -> Option<Reply> {
    let mut collector = Collector::default();
    events.iter().for_each(|event| collector.event(event.clone()));
    collector.reply().ok()
}

#[test]
fn recorded_streams_cross() {
    let mut problems = Vec::new();
    for from in &FACES {
        let mut crossed = 0;
        for (name, stream) in recorded(from.folder, ".stream.sse") {
            let mut events = (from.read_stream)(&stream);
            let whole = collected(&events);
            if !events
                .iter()
                .any(|event| matches!(event, Event::End | Event::Fault(_)))
            {
                events.push(Event::Fault(Fault {
                    kind: FaultKind::Internal,
                    message: "it was cut".to_owned(),
                    param: None,
                    code: None,
                    retry_after_ms: None,
                }));
            }
            for to in FACES.iter().filter(|to| to.dialect != from.dialect) {
                let written = (to.write_stream)(&events);
                let way = format!("{name} > {}", to.folder);
                // Its arguments are cut by the cap on tokens, which the reason to end says.
                let is_cut_call = name.starts_with("max-tokens-sdk-incomplete");
                if let Err(problem) = (to.check_stream)(&written)
                    && !is_cut_call
                {
                    problems.push(format!("{way}: {problem}"));
                }
                let back = collected(&(to.read_stream)(&written));
                match (&whole, &back) {
                    (Some(whole), Some(back)) if !has_raw(whole) && !is_cut_call => {
                        problems.extend(
                            unlike(whole, back)
                                .iter()
                                .map(|unlike| format!("{way}: {unlike}")),
                        );
                    }
                    (Some(_), Some(_)) | (None, None) => {}
                    (Some(_), None) => problems.push(format!("{way}: it has no good end any more")),
                    (None, Some(_)) => problems.push(format!("{way}: it has a good end now")),
                }
                crossed += 1;
            }
        }
        println!("{}: {crossed} crossings of streams", from.folder);
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

/// How many of a dialect's recordings went each of the three ways, of how many.
#[derive(Default)]
struct Tally {
    passed: (usize, usize),
    written_again: (usize, usize),
    crossed: (usize, usize),
    /// Why the others did not: what was refused, or what became otherwise, and how often.
    not_again: BTreeMap<String, usize>,
    not_crossed: BTreeMap<String, usize>,
}

/// Counts one, or why it is none.
fn account(place: &mut (usize, usize), reasons: &mut BTreeMap<String, usize>, outcome: Result<(), String>) {
    count(place, outcome.is_ok());
    if let Err(reason) = outcome {
        *reasons.entry(reason).or_default() += 1;
    }
}

fn named(refusal: &Refusal) -> String {
    refusal.param.as_deref().unwrap_or(&refusal.message).to_owned()
}

const IN_PATH: InPath<'static> = InPath {
    model: "model",
    stream: false,
    is_array: false,
};

fn count(place: &mut (usize, usize), is_fine: bool) {
    place.0 += usize::from(is_fine);
    place.1 += 1;
}

fn tally_requests(face: &Face, target: &Target<'_>, tally: &mut Tally) {
    for (_, body) in recorded(face.folder, ".request.json") {
        let Ok(envelope) = face.dialect.look(&body, IN_PATH, &Limits::default()) else {
            continue;
        };
        let body = Bytes::from(body);
        // Gemini's model is in the path, and its bodies are passed as they are.
        let passed = match face.dialect {
            Dialect::GeminiGenerate => body.to_vec(),
            _ => splice(&body, &envelope, &envelope.model, false).concat(),
        };
        count(&mut tally.passed, passed == body);
        let Ok(request) = (face.read_request)(&body) else {
            continue;
        };
        let write = |to: &Face| (to.write_request)(&request, target, &mut Losses::new(false));
        let again = write(face)
            .and_then(|written| (face.read_request)(&written.body))
            .map_err(|refusal| format!("refused: {}", named(&refusal)));
        let is_same = again.and_then(|again| {
            match differences(&of_request(&request), &of_request(&again)).as_slice() {
                [] => Ok(()),
                subjects => Err(format!("otherwise: {}", subjects.join(", "))),
            }
        });
        account(&mut tally.written_again, &mut tally.not_again, is_same);
        for to in FACES.iter().filter(|to| to.dialect != face.dialect) {
            let crosses = write(to)
                .map(|_| ())
                .map_err(|refusal| format!("{} to {}", named(&refusal), to.folder));
            account(&mut tally.crossed, &mut tally.not_crossed, crosses);
        }
    }
}

fn tally_streams(face: &Face, tally: &mut Tally) {
    let asked = br#"{"model":"m","max_tokens":9,"messages":[],"contents":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let envelope = face.dialect.look(asked, IN_PATH, &Limits::default()).unwrap();
    for (name, stream) in recorded(face.folder, ".stream.sse") {
        let meter = Meter::new(face.dialect, &envelope);
        let mut relay = StreamRelay::over(meter, StreamLimits::default());
        let mut out = Vec::new();
        relay.push(Bytes::from(stream.clone()), &mut out).unwrap();
        relay.finish(&mut out);
        // A stream that breaks off is not passed on beyond its last whole event.
        count(&mut tally.passed, stream.starts_with(&out.concat()));
        let events = (face.read_stream)(&stream);
        let again = (face.read_stream)(&(face.write_stream)(&events));
        let is_same = match (collected(&events), collected(&again)) {
            (Some(told), Some(again)) => has_raw(&told) || unlike(&told, &again).is_empty(),
            (None, _) => true,
            (Some(_), None) => false,
        };
        let case = || name.trim_end_matches(".stream.sse").to_owned();
        account(
            &mut tally.written_again,
            &mut tally.not_again,
            is_same.then_some(()).ok_or_else(case),
        );
        for to in FACES.iter().filter(|to| to.dialect != face.dialect) {
            let is_checked = (to.check_stream)(&(to.write_stream)(&events)).is_ok();
            let crosses = is_checked || collected(&events).is_none();
            let outcome = crosses
                .then_some(())
                .ok_or_else(|| format!("{} to {}", case(), to.folder));
            account(&mut tally.crossed, &mut tally.not_crossed, outcome);
        }
    }
}

/// The counts of all three ways, for whoever wants to know what the other tests stand on. Requests that the usual model
/// refuses, or that it is told otherwise, are neither written again as they were nor do they cross; that no others are
/// among them, each dialect's own tests show.
#[test]
fn it_is_told_how_much_was_recorded_and_which_ways_it_went() {
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    for face in &FACES {
        let mut requests = Tally::default();
        tally_requests(face, &target, &mut requests);
        let mut streams = Tally::default();
        tally_streams(face, &mut streams);
        for (what, tally) in [("requests", &requests), ("streams", &streams)] {
            let Tally {
                passed,
                written_again,
                crossed,
                not_again,
                not_crossed,
            } = tally;
            println!(
                "{}, {what}: same bytes {}/{}, written again {}/{}, crossed {}/{}",
                face.folder, passed.0, passed.1, written_again.0, written_again.1, crossed.0, crossed.1
            );
            for (which, reasons) in [("again", not_again), ("crossed", not_crossed)] {
                let told: usize = reasons.values().sum();
                let of = if which == "again" { written_again } else { crossed };
                assert_eq!(
                    told,
                    of.1 - of.0,
                    "{}, {what}: each that is missing has a reason",
                    face.folder
                );
                for (reason, times) in reasons {
                    println!("    not {which}: {reason} ({times})");
                }
            }
            assert_eq!(passed.0, passed.1, "{}, {what}: other bytes", face.folder);
        }
    }
}
