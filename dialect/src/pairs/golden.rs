//! Cases in folders, one for each row of what maps to what and for each mistake that gateways make:
//! `dialect/golden/CLIENT-PROVIDER/CASE/`. What goes in was written by hand, what comes out is made by
//! `TOLLGATE_TEST_BLESS=1 cargo test -p dialect golden` and read by whoever commits it:
//!
//! | in | out |
//! |---|---|
//! | `request.json`, as the client sends it | `sent.json`, or `refused.json`; `losses.txt` where something is lost |
//! | `reply.json`, as the provider answers | `answered.json`, or `told.json` |
//! | `stream.sse` | `streamed.sse`; `usage.txt`, what the ledger is told |
//! | `error.json`: a status and a body | `told.json` |
//!
//! An answer is put through what became of the request of its folder, or else of a short question. `profile.txt` names a
//! provider that takes less than its dialect has words for. Between equals, requests and streams pass as they came.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::face::{FACES, Face};
use super::recorded::{as_documented, is_undocumented};
use crate::Dialect::{self, AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};
use crate::codec::{InPath, Meter};
use crate::json::Limits;
use crate::neutral::{BadAnswer, OwnedHeading, Profile, Target, ThinkingStyle};
use crate::refusal::{Code, Refusal};
use crate::spec::Spec;
use crate::sse::{self, Events, StreamLimits};
use crate::translate::{Crossing, Sent};
use crate::{Splicing, StreamEnd, StreamRelay, Usage};

/// Mistakes that no folder shows, only tests by their numbers: of headers, of whole answers for long ones, of counting, which
/// is no answer; and those that take more than one request or answer to show.
const IN_TESTS_ALONE: [u32; 6] = [46, 54, 59, 63, 64, 68];
const MISTAKES: u32 = 68;

const INPUTS: [&str; 5] = [
    "request.json",
    "reply.json",
    "stream.sse",
    "error.json",
    "profile.txt",
];

/// What stands in a folder, or should.
type Files = BTreeMap<&'static str, Vec<u8>>;

struct Case {
    client: &'static Face,
    provider: &'static Face,
    folder: PathBuf,
    files: Files,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn face(name: &str) -> &'static Face {
    FACES.iter().find(|face| face.dialect.as_str() == name).unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for pair in folders(&root()) {
        let (client, provider) = name(&pair).split_once('-').unwrap();
        for folder in folders(&pair) {
            let read = |file: &&'static str| Some((*file, std::fs::read(folder.join(file)).ok()?));
            cases.push(Case {
                client: face(client),
                provider: face(provider),
                files: INPUTS.iter().filter_map(read).collect(),
                folder,
            });
        }
    }
    cases
}

