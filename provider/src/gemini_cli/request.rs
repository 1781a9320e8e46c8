//! What a call asks, read from a request in the dialect gemini_generate: what the program can be told of it, and how.
//!
//! The program can be told a conversation, instructions, and some members of `generationConfig`. Whatever else a request
//! holds is refused by its name.

use serde_json::{Map, Value};

use super::caps;
use super::environment::is_expanded;
use super::fault::Failure;
use super::session::Session;

/// A call, in the program's terms.
pub(super) struct Asked {
    pub(super) session: Session,
    pub(super) system: String,
    /// Of `generationConfig`, what the program passes on.
    pub(super) config: Map<String, Value>,
    /// Where the answer is to end; the program is not told.
    pub(super) stop: Vec<String>,
    pub(super) shows_thoughts: bool,
    pub(super) max_tokens: Option<u64>,
}

const CAP: &str = "maxOutputTokens";

impl Asked {
    /// Reads a request whose body comes in these pieces.
    ///
    /// # Errors
    /// When it is none, or holds something that the program cannot be told.
    pub(super) fn read(body: &[u8]) -> Result<Self, Failure> {
        let request: Value =
            serde_json::from_slice(body).map_err(|_| unsayable("The request is no JSON object."))?;
        let mut asked = Self {
            session: Session::default(),
            system: String::new(),
            config: Map::new(),
            stop: Vec::new(),
            shows_thoughts: false,
            max_tokens: None,
        };
        for (name, value) in members(&request, "The request")? {
            match camel(name).as_str() {
                "contents" => asked.session = Session::read(value)?,
                "systemInstruction" => asked.system = instructions(value)?,
                "generationConfig" => asked.read_config(value)?,
                // Said elsewhere, or of no consequence.
                "model" => {}
                "tools" | "safetySettings" if is_nothing(value) => {}
                _ if value.is_null() => {}
                _ => return Err(cannot(name)),
            }
        }
        asked.session.check()?;
        Ok(asked)
    }

    /// Lowers the cap, where one was set, to one that can be had.
    pub(super) fn cap_at_most(&mut self, at_most: impl Fn(u64) -> Option<u64>) {
        if let Some(cap) = self.max_tokens.and_then(at_most) {
            self.max_tokens = Some(cap);
            self.config.insert(CAP.to_owned(), cap.into());
        }
    }

    /// What has to stand in the settings of a process that answers this. The cap need not, where there is a model with it.
    pub(super) fn config_of_process(&self, model: &str) -> Map<String, Value> {
        let mut config = self.config.clone();
        if caps::are_there(model) {
            config.remove(CAP);
        }
        config
    }

    fn read_config(&mut self, config: &Value) -> Result<(), Failure> {
        for (name, value) in members(config, "`generationConfig`")? {
            let name = camel(name);
            let is_right = match name.as_str() {
                _ if value.is_null() => continue,
                "temperature" | "topP" | "topK" | "presencePenalty" | "frequencyPenalty" | "seed" => {
                    value.is_number()
                }
                "maxOutputTokens" => {
                    self.max_tokens = value.as_u64();
                    value.is_u64()
                }
                "responseMimeType" => matches!(value.as_str(), Some("application/json" | "text/plain")),
                "responseSchema" | "responseJsonSchema" => {
                    if holds_expanded(value) {
                        let why = "has a `$` in a text that the Gemini CLI would replace";
                        return Err(Failure::Unsayable(format!("`{name}` {why}.")));
                    }
                    value.is_object()
                }
                "thinkingConfig" => {
                    let thinking = self.thinking(value)?;
                    if !thinking.is_empty() {
                        self.config.insert(name, Value::Object(thinking));
                    }
                    continue;
                }
                "stopSequences" => {
                    self.stop = texts(value).ok_or_else(|| wrong(&name))?;
                    continue;
                }
                "candidateCount" if value.as_u64() == Some(1) => continue,
                "responseLogprobs" if value.as_bool() == Some(false) => continue,
                "responseModalities" if texts(value).is_some_and(|texts| texts == ["TEXT"]) => continue,
                _ => return Err(cannot(&name)),
            };
            if !is_right {
                return Err(wrong(&name));
            }
            self.config.insert(name, value.clone());
        }
        Ok(())
    }

    fn thinking(&mut self, config: &Value) -> Result<Map<String, Value>, Failure> {
        let mut thinking = Map::new();
        for (name, value) in members(config, "`thinkingConfig`")? {
            let name = camel(name);
            let is_right = match name.as_str() {
                _ if value.is_null() => continue,
                "includeThoughts" => {
                    self.shows_thoughts = value.as_bool() == Some(true);
                    value.is_boolean()
                }
                "thinkingBudget" => value.is_i64(),
                "thinkingLevel" => value
                    .as_str()
                    .is_some_and(|level| level.bytes().all(|byte| byte.is_ascii_alphabetic())),
                _ => return Err(cannot(&name)),
            };
            if !is_right {
                return Err(wrong(&name));
            }
            // Whether they are shown is decided here, so that it need not be a process of its own.
            if name != "includeThoughts" {
                thinking.insert(name, value.clone());
            }
        }
        Ok(thinking)
    }
}

