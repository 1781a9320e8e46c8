//! What has to be turned back in an answer, because the request was sent with something else than the client wrote.

use super::{Block, Event, Names, Part, Reply};

/// What a request was sent with. The writer of the request fills it in; whoever translates the answer puts that through it.
#[derive(Debug, Clone, Default)]
pub struct Undo {
    /// Tools that were sent under another name.
    pub names: Names,
    /// The tool that stands for the schema of the answer, by the name under which it was sent. The client knows of no such
    /// tool: a call of it is the answer's text.
    pub schema_tool: Option<String>,
    /// Free-text tools that were sent as functions with one string, by the client's own names.
    pub free_text_tools: Vec<String>,
    /// Stop sequences that the provider was not told of: the gateway itself ends the text there.
    pub stop: Vec<String>,
}

impl Undo {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
            && self.schema_tool.is_none()
            && self.free_text_tools.is_empty()
            && self.stop.is_empty()
    }

    /// Turns a whole answer back.
    pub fn reply(&self, reply: &mut Reply) {
        for part in &mut reply.parts {
            if let Part::ToolCall(call) = part {
                self.names.turn_back(&mut call.name);
            }
        }
    }

    /// Turns an event of a stream back.
    pub fn events(&mut self, mut event: Event, out: &mut Vec<Event>) {
        if let Event::Open {
            kind: Block::ToolCall { name, .. },
            ..
        } = &mut event
        {
            self.names.turn_back(name);
        }
        out.push(event);
    }
}
