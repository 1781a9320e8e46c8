//! Every file of every recording is run, in each of the ways that there are for it: what is left out of one is named here,
//! with its reason, and a file that nothing runs is found.
//!
//! | way | of a request | of an answer, whole or as a stream |
//! |---|---|---|
//! | passed | looked at and spliced, it is the same bytes | relayed, it is the same bytes |
//! | used | | what the meter finds is what the reader finds |
//! | again | read and written in its own dialect, it means the same | the same |
//! | crossed | to each other dialect: as its document has it, and what differs is told as lost, or refused by name | well formed, and the same |
//!
//! An error only crosses. [`super::again`] and [`super::recorded`] say more of what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use super::again::{otherwise, profiles};
use super::face::{FACES, Face, heading};
use super::recorded::{as_documented, collected, has_raw, is_undocumented, spec_of, unlike};
use super::table::{Became, cross};
use crate::codec::{InPath, Meter};
use crate::embeddings::Form;
use crate::json::Limits;
use crate::neutral::{Fault, Losses, Profile, Target};
use crate::spec::shared;
use crate::sse::StreamLimits;
use crate::{Counter, Dialect, StreamRelay, splice};

/// What a folder of recordings is of.
#[derive(Clone, Copy)]
enum Subject {
    /// One of the four dialects.
    Chat(&'static Face),
    Count(Counter),
    Embeddings(Form),
    /// Of what this gateway does not speak: none of its readers may stumble over it.
    Foreign,
}

const FOLDERS: [(&str, Subject); 11] = [
    ("openai-chat", Subject::Chat(&FACES[0])),
    ("openai-responses", Subject::Chat(&FACES[1])),
    ("anthropic", Subject::Chat(&FACES[2])),
    ("gemini", Subject::Chat(&FACES[3])),
    (
        "anthropic-count-tokens",
        Subject::Count(Counter::AnthropicMessages),
    ),
    ("gemini-count-tokens", Subject::Count(Counter::GeminiGenerate)),
    ("openai-embeddings", Subject::Embeddings(Form::Openai)),
    ("gemini-embeddings", Subject::Embeddings(Form::GeminiMany)),
    ("openai-completions", Subject::Foreign),
    ("openai-responses-aux", Subject::Foreign),
    ("bedrock-converse", Subject::Foreign),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Passed,
    Used,
    Again,
    Crossed,
}

use Way::{Again, Crossed, Passed, Used};

/// What is left out of a way, or is said in other words: how that shows, in which files where it is not in any (how their
/// names begin), and why.
const LEFT_OUT: [(Way, &str, &[&str], &str); 27] = [
    (
        Crossed,
        "it holds what one vendor alone has",
        &[],
        "what a vendor's own tools came to has no place elsewhere",
    ),
    (
        Passed,
        "the member `model` is missing",
        &["bedrock-invoke-"],
        "there the path has the model, and no client asks so",
    ),
    (Again, "the member `model`", &["bedrock-invoke-"], "the same"),
    (Crossed, "the member `model`", &["bedrock-invoke-"], "the same"),
    (
        Crossed,
        ", max_tokens: None became Some",
        &[],
        "a cap has to be named",
    ),
    (
        Crossed,
        ", thinking: Some(\"Budget",
        &[],
        "current models are told how much to think in a word",
    ),
    (
        Crossed,
        "to gemini: there, strict",
        &[],
        "all calls are held to their schemas there, or none",
    ),
    (Crossed, "to gemini: back, strict", &[], "the same"),
    (
        Crossed,
        "names: None became Some",
        &["inline-media-"],
        "a file has to be named",
    ),
    (
        Crossed,
        "documents: ",
        &["inline-media-", "file-input-", "error-400-multimodal-"],
        "a text is written as one, and what it is of is guessed by the end of its address",
    ),
    (
        Crossed,
        "images: ",
        &["inline-media-vertex-", "error-400-multimodal-"],
        "what a file is, its bytes say, or the end of its address",
    ),
    (
        Crossed,
        "to gemini: there, conversation: ",
        &[
            "mid-conversation-",
            "reasoning-tools-unsupported-",
            "length-chat-",
        ],
        "instructions stand at the beginning alone, and are none where nothing else is asked",
    ),
    (
        Crossed,
        "to gemini: back, conversation: ",
        &[
            "mid-conversation-",
            "reasoning-tools-unsupported-",
            "length-chat-",
        ],
        "the same",
    ),
    (
        Crossed,
        "to openai-chat: there, conversation: ",
        &["error-400-", "file-input-", "image-input-"],
        "what results hold beside text follows in a turn of its own",
    ),
    (
        Crossed,
        " conversation: ",
        &[
            "tool-result-tools-t1",
            "max-tokens-sdk-incomplete-",
            "structured-output-prompted-",
        ],
        "blank texts are left out, calls that a cap has cut are no calls, and a mode becomes an instruction",
    ),
    (
        Crossed,
        "to gemini: there, reasoning: ",
        &["prompt-caching-deepseek-"],
        "thoughts that follow one another are one",
    ),
    (
        Crossed,
        "cannot be expressed in the dialect",
        &["embeddings-tokens"],
        "tokens mean nothing to another vendor",
    ),
    (
        Again,
        "the member `dimensions`",
        &["error-400-embeddings-"],
        "it was recorded to see how it is refused",
    ),
    (
        Crossed,
        "to openai-chat: back, conversation: ",
        &["error-400-", "file-input-", "image-input-"],
        "what results hold beside text has followed in a turn of its own",
    ),
    (
        Crossed,
        ", errors: ",
        &["error-400-"],
        "results have no mark of an error in chats, and begin with the word",
    ),
    (
        Crossed,
        "to anthropic: back, conversation: ",
        &["file-input-openai-responses-text-"],
        "a text that is a document is none any more",
    ),
    (
        Crossed,
        "to anthropic: back, names: ",
        &["file-input-openai-responses-text-"],
        "the same",
    ),
    (
        Crossed,
        ", output: ",
        &["structured-output-", "thinking-nested-"],
        "the objects of a schema are closed, and a mode becomes an instruction",
    ),
    (
        Crossed,
        ", tools: ",
        &[
            "tool-call-google-",
            "tool-result-google-",
            "reasoning-tools-tool-choice-",
        ],
        "only those tools are sent among which one is to be called",
    ),
    (
        Crossed,
        ", strict: ",
        &["reasoning-tools-tool-choice-"],
        "the same",
    ),
    (Crossed, ", top_p: Some(\"1.0", &[], "all of it is what is usual"),
    (
        Crossed,
        "the member `dimensions`",
        &["error-400-embeddings-"],
        "the same",
    ),
];

const IN_PATH: InPath<'static> = InPath {
    model: "model",
    stream: false,
    is_array: false,
};

