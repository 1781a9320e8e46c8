//! What of a request a model reads, or of an answer has written, for whoever has to guess how much that is.

use super::{Arguments, MediaSource, OutputFormat, Part, Reply, Request, ToolKind};

/// The texts of a request or an answer, and how much there is beside them.
#[derive(Debug, Default)]
pub struct Texts<'a> {
    pub texts: Vec<&'a str>,
    /// Turns, tools and calls, each of which has a frame of some tokens around it.
    pub frames: u64,
    /// Images, sounds, films and documents that are no text.
    pub media: u64,
}

impl<'a> Texts<'a> {
    pub fn of(request: &'a Request) -> Self {
        let mut texts = Self::default();
        for turn in &request.turns {
            texts.frames += 1;
            texts.texts.extend(turn.name.as_deref());
            texts.parts(&turn.parts);
        }
        for tool in &request.tools {
            texts.frames += 1;
            texts.texts.push(&tool.name);
            texts.texts.extend(tool.description.as_deref());
            texts.texts.extend(tool.schema_text());
            match &tool.kind {
                ToolKind::FreeText { format: Some(format) } => texts.texts.push(format.get()),
                ToolKind::Server(raw) => texts.texts.push(raw.json.get()),
                ToolKind::Function { .. } | ToolKind::FreeText { format: None } => {}
            }
        }
        if let OutputFormat::JsonSchema { schema, .. } = &request.output {
            texts.texts.push(schema.get());
        }
        texts
    }

    pub fn of_reply(reply: &'a Reply) -> Self {
        let mut texts = Self::default();
        reply.choices().for_each(|choice| texts.parts(choice.parts));
        texts
    }

    pub fn bytes(&self) -> u64 {
        self.texts.iter().map(|text| text.len() as u64).sum()
    }

    fn parts(&mut self, parts: &'a [Part]) {
        for part in parts {
            match part {
                Part::Text(text) => self.texts.push(&text.text),
                Part::Refusal(text) => self.texts.push(text),
                Part::Reasoning(thought) => self.texts.extend(thought.texts.iter().map(String::as_str)),
                Part::Media(media) => match &media.source {
                    MediaSource::Text(text) => self.texts.push(text),
                    _ => self.media += 1,
                },
                Part::ToolCall(call) => {
                    self.frames += 1;
                    self.texts.push(&call.name);
                    let (Arguments::Json(text) | Arguments::Text(text)) = &call.arguments;
                    self.texts.push(text);
                }
                Part::ToolResult(result) => {
                    self.frames += 1;
                    self.parts(&result.parts);
                }
                Part::Raw(raw) => self.texts.push(raw.json.get()),
            }
        }
    }
}