/// Providers that take less, by the name in `profile.txt`.
fn profile(name: &str) -> Profile {
    let usual = Profile::default();
    match name.trim() {
        "budget" => Profile {
            thinking: ThinkingStyle::Budget {
                min: 1_024,
                max: 32_768,
                can_be_off: true,
            },
            ..usual
        },
        "shared_window" => Profile {
            shared_window: Some(32_768),
            ..usual
        },
        "no_sampling" => Profile {
            sampling: false,
            ..usual
        },
        "flat_schemas" => Profile {
            full_json_schema: false,
            ..usual
        },
        "no_schema" => Profile {
            json_schema: false,
            json_schema_with_tools: false,
            ..usual
        },
        "low_or_high" => Profile {
            efforts: serde_json::from_str(r#"["low","high"]"#).unwrap(),
            ..usual
        },
        "no_free_text" => Profile {
            free_text_tools: false,
            ..usual
        },
        "no_openai" => Profile {
            openai_members: false,
            ..usual
        },
        "no_urls" => Profile {
            image_urls: false,
            ..usual
        },
        "think_tags" => Profile {
            think_tags: true,
            ..usual
        },
        unknown => panic!("no profile is called {unknown}"),
    }
}

impl Case {
    fn is_crossing(&self) -> bool {
        self.client.dialect != self.provider.dialect
    }

    fn in_path(&self) -> InPath<'static> {
        InPath {
            model: "asked",
            stream: self.files.contains_key("stream.sse"),
            is_array: false,
        }
    }

    /// What the client sends: its own request, or a short one.
    fn request(&self) -> Vec<u8> {
        if let Some(request) = self.files.get("request.json") {
            return request.clone();
        }
        let said = json!([{"role": "user", "content": "Name a river."}]);
        let stream = self.in_path().stream;
        let request = match self.client.dialect {
            OpenaiChat if stream => json!({"model": "asked", "messages": said, "stream": true,
                "stream_options": {"include_usage": true}}),
            OpenaiChat => json!({"model": "asked", "messages": said}),
            OpenaiResponses => json!({"model": "asked", "input": said, "store": false, "stream": stream}),
            AnthropicMessages => {
                json!({"model": "asked", "max_tokens": 4_000, "messages": said, "stream": stream})
            }
            GeminiGenerate => json!({"contents": [{"role": "user", "parts": [{"text": "Name a river."}]}]}),
        };
        request.to_string().into_bytes()
    }

    fn profile(&self) -> Profile {
        let name = self.files.get("profile.txt");
        name.map_or_else(Profile::default, |name| {
            profile(std::str::from_utf8(name).unwrap())
        })
    }

    /// What has to come out.
    fn outputs(&self) -> Files {
        let mut out = Files::new();
        if self.is_crossing() {
            self.cross(&mut out);
        } else {
            self.pass(&mut out);
        }
        out
    }

    fn cross(&self, out: &mut Files) {
        let profile = self.profile();
        let request = self.request();
        let sent = Sent {
            tenant: "tenant",
            dialect: self.client.dialect,
            body: &request,
            in_path: self.in_path(),
        };
        let target = Target {
            model: "theirs",
            profile: &profile,
        };
        let heading = OwnedHeading {
            id: format!("{}ours", self.client.dialect.id_prefix()),
            created_s: 1_700_000_000,
            model: "asked".to_owned(),
        };
        let crossed = Crossing::of(sent, self.provider.dialect, &target, heading, false);
        let (crossing, body) = match crossed {
            Ok(crossed) => crossed,
            Err(refusal) => {
                let refused = self.client.dialect.write_refusal(&refusal);
                out.insert("refused.json", pretty(&refused));
                return;
            }
        };
        if self.files.contains_key("request.json") {
            out.insert("sent.json", pretty(&body));
            insert_losses(crossing.lossy(), out);
        }
        if let Some(reply) = self.files.get("reply.json") {
            let (file, answer) = answered(&crossing, reply);
            out.insert(file, answer);
        }
        if let Some(stream) = self.files.get("stream.sse") {
            self.translate(&crossing, &request, stream, out);
        }
        if let Some(error) = self.files.get("error.json") {
            let mut error: Value = serde_json::from_slice(error).unwrap();
            let status = u16::try_from(error["status"].as_u64().unwrap()).unwrap();
            let body = error["body"].take().to_string();
            let fault = self.provider.dialect.read_fault(status, body.as_bytes());
            out.insert("told.json", told(crossing.fault(fault)));
        }
    }

    /// The stream that the client gets, and what the ledger does: the same whether its chunks are as large as can be or as
    /// small.
    fn translate(&self, crossing: &Crossing, request: &[u8], stream: &[u8], out: &mut Files) {
        let in_path = self.in_path();
        let envelope = self
            .client
            .dialect
            .look(request, in_path, &Limits::default())
            .unwrap();
        let by = |size: usize| {
            let mut translation = crossing.clone().stream(&envelope, in_path);
            let mut out = Vec::new();
            for chunk in stream.chunks(size) {
                translation.push(chunk, &mut out).unwrap();
            }
            let end = translation.finish(&mut out);
            if end == StreamEnd::Cut {
                out.push(translation.refuse(&broken_off()).into());
            }
            (out.concat(), end, translation.usage())
        };
        let (whole, end, usage) = by(stream.len());
        for size in [1, 7] {
            assert!(
                by(size) == (whole.clone(), end, usage),
                "{}: by {size} bytes",
                self.folder.display()
            );
        }
        out.insert("streamed.sse", whole);
        out.insert("usage.txt", usage_line(&format!("{end:?}, "), usage));
    }

    fn pass(&self, out: &mut Files) {
        let dialect = self.client.dialect;
        let request = self.request();
        let in_path = self.in_path();
        let envelope = dialect.look(&request, in_path, &Limits::default()).unwrap();
        if self.files.contains_key("request.json") {
            let profile = self.profile();
            let splicing = Splicing {
                dialect,
                target: Target {
                    model: "theirs",
                    profile: &profile,
                },
                ask_usage: false,
                cap: None,
                strict: false,
            };
            let spliced = splicing.of(&request.clone().into(), &envelope).unwrap();
            out.insert("sent.json", spliced.pieces.concat());
            insert_losses(spliced.lossy.as_deref(), out);
        }
        if let Some(reply) = self.files.get("reply.json") {
            let usage = dialect.usage_of(reply).unwrap();
            out.insert("usage.txt", usage_line("", usage));
        }
        if let Some(stream) = self.files.get("stream.sse") {
            let mut relay = StreamRelay::over(Meter::new(dialect, &envelope), StreamLimits::default());
            let mut passed = Vec::new();
            relay.push(stream.clone().into(), &mut passed).unwrap();
            let end = relay.finish(&mut passed);
            if end == StreamEnd::Cut {
                passed.push(relay.refuse(&broken_off()).into());
            }
            out.insert("streamed.sse", passed.concat());
            out.insert("usage.txt", usage_line(&format!("{end:?}, "), relay.usage()));
        }
    }

    /// What is wrong with an output by the document of whoever gets it.
    fn problems(&self, outputs: &Files) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |face: &Face, schema: &str, file: &str| {
            let (Some(spec), Some(json)) = (spec_of(face.dialect), outputs.get(file)) else {
                return;
            };
            let json = if file == "sent.json" {
                as_documented(face, json)
            } else {
                json.clone()
            };
            let found = spec.problems(schema, &json).into_iter();
            let found = found.filter(|problem| !is_undocumented(face, name(&self.folder), problem));
            problems.extend(found.map(|problem| format!("{file}: {problem}")));
        };
        if self.is_crossing() {
            check(self.provider, self.provider.request_schema, "sent.json");
            check(self.client, reply_schema(self.client.dialect), "answered.json");
        }
        if let Some(stream) = outputs.get("streamed.sse").filter(|_| self.is_crossing()) {
            if let Err(problem) = (self.client.check_stream)(stream) {
                problems.push(format!("streamed.sse: {problem}"));
            }
            problems.extend(event_problems(self.client.dialect, stream));
        }
        problems
    }

    /// What differs from what stands in the folder, which is put right when it is blessed.
    fn compare(&self, outputs: &Files, bless: bool) -> Vec<String> {
        let mut differing = Vec::new();
        let there: BTreeSet<String> = folders(&self.folder)
            .iter()
            .map(|path| name(path).to_owned())
            .filter(|file| !INPUTS.contains(&file.as_str()))
            .collect();
        for file in &there {
            if !outputs.contains_key(file.as_str()) {
                differing.push(format!("{file} is made no more"));
                if bless {
                    std::fs::remove_file(self.folder.join(file)).unwrap();
                }
            }
        }
        for (file, made) in outputs {
            let path = self.folder.join(file);
            if std::fs::read(&path).ok().as_ref() != Some(made) {
                differing.push(format!("{file} is now\n{}", String::from_utf8_lossy(made)));
                if bless {
                    std::fs::write(path, made).unwrap();
                }
            }
        }
        if bless { Vec::new() } else { differing }
    }
}

