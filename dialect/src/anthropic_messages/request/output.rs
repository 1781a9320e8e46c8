//! The form that the answer must have: by a schema where the model takes one, else by a tool that stands for it, else by
//! asking.

use serde_json::value::RawValue;

use crate::neutral::names::unused;
use crate::neutral::{Losses, OutputFormat, Profile, Request, ToolChoice};
use crate::refusal::Refusal;
use crate::schema;

/// How the form is asked for.
#[derive(Debug, Default)]
pub(super) struct Form<'a> {
    /// `output_config.format`
    pub(super) schema: Option<Box<RawValue>>,
    /// A tool whose arguments are the answer.
    pub(super) tool: Option<SchemaTool<'a>>,
    /// Told with the instructions.
    pub(super) instruction: Option<String>,
}

#[derive(Debug)]
pub(super) struct SchemaTool<'a> {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) schema: &'a RawValue,
    /// Whether the model has to call it, or some tool.
    pub(super) choice: ToolChoice,
}

const JSON_INSTRUCTION: &str =
    "Answer with one JSON object and nothing else: no text before or after it, and no code fence around it.";
const SCHEMA_TOOL: &str = "answer_in_json";

impl<'a> Form<'a> {
    /// With `thinks` no tool can be forced upon the model.
    pub(super) fn new(
        request: &'a Request,
        profile: &Profile,
        thinks: bool,
        losses: &mut Losses,
    ) -> Result<Self, Refusal> {
        let (schema, description) = match &request.output {
            OutputFormat::Text => return Ok(Self::default()),
            OutputFormat::JsonObject => {
                return Ok(Self {
                    instruction: Some(JSON_INSTRUCTION.to_owned()),
                    ..Self::default()
                });
            }
            OutputFormat::JsonSchema {
                schema, description, ..
            } => (schema, description),
        };
        let is_native = profile.json_schema && (request.tools.is_empty() || profile.json_schema_with_tools);
        if is_native && let Some(cut) = schema::for_anthropic(schema.get())? {
            if cut.lost {
                losses.drop("response_format.schema")?;
            }
            return Ok(Self {
                schema: Some(cut.schema),
                ..Self::default()
            });
        }
        Ok(Self::by_tool(request, schema, description.as_deref(), thinks))
    }

    fn by_tool(request: &Request, schema: &'a RawValue, description: Option<&str>, thinks: bool) -> Self {
        let name = unused(SCHEMA_TOOL, &request.tools);
        let has_tools = !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None);
        let choice = match (thinks, has_tools) {
            (true, _) => ToolChoice::Auto,
            (false, true) => ToolChoice::Required,
            (false, false) => ToolChoice::Tool(name.clone()),
        };
        let told = description.unwrap_or("The answer.");
        Self {
            schema: None,
            instruction: thinks
                .then(|| format!("Give your answer by calling the tool `{name}`, once, and not as text.")),
            tool: Some(SchemaTool {
                description: format!(
                    "{told} Call this tool to give your answer; its arguments are all that is read."
                ),
                name,
                schema,
                choice,
            }),
        }
    }
}
