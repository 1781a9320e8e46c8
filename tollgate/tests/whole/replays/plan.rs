//! What the vendors replay, and what the clients' scripts ask for and have to see: both made of the recordings alone.

use std::collections::HashMap;

use serde_json::{Value, json};
use store::AttemptUsage;
use testkit::vendor::{End, Play};
use testkit::vendors::Recording;

use super::ask::Ask;
use super::table::{Form, KINDS, Kind, STRANGE, Step};
use super::told::{Call, Told};
use crate::faithful::case::{self, Case, cases, events};
use crate::faithful::{Manner, manner_of};

/// Of one client.
pub(crate) struct Plan {
    pub(crate) recordings: Vec<Recording>,
    /// For the script.
    pub(crate) steps: Vec<Value>,
    /// What each recording says was used, by the name of the model that is asked: so it has to be booked.
    pub(crate) used: Vec<(String, AttemptUsage)>,
    /// How many streams the client leaves.
    pub(crate) left: usize,
}

/// All that was recorded, by folder.
pub(crate) struct Shelf(HashMap<&'static str, Vec<Case>>);

impl Shelf {
    /// None where there is nothing.
    pub(crate) fn open() -> Option<Self> {
        let folders = ["openai-chat", "openai-responses", "anthropic", "gemini"];
        let all = folders.map(|folder| Some((folder, cases(manner_of(folder))?)));
        all.into_iter().collect::<Option<_>>().map(Self)
    }

    fn find(&self, folder: &str, name: &str, form: Form) -> &Case {
        let form = match form {
            Form::Whole => case::Form::Whole,
            _ => case::Form::Events,
        };
        let name = format!("{name} {form:?}");
        let found = self.0[folder].iter().find(|case| case.name == name);
        found.unwrap_or_else(|| panic!("{name} was not recorded in {folder}"))
    }
}

impl Plan {
    /// For the client with this script; one of Responses reaches some providers in its own dialect, and is led around that.
    pub(crate) fn of(shelf: &Shelf, script: &str) -> Self {
        let is_responses = script.starts_with("responses.");
        let mut plan = Self {
            recordings: Vec::new(),
            steps: Vec::new(),
            used: Vec::new(),
            left: 0,
        };
        for kind in &KINDS {
            let Some(provider) = kind.provider_for(is_responses) else {
                continue;
            };
            let is_strange = |step: &Step| {
                let of_it = |(client, of, known): &(&str, &str, Step)| {
                    script.starts_with(client) && *of == provider && known == step
                };
                STRANGE.iter().any(of_it)
            };
            for (step, names) in kind.steps.iter().filter(|(step, _)| !is_strange(step)) {
                plan.add(shelf, kind, provider, *step, names);
            }
        }
        plan
    }

    fn add(&mut self, shelf: &Shelf, kind: &Kind, provider: &str, step: Step, names: &[&str]) {
        let (ask, form) = step;
        let manner = manner_of(kind.folder);
        let told = names.iter().map(|name| {
            let case = shelf.find(kind.folder, name, form);
            (case, Told::by(kind.folder, case))
        });
        let told: Vec<(&Case, Told)> = told.collect();
        let mut turns = Vec::new();
        for (number, (case, answer)) in told.iter().enumerate() {
            let name = format!("{provider} {ask:?} {form:?} {number}");
            let before = number.checked_sub(1).map(|before| &told[before].1);
            turns.push(turn(&name, case, answer, manner));
            self.recordings.push(Recording {
                name,
                dialect: dialect(kind.folder),
                stream: form != Form::Whole,
                play: play(case, form),
                comes_back: before.map(|before| comes_back(kind, before)).unwrap_or_default(),
            });
        }
        self.left += usize::from(form == Form::Left);
        let (first, answer) = &told[0];
        let model = format!("{provider}/{}", first.model);
        let text: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
        self.steps.push(json!({
            "name": format!("{ask:?} {form:?}"),
            "provider": provider,
            "model": model,
            "stream": form != Form::Whole,
            "form": format!("{form:?}"),
            "tools": tools(told.iter().flat_map(|(_, answer)| &answer.calls)),
            "schema": (ask == Ask::Structured).then(|| schema_of(&text)),
            "image": ask == Ask::Image,
            "conversation": ask == Ask::Conversation,
            "thinks": matches!(ask, Ask::Thinks | Ask::ThinksAndCalls),
            "fails": matches!(ask, Ask::Fails(_)),
            "quota": first.said().iter().any(|said| said["error"]["code"] == "insufficient_quota"),
            "turns": turns,
        }));
        let is_complete = matches!(form, Form::Whole | Form::Stream) && !matches!(ask, Ask::Fails(_));
        let used = told.iter().filter(|_| is_complete);
        let used = used.filter_map(|(case, _)| Some((model.clone(), case.usage(manner)?)));
        self.used.extend(used);
    }
}

/// The words of testkit's vendors for the dialects.
fn dialect(folder: &str) -> &'static str {
    match folder {
        "openai-chat" => "openai_chat",
        "openai-responses" => "openai_responses",
        "anthropic" => "anthropic_messages",
        _ => "gemini_generate",
    }
}