fn broken_off() -> Refusal {
    Refusal::new(Code::ProviderAnswerCut, "The answer broke off.")
}

fn insert_losses(lossy: Option<&str>, out: &mut Files) {
    if let Some(lossy) = lossy {
        out.insert(
            "losses.txt",
            format!("{}\n", lossy.replace(", ", "\n")).into_bytes(),
        );
    }
}

fn answered(crossing: &Crossing, reply: &[u8]) -> (&'static str, Vec<u8>) {
    match crossing.reply(reply) {
        Ok(answered) => ("answered.json", pretty(&answered.body)),
        Err(BadAnswer::Fault(fault)) => ("told.json", told(crossing.fault(fault))),
        Err(error) => panic!("{error}"),
    }
}

fn told((status, body): (u16, Vec<u8>)) -> Vec<u8> {
    let body = String::from_utf8(body).unwrap();
    pretty(format!("{{\"status\":{status},\"body\":{body}}}").as_bytes())
}

fn usage_line(end: &str, usage: Option<Usage>) -> Vec<u8> {
    let usage = usage.map_or_else(|| "no usage".to_owned(), |usage| format!("{usage:?}"));
    // Most tell no tier.
    let usage = usage.replace(", tier: None", "");
    format!("{end}{usage}\n").into_bytes()
}

fn spec_of(dialect: Dialect) -> Option<&'static Spec> {
    match dialect {
        OpenaiChat | OpenaiResponses => Spec::openai(),
        AnthropicMessages => Spec::anthropic(),
        GeminiGenerate => Spec::google(),
    }
}

fn reply_schema(dialect: Dialect) -> &'static str {
    match dialect {
        OpenaiChat => "CreateChatCompletionResponse",
        OpenaiResponses => "Response",
        AnthropicMessages => "Message",
        GeminiGenerate => "GenerateContentResponse",
    }
}

/// Events of which the documents do not tell, or not with the codes that errors really have.
const UNTOLD: [&str; 2] = ["ping", "response.failed"];