/// A way, and what is wrong with it.
type Ways = Vec<(Way, Vec<String>)>;

/// What is wrong, if anything is.
fn wrong(outcome: Result<(), String>) -> Vec<String> {
    outcome.err().into_iter().collect()
}

fn run_request(face: &Face, name: &str, body: &[u8]) -> Ways {
    let mut ways = Vec::new();
    let body = Bytes::copy_from_slice(body);
    let passed = match face.dialect.look(&body, IN_PATH, &Limits::default()) {
        // Google's model is in the path, and its bodies are passed as they are.
        Ok(_) if face.dialect == Dialect::GeminiGenerate => Ok(()),
        Ok(envelope) if splice(&body, &envelope, &envelope.model, false).concat() == body => Ok(()),
        Ok(_) => Err("other bytes".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    ways.push((Passed, wrong(passed)));
    let request = match (face.read_request)(&body) {
        Ok(request) => request,
        Err(refusal) => {
            ways.extend([Again, Crossed].map(|way| (way, vec![refusal.message.clone()])));
            return ways;
        }
    };
    let profiles = profiles();
    let tried = profiles.iter().map(|profile| otherwise(face, &request, profile));
    let least = tried.min_by_key(|outcome| outcome.as_ref().map_or(usize::MAX, Vec::len));
    ways.push((Again, wrong(least.unwrap().map(|_| ()))));
    for to in FACES.iter().filter(|to| to.dialect != face.dialect) {
        ways.push((Crossed, crosses(face, to, name, &body)));
    }
    ways
}

/// That a refusal names what it is about, a loss is told, and what is sent is as the document says.
fn crosses(from: &Face, to: &Face, name: &str, body: &[u8]) -> Vec<String> {
    let (became, mut problems) = cross(name, from, to, body);
    // The last one is what was sent, for whoever reads them.
    problems.retain(|problem| !problem.starts_with('{'));
    if let Became::Refused(_) = became {
        return problems;
    }
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    let request = (from.read_request)(body).unwrap();
    let written = (to.write_request)(&request, &target, &mut Losses::new(false)).unwrap();
    if let Some(spec) = spec_of(to) {
        let found = spec.problems(to.request_schema, &as_documented(to, &written.body));
        problems.extend(
            found
                .into_iter()
                .filter(|problem| !is_undocumented(to, name, problem)),
        );
    }
    let told = problems
        .iter()
        .map(|problem| format!("to {}: {problem}", to.folder));
    told.collect()
}

fn run_answer(face: &Face, body: &[u8]) -> Ways {
    let profile = Profile::default();
    // Whole answers are passed on without being looked at, but for their usage.
    let mut ways = vec![(Passed, Vec::new())];
    let reply = match (face.read_reply)(body, &profile) {
        Ok(reply) => reply,
        Err(error) => {
            ways.extend([Used, Again, Crossed].map(|way| (way, vec![error.to_string()])));
            return ways;
        }
    };
    let metered = face.dialect.usage_of(body);
    ways.push((Used, wrong(same(&metered.unwrap_or_default(), &reply.usage))));
    if let Some(fault) = reply.finish.fault() {
        ways.extend(faults(&fault));
        return ways;
    }
    for to in &FACES {
        let way = if to.dialect == face.dialect {
            Again
        } else {
            Crossed
        };
        let written = (to.write_reply)(&reply, &heading().as_heading());
        let outcome = match (to.read_reply)(&written, &profile) {
            _ if way == Crossed && has_raw(&reply) => Err("it holds what one vendor alone has".to_owned()),
            Ok(back) => match unlike(&reply, &back).as_slice() {
                [] => Ok(()),
                unlike => Err(format!("to {}: {}", to.folder, unlike.join("; "))),
            },
            Err(error) => Err(format!("to {}: {error}", to.folder)),
        };
        ways.push((way, wrong(outcome)));
    }
    ways
}

fn same<T: PartialEq + std::fmt::Debug>(one: &T, other: &T) -> Result<(), String> {
    match one == other {
        true => Ok(()),
        false => Err(format!("{one:?} is not {other:?}")),
    }
}

/// An error keeps its message in every dialect.
fn run_error(face: &Face, status: u16, body: &[u8]) -> Ways {
    faults(&face.dialect.read_fault(status, body))
}

fn faults(fault: &Fault) -> Ways {
    let crossed = FACES.iter().map(|to| {
        let (status, written) = to.dialect.write_fault(fault);
        let told = to.dialect.read_fault(status, &written);
        let is_kept = told.message.contains(&fault.message) && status >= 400;
        let outcome = is_kept.then_some(()).ok_or(format!("to {}: {told:?}", to.folder));
        (Crossed, wrong(outcome))
    });
    crossed.collect()
}

fn run_stream(face: &Face, stream: &[u8]) -> Ways {
    let asked = br#"{"model":"m","max_tokens":9,"messages":[],"input":"","contents":[],"stream":true,"stream_options":{"include_usage":true}}"#;
    let envelope = face.dialect.look(asked, IN_PATH, &Limits::default()).unwrap();
    let mut relay = StreamRelay::over(Meter::new(face.dialect, &envelope), StreamLimits::default());
    let mut out = Vec::new();
    relay.push(Bytes::copy_from_slice(stream), &mut out).unwrap();
    relay.finish(&mut out);
    // A stream that breaks off is not passed on beyond its last whole event.
    let passed = stream.starts_with(&out.concat());
    let mut ways = vec![(
        Passed,
        wrong(passed.then_some(()).ok_or("other bytes".to_owned())),
    )];
    let events = (face.read_stream)(stream);
    let told = collected(&events);
    if let Some(told) = &told {
        ways.push((Used, wrong(same(&relay.usage(), &told.usage))));
    }
    for to in &FACES {
        let way = if to.dialect == face.dialect {
            Again
        } else {
            Crossed
        };
        let written = (to.write_stream)(&events);
        let again = collected(&(to.read_stream)(&written));
        let outcome = match (&told, again) {
            (Some(told), _) if way == Crossed && has_raw(told) => {
                Err("it holds what one vendor alone has".to_owned())
            }
            (Some(told), Some(again)) => match unlike(told, &again).as_slice() {
                [] => (to.check_stream)(&written),
                unlike => Err(unlike.join("; ")),
            },
            (None, None) => Ok(()),
            (told, _) => Err(format!("it has a good end: {}", told.is_some())),
        };
        let outcome = outcome.map_err(|problem| format!("to {}: {problem}", to.folder));
        ways.push((way, wrong(outcome)));
    }
    ways
}

/// A stream as one array, as the events that it would have been.
fn of_array(array: &[u8]) -> Vec<u8> {
    let chunks: Vec<Value> = serde_json::from_slice(array).unwrap();
    let events = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n"));
    events.collect::<String>().into_bytes()
}

fn run_count(counter: Counter, body: &[u8]) -> Ways {
    let counters = [Counter::AnthropicMessages, Counter::GeminiGenerate];
    let profile = Profile::default();
    let target = Target {
        model: "model",
        profile: &profile,
    };
    let way = |to: &Counter| if *to == counter { Again } else { Crossed };
    if let Ok(tokens) = counter.read(body) {
        let again = |to: &Counter| wrong(same(&to.read(&to.write(tokens)), &Ok(tokens)));
        return counters.iter().map(|to| (way(to), again(to))).collect();
    }
    let request = counter.read_request(body, IN_PATH).unwrap();
    let written = |to: &Counter| {
        let written = to.write_request(&request, &target, &mut Losses::new(false));
        let again = written.and_then(|written| to.read_request(&written.body, IN_PATH));
        again.map(|_| ()).map_err(|refusal| refusal.message)
    };
    counters.iter().map(|to| (way(to), wrong(written(to)))).collect()
}

fn run_embeddings(form: Form, name: &str, body: &[u8]) -> Ways {
    let one = form == Form::GeminiMany && name.contains("vertex");
    let form = if one { Form::GeminiOne } else { form };
    let forms = [Form::Openai, Form::GeminiMany];
    let way = |to: &Form| {
        if to.is_of(Dialect::OpenaiChat) == form.is_of(Dialect::OpenaiChat) {
            Again
        } else {
            Crossed
        }
    };
    let outcomes = forms.iter().map(|to| {
        let outcome = match form.read_reply(body) {
            Ok(reply) => {
                let request = Form::Openai.read_request(
                    br#"{"model":"m","input":"x"}"#,
                    IN_PATH,
                    &mut Losses::new(false),
                );
                let again = to.read_reply(&to.write_reply(&reply, &request.unwrap()));
                again
                    .map_err(|error| error.to_string())
                    .and_then(|again| same(&again.vectors, &reply.vectors))
            }
            Err(_) => {
                let mut losses = Losses::new(false);
                let request = form.read_request(body, IN_PATH, &mut losses);
                let written = request.and_then(|request| to.write_request(&request, "model", &mut losses));
                written.map(|_| ()).map_err(|refusal| refusal.message)
            }
        };
        (way(to), wrong(outcome))
    });
    outcomes.collect()
}

/// Whatever they make of it.
fn run_foreign(body: &[u8]) -> Ways {
    for face in &FACES {
        let _looked = face.dialect.look(body, IN_PATH, &Limits::default());
        let _request = (face.read_request)(body);
        let _reply = (face.read_reply)(body, &Profile::default());
        let _events = (face.read_stream)(body);
        let _fault = face.dialect.read_fault(400, body);
    }
    vec![(Crossed, Vec::new())]
}

/// One file of a case.
fn run(subject: Subject, kind: &str, name: &str, status: u16, body: &[u8]) -> Ways {
    match (subject, kind) {
        (Subject::Chat(face), "request") => run_request(face, name, body),
        (Subject::Chat(face), "response") if status >= 400 => run_error(face, status, body),
        (Subject::Chat(face), "response") => run_answer(face, body),
        (Subject::Chat(face), "stream") if name.ends_with(".json") => run_stream(face, &of_array(body)),
        (Subject::Chat(face), "stream") => run_stream(face, body),
        (Subject::Count(_), "response") if status >= 400 => run_error(&FACES[2], status, body),
        (Subject::Embeddings(_), "response") if status >= 400 => run_error(&FACES[0], status, body),
        (Subject::Count(counter), _) => run_count(counter, body),
        (Subject::Embeddings(form), _) => run_embeddings(form, name, body),
        (Subject::Foreign, _) => run_foreign(body),
        (_, kind) => panic!("{name} is a {kind}, which nothing runs"),
    }
}

/// The files that are there, each behind its folder.
fn files(fixtures: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for (folder, _) in FOLDERS {
        for file in std::fs::read_dir(fixtures.join(folder)).unwrap() {
            let name = file.unwrap().file_name();
            files.insert(format!("{folder}/{}", name.to_str().unwrap()));
        }
    }
    files
}

fn folders(fixtures: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let names = folders.map(|folder| folder.file_name().into_string().unwrap());
    names.filter(|name| name != "LICENSES").collect()
}

/// Where in [`LEFT_OUT`] it is.
fn excuse(way: Way, name: &str, problem: &str) -> Option<usize> {
    LEFT_OUT.iter().position(|(of, words, files, _)| {
        let is_of_it = files.is_empty() || files.iter().any(|file| name.starts_with(file));
        *of == way && is_of_it && problem.contains(words)
    })
}

#[test]
fn every_file_of_every_recording_is_run_in_every_way() {
    let Some(fixtures) = shared().map(|shared| shared.join("fixtures")) else {
        println!("skipped: nothing recorded here");
        return;
    };
    let known: BTreeSet<String> = FOLDERS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(
        folders(&fixtures),
        known,
        "folders that are there, and that are run"
    );
    let index: Value = serde_json::from_slice(&std::fs::read(fixtures.join("index.json")).unwrap()).unwrap();
    let mut missing = files(&fixtures);
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    let mut counts: BTreeMap<(&str, Way), [usize; 2]> = BTreeMap::new();
    let mut excused = [0; LEFT_OUT.len()];
    let mut problems = Vec::new();
    for case in index.as_array().unwrap() {
        let (folder, subject) = *FOLDERS
            .iter()
            .find(|(folder, _)| case["dialect"] == *folder)
            .unwrap();
        *cases.entry(folder).or_default() += 1;
        let status = u16::try_from(case["status"].as_u64().unwrap_or(200)).unwrap();
        for (kind, file) in case["files"].as_object().unwrap() {
            let name = file.as_str().unwrap();
            let body = std::fs::read(fixtures.join(folder).join(name)).unwrap();
            let ways = run(subject, kind, name, status, &body);
            assert!(!ways.is_empty(), "{folder}/{name}");
            missing.remove(&format!("{folder}/{name}"));
            for (way, found) in ways {
                let [fine, all] = counts.entry((folder, way)).or_default();
                *all += 1;
                *fine += usize::from(found.is_empty());
                for problem in found {
                    match excuse(way, name, &problem) {
                        Some(at) => excused[at] += 1,
                        None => problems.push(format!("{folder}/{name}, {way:?}: {problem}")),
                    }
                }
            }
        }
    }
    for ((folder, way), [fine, all]) in &counts {
        println!("{folder}, {} cases, {way:?}: {fine}/{all}", cases[folder]);
    }
    for ((way, words, _, why), times) in LEFT_OUT.iter().zip(excused) {
        println!("left out, {way:?}: {words} ({times}): {why}");
        assert!(times > 0, "{way:?}, {words} does not happen any more");
    }
    assert_eq!(missing, BTreeSet::new(), "files that nothing runs");
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}