/// A stream comes event by event.
fn play(case: &Case, form: Form) -> Play {
    let play = if form == Form::Whole {
        Play::json(case.status, case.answer.clone())
    } else {
        let events = events(&case.answer);
        let said = match form {
            Form::Stream => events.len(),
            _ => events.len() / 2,
        };
        Play::stream(events.into_iter().take(said))
    };
    let play = case.with_headers(play);
    match form {
        Form::Whole | Form::Stream => play,
        Form::Left => play.end(End::Hang),
        Form::Cut => play.end(End::Cut),
    }
}

/// What the next request has to show of an answer. A vendor that has thoughts without a seal may want themselves back.
fn comes_back(kind: &Kind, answer: &Told) -> Vec<Vec<Value>> {
    let calls = answer.calls.iter().flat_map(|call| {
        let texts = [&call.id, &call.name]
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| json!(text));
        let all = texts.chain([call.arguments()]);
        all.map(|value| vec![value]).collect::<Vec<_>>()
    });
    let seals = answer.seals.iter();
    let seals = seals.map(|any| any.iter().map(|seal| json!(seal)).collect());
    let thoughts = (kind.provider == "deepseek").then(|| vec![json!(answer.thoughts)]);
    calls.chain(seals).chain(thoughts).collect()
}

fn turn(name: &str, case: &Case, answer: &Told, manner: &dyn Manner) -> Value {
    let calls = answer
        .calls
        .iter()
        .map(|call| json!({"name": call.name, "arguments": call.arguments()}));
    let usage = case.usage(manner).map(|usage| {
        json!({
            "input": usage.input_tokens,
            "cached": usage.cached_input_tokens,
            "written": usage.cache_write_tokens,
            "output": usage.output_tokens,
            "reasoning": usage.reasoning_tokens,
        })
    });
    json!({
        "prompt": format!("[[{name}]]"),
        "text": answer.text,
        "thoughts": answer.thoughts,
        "calls": calls.collect::<Vec<_>>(),
        "end": answer.end(),
        "word": answer.word,
        "usage": usage,
        // What is wrong with the gateway's own credential is no client's business.
        "status": if case.is_refusal(manner) { 502 } else { case.status },
        "failure": answer.failure.as_ref().filter(|_| !case.is_refusal(manner)),
    })
}

/// One tool for each name, with parameters that the recorded arguments are of.
fn tools<'a>(calls: impl Iterator<Item = &'a Call>) -> Vec<Value> {
    let mut tools: Vec<Value> = Vec::new();
    for call in calls {
        if tools.iter().all(|tool| tool["name"] != *call.name) {
            let parameters = schema_of(&call.arguments());
            tools.push(json!({"name": call.name, "description": "A tool.", "parameters": parameters}));
        }
    }
    tools
}

/// A schema that the value is of.
fn schema_of(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let properties = members
                .iter()
                .map(|(name, value)| (name.clone(), schema_of(value)));
            let required: Vec<&String> = members.keys().collect();
            json!({
                "type": "object", "properties": properties.collect::<serde_json::Map<_, _>>(), "required": required,
                "additionalProperties": false,
            })
        }
        Value::Array(values) => {
            json!({"type": "array", "items": values.first().map_or(json!({}), schema_of)})
        }
        Value::String(_) => json!({"type": "string"}),
        Value::Bool(_) => json!({"type": "boolean"}),
        Value::Number(number) if number.is_f64() => json!({"type": "number"}),
        Value::Number(_) => json!({"type": "integer"}),
        Value::Null => json!({}),
    }
}
