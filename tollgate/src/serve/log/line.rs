//! One event as one line: for people as `key=value`, for machines as JSON.
//!
//! What clients and providers sent may stand in a value, so no value can end a line or reach a terminal: control letters
//! are written as escapes, and a long value is cut.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines look.
#[derive(Clone, Copy)]
pub(super) enum Line {
    Human { coloured: bool },
    Json,
}

/// A line that is being written. All of it is put together first: whoever takes it takes it in one piece.
struct Fields {
    line: Line,
    text: String,
    /// What is formatted before it can be escaped.
    scratch: String,
}

const VALUE_BYTES_MAX: usize = 1 << 10;
const USUAL_BYTES: usize = 768;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::with_capacity(USUAL_BYTES);
        self.begin(event.metadata(), &mut text)?;
        let mut fields = Fields {
            line: *self,
            text,
            scratch: String::new(),
        };
        event.record(&mut fields);
        let mut text = fields.text;
        text.push_str(match self {
            Self::Human { .. } => "\n",
            Self::Json => "}\n",
        });
        out.write_str(&text)
    }
}

impl Line {
    /// When it was, how bad it is and where it comes from.
    fn begin(self, of: &Metadata<'_>, text: &mut String) -> fmt::Result {
        let (at, level, target) = (Timestamp::now(), of.level().as_str(), of.target());
        match self {
            Self::Human { coloured: false } => write!(text, "{at:.6} {level:>5} {target}:"),
            Self::Human { coloured: true } => {
                let colour = colour(*of.level());
                write!(text, "{at:.6} {colour}{level:>5}\x1b[0m {target}:")
            }
            Self::Json => write!(
                text,
                r#"{{"timestamp":"{at:.6}","level":"{level}","target":"{target}""#
            ),
        }
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

impl Fields {
    fn name(&mut self, field: &Field) {
        match self.line {
            Line::Human { .. } => {
                self.text.push(' ');
                self.text.push_str(field.name());
                self.text.push('=');
            }
            Line::Json => {
                self.text.push_str(",\"");
                self.text.push_str(field.name());
                self.text.push_str("\":");
            }
        }
    }

    /// A value that is written as it is: a number, or true or false.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // A text takes whatever is written to it.
        let _written = write!(self.text, "{value}");
    }

    fn value(&mut self, field: &Field, value: &str) {
        let value = cut(value);
        let for_people = matches!(self.line, Line::Human { .. });
        if for_people && field.name() == "message" {
            self.text.push(' ');
            return escaped(value, &mut self.text);
        }
        self.name(field);
        if for_people && reads_alone(value) {
            return self.text.push_str(value);
        }
        self.text.push('"');
        escaped(value, &mut self.text);
        self.text.push('"');
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        // What refuses to be written is left out.
        let _written = write!(scratch, "{value:?}");
        self.value(field, &scratch);
        self.scratch = scratch;
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }
}

/// The beginning of a value, if all of it is too long.
fn cut(value: &str) -> &str {
    let mut end = VALUE_BYTES_MAX.min(value.len());
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    value.get(..end).unwrap_or_default()
}

/// Whether a value needs no quotes to be told from what follows it.
fn reads_alone(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'='))
}

/// Writes a text as it stands between the quotes of a JSON string (RFC 8259, section 7), and no control letter of any kind.
fn escaped(text: &str, out: &mut String) {
    let is_plain = |byte: u8| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => {
                // A text takes whatever is written to it.
                let _written = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::super::sink::Sink;
    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logged(line: Line, log: impl FnOnce(&Paper, &Sink)) -> String {
        let paper = Paper::default();
        let sink = Sink::new(paper.clone()).unwrap();
        let lines = tracing_subscriber::fmt()
            .event_format(line)
            .with_writer(sink.clone())
            .finish();
        with_default(lines, || log(&paper, &sink));
        sink.written(PATIENCE);
        paper.text()
    }

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
    const HOSTILE: &str = "a\n{\"level\":\"ERROR\"}\x1b[31m\u{9b}\\";

    #[test]
    fn a_line_of_json_says_what_was_logged_and_stays_one() {
        let text = logged(Line::Json, |_, _| {
            tracing::info!(text = HOSTILE, shown = %HOSTILE, number = -3, absent = None::<u64>, yes = true, "told");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let at = line["timestamp"].take();
        assert!(at.as_str().unwrap().parse::<Timestamp>().is_ok());
        let target = line["target"].take();
        assert!(target.as_str().unwrap().ends_with("line::tests"));
        let expected = json!({
            "timestamp": null, "level": "INFO", "target": null, "message": "told", "text": HOSTILE, "shown": HOSTILE,
            "number": -3, "yes": true,
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_line_for_people_holds_nothing_that_moves_their_terminal() {
        let text = logged(Line::Human { coloured: false }, |_, _| {
            tracing::warn!(text = HOSTILE, word = "gpt-4o", "told\x1b");
        });
        assert!(text.contains(r#"told\u001b text="a\n{\"level\":\"ERROR\"}\u001b[31m\u009b\\" word=gpt-4o"#));
        assert!(!text.trim_end_matches('\n').contains(char::is_control), "{text}");
    }

    #[test]
    fn a_long_value_is_cut_between_two_letters() {
        let text = logged(Line::Json, |_, _| tracing::info!(text = "é".repeat(600), "told"));
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["text"], "é".repeat(512));
    }

    #[test]
    fn lines_of_calls_wait_for_one_another_and_for_nothing_else() {
        let text = logged(Line::Json, |paper, sink| {
            tracing::info!(target: "tollgate::call", "first");
            sink.written(PATIENCE);
            assert_eq!(paper.text(), "");
            tracing::info!("second");
            sink.written(PATIENCE);
            assert_eq!(paper.text().lines().count(), 2);
            tracing::info!(target: "tollgate::call", "third");
            sink.flush();
            sink.written(PATIENCE);
            assert_eq!(paper.text().lines().count(), 3);
        });
        let messages: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["message"].take())
            .collect();
        assert_eq!(messages, ["first", "second", "third"]);
    }
}
