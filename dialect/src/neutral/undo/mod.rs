//! What has to be turned back in an answer, because the request was sent with something else than the client wrote.

pub mod free_text;
mod schema_tool;
mod stop;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::free_text::TextReader;
use self::schema_tool::SchemaTool;
use self::stop::StopCutter;
use super::{Arguments, Block, Delta, Event, Names, Part, Reply};

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
    /// How many answers were asked for; 0 where nothing was said.
    pub choices: u64,
    /// How far a stream has come.
    pub(crate) stream: Stream,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    schema_tool: SchemaTool,
    /// The free-text calls that are open.
    free_text: Vec<(u32, TextReader)>,
    stop: Option<StopCutter>,
    /// The same of answers beside the first, by their numbers.
    others: BTreeMap<u32, Undo>,
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
        if !self.is_empty() {
            reply.each_choice(|reply| self.choice(reply));
        }
    }

    fn choice(&self, reply: &mut Reply) {
        if let Some(tool) = &self.schema_tool {
            schema_tool::turn_back(tool, reply);
        }
        for part in &mut reply.parts {
            let Part::ToolCall(call) = part else {
                continue;
            };
            self.names.turn_back(&mut call.name);
            if let Arguments::Json(arguments) = &call.arguments
                && self.free_text_tools.contains(&call.name)
            {
                call.arguments = Arguments::Text(free_text::text(arguments));
            }
        }
        if !self.stop.is_empty() {
            stop::cut(&self.stop, reply);
        }
    }

    /// Turns an event of a stream back, into as many as it takes. Events come in their order; what is held back has come
    /// out with [`Event::Finish`], [`Event::Fault`] or [`Event::End`].
    pub fn events(&mut self, event: Event, out: &mut Vec<Event>) {
        if self.is_empty() {
            out.push(event);
            return;
        }
        if let Event::Other { choice, event } = event {
            return self.other(choice, *event, out);
        }
        let mut events = Vec::new();
        match &self.schema_tool {
            Some(tool) => self.stream.schema_tool.event(tool, event, &mut events),
            None => events.push(event),
        }
        let mut named = Vec::new();
        for event in events {
            self.call(event, &mut named);
        }
        if self.stop.is_empty() {
            out.append(&mut named);
            return;
        }
        let cutter = self
            .stream
            .stop
            .get_or_insert_with(|| StopCutter::new(&self.stop));
        for event in named {
            cutter.event(event, out);
        }
    }

    fn other(&mut self, choice: u32, event: Event, out: &mut Vec<Event>) {
        let known = self.stream.others.remove(&choice);
        let mut undo = known.unwrap_or_else(|| self.anew());
        let mut events = Vec::new();
        undo.events(event, &mut events);
        out.extend(events.into_iter().map(|event| event.of(choice)));
        self.stream.others.insert(choice, undo);
    }

    /// The same for an answer that has not begun.
    fn anew(&self) -> Self {
        Self {
            names: self.names.clone(),
            schema_tool: self.schema_tool.clone(),
            free_text_tools: self.free_text_tools.clone(),
            stop: self.stop.clone(),
            choices: 0,
            stream: Stream::default(),
        }
    }

    /// Whether each answer was ended at a stop sequence: what the provider still sends is of no interest but for its usage.
    pub fn is_cut(&self) -> bool {
        let is_cut = self.stream.stop.as_ref().is_some_and(StopCutter::is_cut);
        let others = self.stream.others.values().filter(|other| other.is_cut()).count();
        is_cut && others as u64 + 1 >= self.choices
    }

    /// Turns names, and calls of free-text tools, back.
    fn call(&mut self, mut event: Event, out: &mut Vec<Event>) {
        let readers = &mut self.stream.free_text;
        match &mut event {
            Event::Open {
                block,
                kind: Block::ToolCall {
                    name, is_free_text, ..
                },
            } => {
                self.names.turn_back(name);
                if self.free_text_tools.contains(name) && !*is_free_text {
                    *is_free_text = true;
                    readers.push((*block, TextReader::default()));
                }
            }
            Event::Delta {
                block,
                delta: Delta::Arguments(fragment),
            } => {
                if let Some((_, reader)) = readers.iter_mut().find(|(known, _)| known == block) {
                    let mut text = String::new();
                    reader.push(fragment, &mut text);
                    if text.is_empty() {
                        return;
                    }
                    *fragment = text;
                }
            }
            Event::Close { block } => {
                if let Some(at) = readers.iter().position(|(known, _)| known == block) {
                    let (block, reader) = readers.swap_remove(at);
                    let mut text = String::new();
                    reader.finish(&mut text);
                    if !text.is_empty() {
                        let delta = Delta::Arguments(text);
                        out.push(Event::Delta { block, delta });
                    }
                }
            }
            _ => {}
        }
        out.push(event);
    }
}
