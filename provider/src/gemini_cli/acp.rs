//! The Agent Client Protocol, as far as it is needed: JSON-RPC, one object a line, over the pipes of a process.

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

/// One end of it.
pub(super) struct Acp<R, W> {
    out: W,
    lines: Lines<R>,
    asked: u64,
}

/// What the other side says.
#[derive(Debug)]
pub(super) enum Message {
    Answer {
        id: u64,
        result: Value,
    },
    Error {
        id: u64,
        error: RpcError,
    },
    Update(Update),
    /// A notification of another kind.
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct RpcError {
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

/// A piece of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// What the user said, repeated when a session is read.
    User,
    Thought(String),
    Text(String),
    Other,
}

/// Why it cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    method: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
    error: Option<RpcError>,
}

/// Lines of a reader, each within a bound.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

const LINE_BYTES_MAX: usize = 8 << 20;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Acp<R, W> {
    pub(super) fn new(input: R, out: W) -> Self {
        Self {
            out,
            lines: Lines::new(input),
            asked: 0,
        }
    }

    /// Asks for something; the answer comes with this number.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Result<u64, Broken> {
        self.asked += 1;
        let id = self.asked;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .await?;
        Ok(id)
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) -> Result<(), Broken> {
        self.write(&json!({"jsonrpc": "2.0", "method": method, "params": params}))
            .await
    }

    async fn write(&mut self, message: &Value) -> Result<(), Broken> {
        let line = format!("{message}\n");
        let written = async {
            self.out.write_all(line.as_bytes()).await?;
            self.out.flush().await
        };
        written.await.map_err(|_| Broken("it takes nothing any more"))
    }

    /// The next message. What was read of it is kept when this is given up.
    pub(super) async fn next(&mut self) -> Result<Message, Broken> {
        let line = self.lines.next().await?.ok_or(Broken("it has ended"))?;
        let line: Line = serde_json::from_slice(&line).map_err(|_| Broken("it said something else"))?;
        match (line.method, line.id) {
            // With its tools off it has nothing to ask.
            (Some(_), Some(_)) => Err(Broken("it asked for something")),
            (Some(method), None) if method == "session/update" => {
                let params = line.params.unwrap_or_default();
                Ok(Message::Update(Update::read(&params)))
            }
            (Some(_), None) => Ok(Message::Other),
            (None, Some(id)) => Ok(match line.error {
                Some(error) => Message::Error { id, error },
                None => Message::Answer {
                    id,
                    result: line.result.unwrap_or_default(),
                },
            }),
            (None, None) => Err(Broken("it said nothing that makes sense")),
        }
    }
}

impl Update {
    fn read(params: &Value) -> Self {
        let update = params.get("update").unwrap_or(&Value::Null);
        let text = || {
            let text = update.get("content").and_then(|content| content.get("text"));
            text.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        match update.get("sessionUpdate").and_then(Value::as_str) {
            Some("user_message_chunk") => Self::User,
            Some("agent_thought_chunk") => Self::Thought(text()),
            Some("agent_message_chunk") => Self::Text(text()),
            _ => Self::Other,
        }
    }
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            line: Vec::new(),
        }
    }

    /// The next line; none at the end. What was read of it is kept when this is given up.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            let bytes = self
                .reader
                .fill_buf()
                .await
                .map_err(|_| Broken("it cannot be read"))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (taken, used) = match end {
                Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1),
                None => (bytes, bytes.len()),
            };
            if self.line.len() + taken.len() > LINE_BYTES_MAX {
                return Err(Broken("its line is too long"));
            }
            self.line.extend_from_slice(taken);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Result<Message, Broken> {
        Acp::new(bytes, Vec::new()).next().await
    }

    #[tokio::test]
    async fn messages_are_told_apart() {
        let answer = told(b"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"a\":1}}\n").await;
        assert!(matches!(answer, Ok(Message::Answer { id: 3, result }) if result == json!({"a": 1})));
        let error = told(b"{\"id\":3,\"error\":{\"code\":429,\"message\":\"m\"}}\n").await;
        assert!(
            matches!(error, Ok(Message::Error { id: 3, error }) if error.code == 429 && error.message == "m")
        );
        let chunk = json!({"method": "session/update", "params": {"update": {
            "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "hi"}}}});
        let update = told(format!("{chunk}\n").as_bytes()).await;
        assert!(matches!(update, Ok(Message::Update(Update::Text(text))) if text == "hi"));
    }

    #[tokio::test]
    async fn whoever_says_something_else_is_not_listened_to() {
        for line in [
            &b"https://accounts.example.test/login\n"[..],
            b"{\"id\":1,\"method\":\"fs/read_text_file\",\"params\":{}}\n",
            b"{}\n",
            b"{\"id\":1",
        ] {
            assert!(told(line).await.is_err());
        }
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(told(&long).await.err(), Some(Broken("its line is too long")));
    }
}