pub(super) fn unsayable(message: &str) -> Failure {
    Failure::Unsayable(message.to_owned())
}

/// Something that the program has no place for.
pub(super) fn cannot(name: &str) -> Failure {
    Failure::Unsayable(format!("The Gemini CLI cannot be told `{name}`."))
}

pub(super) fn wrong(name: &str) -> Failure {
    Failure::Unsayable(format!("`{name}` has a value that makes no sense."))
}

/// Google takes both spellings.
pub(super) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

pub(super) fn members<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, Failure> {
    value
        .as_object()
        .ok_or_else(|| Failure::Unsayable(format!("{what} is no object.")))
}

fn is_nothing(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

/// Whether any text of it would be something else in a settings file.
fn holds_expanded(value: &Value) -> bool {
    match value {
        Value::String(text) => is_expanded(text),
        Value::Array(items) => items.iter().any(holds_expanded),
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| is_expanded(name) || holds_expanded(value)),
        _ => false,
    }
}

/// Instructions, which may be a text, parts, or a content with parts. The program puts texts of its own for three names
/// in braces after a dollar sign; a joiner that shows nothing keeps them as they are.
fn instructions(value: &Value) -> Result<String, Failure> {
    let parts = match value {
        Value::Null => return Ok(String::new()),
        Value::String(text) => return Ok(inert(text)),
        Value::Array(parts) => parts.as_slice(),
        value => match value.get("parts") {
            Some(Value::Array(parts)) => parts.as_slice(),
            Some(part) => std::slice::from_ref(part),
            None => std::slice::from_ref(value),
        },
    };
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        match (part, part.get("text")) {
            (Value::String(text), _) | (_, Some(Value::String(text))) => texts.push(inert(text)),
            _ => {
                return Err(unsayable(
                    "Instructions that are not text cannot be told to the Gemini CLI.",
                ));
            }
        }
    }
    Ok(texts.join("\n\n"))
}

fn inert(text: &str) -> String {
    text.replace("${", "$\u{2060}{")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(request: &Value) -> Result<Asked, Failure> {
        Asked::read(request.to_string().as_bytes())
    }

    fn with(member: &str, value: &Value) -> Value {
        let mut request = json!({"contents": [{"role": "user", "parts": [{"text": "x"}]}]});
        request[member] = value.clone();
        request
    }

    #[test]
    fn what_the_program_can_be_told_is_read_in_both_spellings() {
        let asked = read(&with(
            "generation_config",
            &json!({"max_output_tokens": 7, "temperature": 0.5, "topP": null, "stop_sequences": ["END"],
                "thinking_config": {"thinking_budget": 128, "include_thoughts": true}, "candidateCount": 1}),
        ));
        let asked = asked.ok().unwrap();
        assert_eq!(asked.max_tokens, Some(7));
        assert_eq!(asked.stop, ["END"]);
        assert!(asked.shows_thoughts);
        let config =
            json!({"maxOutputTokens": 7, "temperature": 0.5, "thinkingConfig": {"thinkingBudget": 128}});
        assert_eq!(Value::Object(asked.config), config);
    }

    #[test]
    fn instructions_are_read_however_they_are_put() {
        for value in [
            json!("one"),
            json!({"parts": [{"text": "one"}]}),
            json!({"text": "one"}),
            json!({"parts": {"text": "one"}}),
        ] {
            assert_eq!(
                read(&with("systemInstruction", &value)).ok().unwrap().system,
                "one"
            );
        }
        let two = json!({"role": "system", "parts": [{"text": "${AvailableTools}"}, {"text": "two"}]});
        let asked = read(&with("system_instruction", &two)).ok().unwrap();
        assert_eq!(asked.system, "$\u{2060}{AvailableTools}\n\ntwo");
    }

    #[test]
    fn what_it_cannot_be_told_is_refused_by_name() {
        let table = [
            ("tools", json!([{"functionDeclarations": []}]), "`tools`"),
            ("safetySettings", json!([{}]), "`safetySettings`"),
            ("cachedContent", json!("x"), "`cachedContent`"),
            (
                "generationConfig",
                json!({"candidateCount": 2}),
                "`candidateCount`",
            ),
            (
                "generationConfig",
                json!({"responseLogprobs": true}),
                "`responseLogprobs`",
            ),
            (
                "generationConfig",
                json!({"responseMimeType": "$HOME"}),
                "`responseMimeType`",
            ),
            (
                "generationConfig",
                json!({"temperature": "$HOME"}),
                "`temperature`",
            ),
            (
                "generationConfig",
                json!({"responseSchema": {"description": "$GOOGLE_CLOUD_ACCESS_TOKEN"}}),
                "`responseSchema`",
            ),
            (
                "generationConfig",
                json!({"thinkingConfig": {"thinkingLevel": "${A:-b}"}}),
                "`thinkingLevel`",
            ),
            ("generationConfig", json!([]), "`generationConfig`"),
            ("contents", json!([]), "contents"),
        ];
        for (member, value, named) in table {
            let Err(Failure::Unsayable(message)) = read(&with(member, &value)) else {
                panic!("{member}: {value} is taken");
            };
            assert!(message.contains(named), "{message}");
        }
    }
}
