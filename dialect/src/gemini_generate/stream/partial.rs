//! Arguments of a call that Vertex sends value by value, each with its path (`$.recipe.ingredients[0].name`), rebuilt as
//! JSON text from the front to the back.
//!
//! Values come in the order in which the text has them, so an object or array is closed when the next path leaves it. A
//! path that leads back into a closed one could only be written by taking text back; that is told as a failure.

use super::super::wire::PartialArg;

/// The text so far, as what is open in it.
#[derive(Debug, Clone, Default)]
pub(super) struct PartialArguments {
    /// From the outermost object to the innermost.
    open: Vec<Level>,
    /// Whether a text is open, and the path to it.
    text: Option<Vec<Step>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

#[derive(Debug, Clone)]
struct Level {
    /// By which step of the object around it this one is reached; of no meaning for the outermost.
    step: Step,
    is_array: bool,
    /// Names that are written already.
    names: Vec<String>,
    items: usize,
}

/// A path that leads where nothing can be added any more, or is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfOrder;

impl PartialArguments {
    /// Adds a value and appends what becomes certain of the text.
    pub(super) fn push(&mut self, argument: &PartialArg<'_>, out: &mut String) -> Result<(), OutOfOrder> {
        let path = argument
            .path
            .as_ref()
            .and_then(|path| steps(path.as_str()))
            .ok_or(OutOfOrder)?;
        let is_more = self.text.as_ref() == Some(&path);
        if !is_more {
            self.close_text(out);
            self.lead_to(&path, out)?;
        }
        match (&argument.text, argument.number, argument.boolean) {
            (Some(text), ..) => {
                if !is_more {
                    out.push('"');
                }
                push_escaped(text.as_str(), out);
                self.text = Some(path);
                if argument.goes_on != Some(true) {
                    self.close_text(out);
                }
            }
            _ if is_more => self.close_text(out),
            (None, Some(number), _) => out.push_str(number.get()),
            (None, None, Some(boolean)) => out.push_str(if boolean { "true" } else { "false" }),
            (None, None, None) => out.push_str("null"),
        }
        Ok(())
    }

    /// Appends what is missing at the end: `{}` when nothing came.
    pub(super) fn finish(mut self, out: &mut String) {
        self.close_text(out);
        if self.open.is_empty() {
            out.push_str("{}");
        }
        while !self.open.is_empty() {
            self.close(out);
        }
    }

    fn close_text(&mut self, out: &mut String) {
        if self.text.take().is_some() {
            out.push('"');
        }
    }

    /// Closes what the path leaves, and opens what it enters, up to where its value stands.
    fn lead_to(&mut self, path: &[Step], out: &mut String) -> Result<(), OutOfOrder> {
        let Some((_, parents)) = path.split_last() else {
            return Err(OutOfOrder);
        };
        if self.open.is_empty() {
            self.enter(Step::Item(0), path.first(), out);
        }
        let inner = self.open.iter().skip(1);
        let common = inner
            .zip(parents)
            .take_while(|(level, step)| level.step == **step)
            .count();
        while self.open.len() > common + 1 {
            self.close(out);
        }
        for (number, step) in path.iter().enumerate().skip(common) {
            self.step(step, out)?;
            if number < parents.len() {
                self.enter(step.clone(), path.get(number + 1), out);
            }
        }
        Ok(())
    }

    fn enter(&mut self, step: Step, next: Option<&Step>, out: &mut String) {
        let is_array = matches!(next, Some(Step::Item(_)));
        out.push(if is_array { '[' } else { '{' });
        self.open.push(Level {
            step,
            is_array,
            names: Vec::new(),
            items: 0,
        });
    }

    /// Writes what stands before a value: a comma, a name.
    fn step(&mut self, step: &Step, out: &mut String) -> Result<(), OutOfOrder> {
        let level = self.open.last_mut().ok_or(OutOfOrder)?;
        if level.items > 0 {
            out.push(',');
        }
        match step {
            Step::Member(name) if !level.is_array && !level.names.contains(name) => {
                level.names.push(name.clone());
                out.push('"');
                push_escaped(name, out);
                out.push_str("\":");
            }
            Step::Item(index) if level.is_array && *index == level.items => {}
            Step::Member(_) | Step::Item(_) => return Err(OutOfOrder),
        }
        level.items += 1;
        Ok(())
    }

    fn close(&mut self, out: &mut String) {
        if let Some(level) = self.open.pop() {
            out.push(if level.is_array { ']' } else { '}' });
        }
    }
}

/// The steps of a path: `$`, then `.name`, `['name']` or `[0]`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at_checked(end)?;
            steps.push(Step::Member(name.to_owned()));
            rest = after;
        } else {
            let (step, after) = bracketed(rest.strip_prefix('[')?)?;
            steps.push(step);
            rest = after;
        }
    }
    Some(steps)
}

fn bracketed(rest: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            return Some((Step::Member(name.to_owned()), after.strip_prefix(']')?));
        }
    }
    let (index, after) = rest.split_once(']')?;
    Some((Step::Item(index.parse().ok()?), after))
}

/// A text as it stands between its quotes.
fn push_escaped(text: &str, out: &mut String) {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    out.push_str(inner.unwrap_or_default());
}