/// What is wrong with the events of a stream.
fn event_problems(dialect: Dialect, stream: &[u8]) -> Vec<String> {
    let schema = match dialect {
        OpenaiChat => "CreateChatCompletionStreamResponse",
        OpenaiResponses => "ResponseStreamEvent",
        AnthropicMessages => "MessageStreamEvent",
        GeminiGenerate => "GenerateContentResponse",
    };
    let Some(spec) = spec_of(dialect) else {
        return Vec::new();
    };
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut problems = Vec::new();
    while let Some(event) = events.next_event() {
        let data = sse::data(event);
        let told = serde_json::from_slice::<Value>(&data);
        let Ok(told) = told else { continue };
        if told.get("error").is_none() && !UNTOLD.iter().any(|kind| told["type"] == *kind) {
            let found = spec.problems(schema, &data).into_iter();
            // Free text in pieces is newer than the document.
            problems.extend(found.filter(|problem| !problem.contains("\"custom\"")));
        }
    }
    problems
}

/// JSON with a member a line, its order and its numbers as they were.
fn pretty(json: &[u8]) -> Vec<u8> {
    let (mut out, mut depth, mut in_text, mut after_backslash) = (Vec::new(), 0_usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    };
    for (at, byte) in json.iter().copied().enumerate() {
        if in_text {
            in_text = byte != b'"' || after_backslash;
            after_backslash = byte == b'\\' && !after_backslash;
            out.push(byte);
            continue;
        }
        let before = json.get(at.wrapping_sub(1)).copied();
        let is_closing = matches!(byte, b'}' | b']');
        if is_closing {
            depth -= 1;
        }
        let is_after_open = matches!(before, Some(b'{' | b'['));
        if at > 0
            && (is_closing != is_after_open || before == Some(b','))
            && (is_closing || is_after_open || before == Some(b','))
        {
            line(&mut out, depth);
        }
        out.push(byte);
        match byte {
            b'{' | b'[' => depth += 1,
            b':' => out.push(b' '),
            b'"' => in_text = true,
            _ => {}
        }
    }
    out.push(b'\n');
    out
}

#[test]
fn what_comes_of_each_case_is_what_was_read_and_found_right() {
    let bless = std::env::var_os("TOLLGATE_TEST_BLESS").is_some();
    let mut problems = Vec::new();
    let cases = cases();
    for case in &cases {
        let way = case.folder.strip_prefix(root()).unwrap().display().to_string();
        let outputs = case.outputs();
        assert!(!outputs.is_empty(), "{way}: nothing comes of it");
        let found = case.problems(&outputs).into_iter();
        let found = found.chain(case.compare(&outputs, bless));
        problems.extend(found.map(|problem| format!("{way}: {problem}")));
    }
    println!("{} cases", cases.len());
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn every_pair_has_cases_and_every_mistake_is_in_a_name() {
    let cases = cases();
    let mut pairs = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    let mut told = BTreeSet::new();
    for case in &cases {
        let pair = (case.client.dialect.as_str(), case.provider.dialect.as_str());
        pairs.insert(pair);
        kinds.extend(case.files.keys().map(|file| (pair, *file)));
        let numbers = name(&case.folder)
            .split('-')
            .map_while(|word| word.strip_prefix('p')?.parse::<u32>().ok());
        told.extend(numbers);
    }
    assert_eq!(pairs.len(), FACES.len() * FACES.len());
    for pair in pairs {
        for file in ["request.json", "reply.json", "stream.sse"] {
            assert!(kinds.contains(&(pair, file)), "{pair:?} has no {file}");
        }
    }
    let missing: Vec<_> = (1..=MISTAKES).filter(|number| !told.contains(number)).collect();
    assert_eq!(missing, IN_TESTS_ALONE);
    let tested = in_names_of_tests(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap());
    let untested: Vec<_> = (1..=MISTAKES).filter(|number| !tested.contains(number)).collect();
    assert_eq!(untested, [] as [u32; 0]);
}

/// The mistakes by whose numbers tests of any crate are named (`fn p46_p47_…`).
fn in_names_of_tests(workspace: &Path) -> BTreeSet<u32> {
    let mut tested = BTreeSet::new();
    let mut folders = vec![workspace.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_ours =
                !name(&path).starts_with('.') && !["target", "golden", "corpus"].contains(&name(&path));
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let source = std::fs::read_to_string(&path).unwrap();
                let tests = source.split("fn ").skip(1);
                tested.extend(tests.flat_map(|test| {
                    let words = test.split('_');
                    words.map_while(|word| word.strip_prefix('p')?.parse::<u32>().ok())
                }));
            }
        }
    }
    tested
}
