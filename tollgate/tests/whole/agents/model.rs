//! A model that does one task, with the tools that an agent happens to have.
//!
//! It reads two files at once, writes the second word of each into a third, and says so; of an agent that holds tools back
//! it asks for one of them first. What it has done so far it knows from the request alone, as a real one does; so whatever
//! was lost or changed on the way makes it stumble.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::vendor::{Play, Seen};

use super::heard::{Call, Heard, Said, Voice};

/// The files that are there when the task begins.
pub(super) const NOTES: [(&str, &str); 2] = [
    ("trees.txt", "alder birch cedar\n"),
    ("birds.txt", "robin wren dunnock\n"),
];
/// What is in `answer.txt` when it is done.
pub(super) const ANSWER: &str = "birch wren\n";
/// The model's last word.
pub(super) const FINAL: &str = "Both words are in the answer, naïvely enough.";

pub(super) struct Model {
    work: PathBuf,
    wrong: Mutex<Vec<String>>,
}

/// How an agent reads and writes files.
struct Kit {
    /// The tool that searches those that are held back, and what it is asked for; empty where there is none.
    searches: &'static str,
    sought: &'static str,
    reads: &'static str,
    writes: &'static str,
    read: fn(&Path) -> Value,
    write: fn(&Path, &str) -> Value,
}

const KITS: [Kit; 4] = [
    // Claude Code
    Kit {
        searches: "ToolSearch",
        sought: "NotebookEdit",
        reads: "Read",
        writes: "Write",
        read: |path| json!({"file_path": path}),
        write: |path, text| json!({"file_path": path, "content": text}),
    },
    // Gemini CLI
    Kit {
        searches: "",
        sought: "",
        reads: "read_file",
        writes: "write_file",
        read: |path| json!({"file_path": path}),
        write: |path, text| json!({"file_path": path, "content": text}),
    },
    // Codex, which has a shell
    Kit {
        searches: "",
        sought: "",
        reads: "exec_command",
        writes: "exec_command",
        read: |path| json!({"cmd": format!("cat '{}'", path.display())}),
        write: |path, text| json!({"cmd": format!("printf '%s' '{text}' > '{}'", path.display())}),
    },
    // Codex with a model of which it knows that it rather writes code. The name is made to fit, and ends in a sum.
    Kit {
        searches: "",
        sought: "",
        reads: "functions__exec_",
        writes: "functions__exec_",
        read: |path| code(&format!("cat '{}'", path.display())),
        write: |path, text| code(&format!("printf '%s' '{text}' > '{}'", path.display())),
    },
];

fn code(command: &str) -> Value {
    let command = Value::from(command);
    json!({"input": format!("const ran = await tools.exec_command({{cmd: {command}}}); text(ran.output);")})
}

impl Model {
    pub(super) fn new(work: &Path) -> Self {
        Self {
            work: work.to_owned(),
            wrong: Mutex::default(),
        }
    }

    pub(super) fn task(&self) -> String {
        let [first, second] = NOTES.map(|(name, _)| self.work.join(name).display().to_string());
        let answer = self.work.join("answer.txt").display().to_string();
        format!("Read {first} and {second}, and write the second word of each, on one line, into {answer}.")
    }

