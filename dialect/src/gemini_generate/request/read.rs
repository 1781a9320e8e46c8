//! Reading a request: a Gemini client's, into the neutral middle.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::calls::Calls;
use super::super::wire::{self, Content, Many, Number, Str, object};
use super::super::{read_part, words};
use crate::Dialect;
use crate::neutral::{
    Effort, OutputFormat, Raw, Request, Role, Sampling, Thinking, ThinkingAmount, Tool, ToolChoice, ToolKind,
    Turn,
};
use crate::refusal::{Code, Refusal};

object! {
    struct Body<'a> {
        contents: Many<Content<'a>> = "contents",
        system: Content<'a> = "systemInstruction" | "system_instruction",
        tools: Many<Tools<'a>> = "tools",
        tool_config: ToolConfig<'a> = "toolConfig" | "tool_config",
        config: Config<'a> = "generationConfig" | "generation_config",
        tier: Str<'a> = "serviceTier" | "service_tier",
        model: &'a RawValue = "model",
    }
}

object! {
    struct Tools<'a> {
        functions: Many<Function<'a>> = "functionDeclarations" | "function_declarations",
    }
}

object! {
    struct Function<'a> {
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        parameters: &'a RawValue = "parameters",
        schema: &'a RawValue = "parametersJsonSchema" | "parameters_json_schema",
    }
}

object! {
    struct ToolConfig<'a> {
        calling: Calling<'a> = "functionCallingConfig" | "function_calling_config",
    }
}

object! {
    struct Calling<'a> {
        mode: Str<'a> = "mode",
        names: Vec<Str<'a>> = "allowedFunctionNames" | "allowed_function_names",
    }
}

object! {
    struct Config<'a> {
        max_tokens: Number = "maxOutputTokens" | "max_output_tokens",
        temperature: Number = "temperature",
        top_p: Number = "topP" | "top_p",
        top_k: Number = "topK" | "top_k",
        seed: Number = "seed",
        frequency_penalty: Number = "frequencyPenalty" | "frequency_penalty",
        presence_penalty: Number = "presencePenalty" | "presence_penalty",
        stop: Vec<Str<'a>> = "stopSequences" | "stop_sequences",
        choices: Number = "candidateCount" | "candidate_count",
        has_logprobs: bool = "responseLogprobs" | "response_logprobs",
        logprobs: Number = "logprobs",
        media_type: Str<'a> = "responseMimeType" | "response_mime_type",
        schema: &'a RawValue = "responseSchema" | "response_schema",
        json_schema: &'a RawValue = "responseJsonSchema" | "response_json_schema" | "_responseJsonSchema",
        thinking: ThinkingConfig<'a> = "thinkingConfig" | "thinking_config",
    }
}

object! {
    struct ThinkingConfig<'a> {
        show: bool = "includeThoughts" | "include_thoughts",
        budget: Number = "thinkingBudget" | "thinking_budget",
        level: Str<'a> = "thinkingLevel" | "thinking_level",
    }
}

/// Reads a request for `model`, which stands in the path, as does whether the answer is streamed.
///
/// # Errors
/// When it is no request of this dialect.
pub fn read_request(body: &[u8], model: &str, stream: bool) -> Result<Request, Refusal> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| refusal_of(&error))?;
    let mut request = Request {
        model: model.to_owned(),
        stream,
        stream_usage: true,
        service_tier: body.tier.map(|tier| words::read_tier(tier.as_str())),
        ..Request::default()
    };
    read_part::gather(body.rest, "", &mut request.raw);
    read_turns(body.system, body.contents.unwrap_or_default(), &mut request.turns);
    for tools in body.tools.unwrap_or_default().0 {
        read_tools(tools, &mut request.tools);
    }
    read_tool_config(body.tool_config.unwrap_or_default(), &mut request);
    read_config(body.config.unwrap_or_default(), &mut request)?;
    Ok(request)
}

/// Its words tell where, and nothing of what stands there.
fn refusal_of(error: &serde_json::Error) -> Refusal {
    let place = format!("at line {} column {}", error.line(), error.column());
    if error.is_data() {
        let message = format!("a member of the request has a wrong type or value {place}");
        Refusal::new(Code::InvalidValue, message)
    } else {
        Refusal::new(
            Code::InvalidJson,
            format!("the request is not well-formed JSON {place}"),
        )
    }
}

fn read_turns(system: Option<Content<'_>>, contents: Many<Content<'_>>, turns: &mut Vec<Turn>) {
    let mut calls = Calls::default();
    if let Some(system) = system {
        turns.push(read_turn(Role::System, system, &mut calls));
    }
    for content in contents.0 {
        let role = words::read_role(content.role.as_ref().map(Str::as_str));
        turns.push(read_turn(role, content, &mut calls));
    }
}

fn read_turn(role: Role, content: Content<'_>, calls: &mut Calls) -> Turn {
    let mut turn = Turn::new(role, Vec::new());
    for part in content.parts.unwrap_or_default().0 {
        read_part::push(part, calls, &mut turn.parts, &mut turn.raw);
    }
    if turn.role == Role::Assistant && !turn.parts.iter().all(read_part::is_nothing) {
        turn.parts.retain(|part| !read_part::is_nothing(part));
    }
    read_part::gather(content.rest, "", &mut turn.raw);
    turn
}

/// Functions are the client's; what else stands there is run by Google.
fn read_tools(tools: Tools<'_>, all: &mut Vec<Tool>) {
    for function in tools.functions.unwrap_or_default().0 {
        all.push(read_function(function));
    }
    for (name, json) in tools.rest {
        if json.get() == "null" {
            continue;
        }
        let name = wire::camel(&name);
        all.push(Tool {
            name: name.clone(),
            description: None,
            kind: ToolKind::Server(Raw::new(Dialect::GeminiGenerate, name, json.to_owned())),
            cache: None,
            raw: Vec::new(),
        });
    }
}

fn read_function(function: Function<'_>) -> Tool {
    let schema = function.schema.map(Cow::Borrowed).or_else(|| {
        let parameters = function.parameters?;
        Some(Cow::Owned(super::super::schema::read(parameters)))
    });
    let mut raw = Vec::new();
    read_part::gather(function.rest, "", &mut raw);
    Tool {
        name: function.name.map(Str::into_owned).unwrap_or_default(),
        description: function.description.map(Str::into_owned),
        kind: ToolKind::Function {
            schema: schema.map(Cow::into_owned),
            strict: None,
        },
        cache: None,
        raw,
    }
}

fn read_tool_config(config: ToolConfig<'_>, request: &mut Request) {
    read_part::gather(config.rest, "toolConfig.", &mut request.raw);
    let Some(calling) = config.calling else { return };
    let prefix = "toolConfig.functionCallingConfig.";
    read_part::gather(calling.rest, prefix, &mut request.raw);
    let mut names: Vec<_> = calling
        .names
        .unwrap_or_default()
        .into_iter()
        .map(Str::into_owned)
        .collect();
    let mode = calling.mode.as_ref().map_or("AUTO", Str::as_str);
    let mode = words::mode(mode);
    request.tool_choice = Some(match (mode.as_ref(), names.len()) {
        ("NONE", _) => ToolChoice::None,
        ("ANY", 0) => ToolChoice::Required,
        ("ANY", 1) => ToolChoice::Tool(names.remove(0)),
        (mode, 1..) => ToolChoice::Among {
            names,
            required: mode == "ANY",
        },
        (_, 0) => ToolChoice::Auto,
    });
    // Held to the schema, and not to calling: no other dialect says it of the choice.
    if !matches!(mode.as_ref(), "AUTO" | "ANY" | "NONE") {
        let mut json = Vec::new();
        crate::json::write(mode.as_ref(), &mut json);
        let raw = Raw::new(
            Dialect::GeminiGenerate,
            format!("{prefix}mode"),
            read_part::raw_value(json),
        );
        request.raw.push(raw);
    }
}