    /// Whatever came that should not have.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap().clone()
    }

    pub(super) fn answer(&self, voice: &Voice, seen: &Seen) -> Play {
        let mut heard = Heard::default();
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        if !seen.path.starts_with(voice.path) {
            heard
                .wrong
                .push(format!("a request for {} {}", seen.method, seen.path));
        }
        (voice.hear)(&body, &mut heard);
        if !heard.streamed {
            heard.wrong.push("no stream is asked for".to_owned());
        }
        let said = self.say(voice, &mut heard);
        self.wrong.lock().unwrap().extend(heard.wrong);
        Play::stream((voice.say)(&said))
    }

    fn say(&self, voice: &Voice, heard: &mut Heard) -> Said {
        let Some(kit) = KITS.iter().find(|kit| heard.tool(kit.reads).is_some()) else {
            let names: Vec<_> = heard.tools.keys().collect();
            heard.wrong.push(format!("no tool that reads: {names:?}"));
            return Said::default();
        };
        let turns = self.turns(kit, heard);
        // Whatever else has come is told by the comparison.
        let taken = (1..=turns.len())
            .filter(|taken| turns.iter().take(*taken).map(Vec::len).sum::<usize>() <= heard.calls.len())
            .count();
        compare(voice, &turns, taken, heard);
        Said {
            seal: seal(taken),
            calls: turns.get(taken).cloned().unwrap_or_default(),
            text: if taken == turns.len() { FINAL } else { "" },
        }
    }

    /// What is called, turn by turn, so far as it can be known: what is written depends on what was read.
    fn turns(&self, kit: &Kit, heard: &mut Heard) -> Vec<Vec<Call>> {
        let mut turns = Vec::new();
        if !kit.searches.is_empty() {
            let query = json!({"query": format!("select:{}", kit.sought), "max_results": 1});
            turns.push(vec![(kit.searches, query)]);
        }
        let found = heard.calls.iter().find(|(call, _)| call.name == kit.searches);
        if let Some((_, Some(found))) = found
            && !found.contains(kit.sought)
        {
            heard
                .wrong
                .push(format!("what was sought was not found: {found:?}"));
        }
        let read = |name| (kit.reads, (kit.read)(&self.work.join(name)));
        turns.push(NOTES.map(|(name, _)| read(name)).to_vec());

        let reads = heard.tool(kit.reads).unwrap();
        let results = heard.calls.iter().filter(|(call, _)| call.name == reads);
        let words: Vec<String> = NOTES
            .iter()
            .zip(results)
            .filter_map(|((_, text), (_, result))| second_word(text, result.as_deref()?))
            .collect();
        let answer = format!("{}\n", words.join(" "));
        turns.push(vec![(
            kit.writes,
            (kit.write)(&self.work.join("answer.txt"), &answer),
        )]);

        let mut number = 0..;
        let turns = turns.into_iter().map(|calls| {
            let calls = calls.into_iter().zip(&mut number);
            let calls = calls.map(|((name, arguments), number)| call(number, name, arguments, heard));
            calls.collect()
        });
        turns.collect()
    }
}

/// A call, whose tool has to be there with a schema that knows the arguments.
fn call(number: usize, name: &str, arguments: Value, heard: &mut Heard) -> Call {
    let name = heard.tool(name).unwrap_or_else(|| name.to_owned());
    let known = &heard.tools.get(&name).cloned().unwrap_or_default()["properties"];
    for argument in arguments.as_object().unwrap().keys() {
        if known.get(argument).is_none() {
            heard.wrong.push(format!(
                "the schema of {name} does not tell of {argument}: {known}"
            ));
        }
    }
    Call {
        id: format!("call_{number}"),
        name,
        arguments,
    }
}

/// What was said before has to come back as it was said, and what came of it with it.
fn compare(voice: &Voice, turns: &[Vec<Call>], taken: usize, heard: &mut Heard) {
    let said: Vec<_> = turns.iter().take(taken).flatten().collect();
    let back: Vec<_> = heard.calls.iter().map(|(call, _)| call).collect();
    if said != back {
        let complaint = format!("called was {said:?}, told of was {back:?}");
        heard.wrong.push(complaint);
    }
    let seals: Vec<_> = (0..taken).map(seal).collect();
    if voice.seals && seals != heard.seals {
        let complaint = format!("sealed was {seals:?}, given back {:?}", heard.seals);
        heard.wrong.push(complaint);
    }
}

/// The seal of a turn: base64, as all vendors' are.
fn seal(turn: usize) -> String {
    STANDARD.encode(format!("the seal of turn {turn}"))
}

/// Finds a note in what a tool gave, which may have numbers of lines and more around it.
fn second_word(note: &str, result: &str) -> Option<String> {
    let first = note.split(' ').next()?;
    let mut words = result.split(|letter: char| !letter.is_alphabetic());
    words.find(|word| *word == first)?;
    words.next().map(str::to_owned)
}