fn read_config(config: Config<'_>, request: &mut Request) -> Result<(), Refusal> {
    let count = |number: Option<Number>, name: &'static str| match number.map(Number::count) {
        Some(None) => Err(invalid(name)),
        count => Ok(count.flatten()),
    };
    let real = |number: Option<Number>| number.map(|number| number.0);
    request.max_tokens = count(config.max_tokens, "generationConfig.maxOutputTokens")?;
    request.choices = count(config.choices, "generationConfig.candidateCount")?;
    let alternatives = count(config.logprobs, "generationConfig.logprobs")?;
    request.logprobs = (config.has_logprobs == Some(true)).then_some(alternatives.unwrap_or(0));
    request.sampling = Sampling {
        temperature: real(config.temperature),
        top_p: real(config.top_p),
        top_k: count(config.top_k, "generationConfig.topK")?,
        #[expect(clippy::cast_possible_truncation)]
        seed: real(config.seed).map(|seed| seed as i64),
        frequency_penalty: real(config.frequency_penalty),
        presence_penalty: real(config.presence_penalty),
    };
    request.stop = config
        .stop
        .unwrap_or_default()
        .into_iter()
        .map(Str::into_owned)
        .collect();
    request.thinking = config
        .thinking
        .map(|thinking| read_thinking(thinking, &mut request.raw))
        .transpose()?;
    request.output = read_output(
        config.media_type,
        config.schema,
        config.json_schema,
        &mut request.raw,
    );
    read_part::gather(config.rest, "generationConfig.", &mut request.raw);
    Ok(())
}

fn read_thinking(thinking: ThinkingConfig<'_>, raw: &mut Vec<Raw>) -> Result<Thinking, Refusal> {
    read_part::gather(thinking.rest, "generationConfig.thinkingConfig.", raw);
    let amount = match (thinking.level, thinking.budget) {
        (Some(level), _) if level.as_str() != "THINKING_LEVEL_UNSPECIFIED" => {
            ThinkingAmount::Effort(words::read_level(level.as_str()))
        }
        (_, Some(Number(budget))) if budget < 0.0 => ThinkingAmount::Free,
        (_, Some(budget)) => match budget.count() {
            Some(0) => ThinkingAmount::Effort(Effort::None),
            Some(tokens) => ThinkingAmount::Budget(tokens),
            None => return Err(invalid("generationConfig.thinkingConfig.thinkingBudget")),
        },
        _ => ThinkingAmount::Free,
    };
    Ok(Thinking {
        amount,
        show: thinking.show,
    })
}

fn read_output(
    media_type: Option<Str<'_>>,
    schema: Option<&RawValue>,
    json_schema: Option<&RawValue>,
    raw: &mut Vec<Raw>,
) -> OutputFormat {
    let is_json = media_type
        .as_ref()
        .is_some_and(|media_type| media_type.as_str() == "application/json");
    let schema_of_json = json_schema
        .map(ToOwned::to_owned)
        .or_else(|| schema.map(super::super::schema::read));
    match (is_json, schema_of_json) {
        (true, Some(schema)) => OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema,
            strict: None,
        },
        (true, None) => OutputFormat::JsonObject,
        (false, _) => {
            let mut keep = |name: &str, json: Box<RawValue>| {
                let name = format!("generationConfig.{name}");
                raw.push(Raw::new(Dialect::GeminiGenerate, name, json));
            };
            // A text out of a list (`text/x.enum`), which only Google knows.
            if let Some(media_type) = media_type.filter(|media_type| media_type.as_str() != "text/plain") {
                let mut json = Vec::new();
                crate::json::write(media_type.as_str(), &mut json);
                keep("responseMimeType", read_part::raw_value(json));
            }
            if let Some(schema) = schema {
                keep("responseSchema", schema.to_owned());
            }
            if let Some(schema) = json_schema {
                keep("responseJsonSchema", schema.to_owned());
            }
            OutputFormat::Text
        }
    }
}

fn invalid(name: &'static str) -> Refusal {
    Refusal::new(
        Code::InvalidValue,
        format!("the member `{name}` has a wrong type or value"),
    )
    .param(name)
}
