//! A call by a process of its own, which ends with it: for where none can be kept.

use std::ffi::OsStr;
use std::sync::Arc;

use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::time::timeout;

use super::acp::Lines;
use super::answer::{Counts, Said};
use super::fault::{AccountRefusal, Failure};
use super::home::{Home, State};
use super::plain;
use super::relay::Admitted;
use super::settings::GeminiCliSettings;
use super::way::Way;
use super::worker::Job;

/// A line of what it says.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    role: Option<String>,
    content: Option<String>,
    status: Option<String>,
    error: Option<Wrong>,
    stats: Option<Stats>,
}

#[derive(Deserialize)]
struct Wrong {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    total_tokens: u64,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    cached: u64,
}

/// What it says at the end.
enum Verdict {
    Success(Counts),
    Error(String),
}

const SESSION: &str = "00000000-0000-4000-8000-000000000000";
const ERRORS_BYTES_MAX: u64 = 64 << 10;
/// It could not log in.
const NO_LOGIN: i32 = 41;

/// Serves a call, up to its last word, which is returned.
pub(super) async fn run(
    settings: &GeminiCliSettings,
    state: &Arc<State>,
    way: &Way<'_>,
    job: &Job,
) -> Option<Said> {
    let converse = timeout(settings.call_timeout, converse(settings, state, way, job));
    tokio::select! {
        said = converse => Some(match said {
            Ok(Ok((counts, reason))) => Said::Done(Some(counts), reason),
            Ok(Err(failure)) => Said::Failed(failure),
            Err(_) => Said::Failed(Failure::TimedOut),
        }),
        // Its end is Google's too: the connection goes with the process.
        () = job.said.closed() => None,
    }
}

async fn converse(
    settings: &GeminiCliSettings,
    state: &Arc<State>,
    way: &Way<'_>,
    job: &Job,
) -> Result<(Counts, Option<String>), Failure> {
    let no_folder = |_| Failure::Program("it can have no folder");
    let home = Home::make(state, &plain::settings(&job.model, &job.asked.config)).map_err(no_folder)?;
    let session = job.asked.session.write(SESSION);
    let file = home
        .put(&job.asked.system, SESSION, &session)
        .map_err(no_folder)?;
    let arguments = [
        "-p",
        "\n",
        "-m",
        &job.model,
        "-o",
        "stream-json",
        "--session-file",
    ]
    .map(OsStr::new);
    let arguments = [&arguments[..], &[file.as_os_str()]].concat();
    let (mut process, admitted) = way.start(&settings.program, &home, &arguments, true)?;
    drop(process.stdin());
    let pipes = process.stdout().zip(process.stderr());
    let (stdout, stderr) = pipes.ok_or(Failure::Program("it has no pipes"))?;
    let (said, errors) = tokio::join!(
        listen(stdout, job, settings.answer_bytes_max),
        read_errors(stderr)
    );
    let (verdict, is_told) = said?;
    let code = process.ended().await.ok().and_then(|status| status.code());
    let seen = admitted.as_ref().map(Admitted::seen).unwrap_or_default();
    let reason = seen.reason.filter(|reason| is_told || reason != "STOP");
    match (judge(verdict, is_told, code, &errors), seen.counts) {
        // That nothing was said is an answer where it has a reason.
        (Ok(_) | Err(Failure::Nothing), Some(counts)) if is_told || reason.is_some() => Ok((counts, reason)),
        (judged, _) => judged
            .map(|counts| (counts, reason))
            .map_err(|failure| failure.with_wait(seen.wait_s)),
    }
}

/// Passes on what it says, up to its result.
async fn listen(
    stdout: ChildStdout,
    job: &Job,
    bytes_max: usize,
) -> Result<(Option<Verdict>, bool), Failure> {
    let mut lines = Lines::new(stdout);
    let (mut result, mut bytes) = (None, 0_usize);
    while let Some(line) = lines.next().await.map_err(|broken| Failure::Program(broken.0))? {
        let Ok(line) = serde_json::from_slice::<Line>(&line) else {
            continue;
        };
        match (line.kind.as_str(), line.role.as_deref()) {
            ("message", Some("assistant")) => {
                let text = line.content.unwrap_or_default();
                bytes = bytes.saturating_add(text.len());
                if bytes > bytes_max {
                    return Err(Failure::TooLarge);
                }
                let _gone = job.said.send(Said::Text(text)).await;
            }
            ("result", _) if line.status.as_deref() == Some("success") => {
                result = line.stats.map(|stats| Verdict::Success(stats.counts()));
            }
            ("result", _) => {
                result = Some(Verdict::Error(
                    line.error.map_or_else(String::new, |wrong| wrong.message),
                ))
            }
            _ => {}
        }
    }
    Ok((result, bytes > 0))
}

/// The end of what it says about errors, which is never logged: prompts are in it.
async fn read_errors(mut stderr: ChildStderr) -> String {
    let mut errors = Vec::new();
    let _broken = (&mut stderr)
        .take(ERRORS_BYTES_MAX)
        .read_to_end(&mut errors)
        .await;
    let _rest = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&errors).into_owned()
}

/// What its end means. The code is a status of Google's, as far as it fits into a byte; success is never told by it.
fn judge(result: Option<Verdict>, is_told: bool, code: Option<i32>, errors: &str) -> Result<Counts, Failure> {
    match (result, code) {
        (Some(Verdict::Success(counts)), _) if is_told => Ok(counts),
        (Some(Verdict::Success(counts)), _) if counts == Counts::default() => Err(Failure::TooLong),
        (Some(Verdict::Success(_)), _) | (Some(Verdict::Error(_)), Some(0)) => Err(Failure::Nothing),
        (Some(Verdict::Error(message)), Some(1)) if message.contains("not found") => {
            Err(Failure::told(404, &message))
        }
        (Some(Verdict::Error(message)), Some(code)) => match status(code) {
            Some(status) => Err(Failure::told(status, plain_words(&message))),
            None => Err(Failure::Program("it ended with an error of its own")),
        },
        (None, Some(NO_LOGIN)) => Err(Failure::Told(401, "Google refused the access token.".to_owned())),
        (None, Some(1)) if errors.contains("invalid authentication credentials") => {
            Err(Failure::Told(401, "Google refused the access token.".to_owned()))
        }
        (None, Some(1)) => Err(Failure::Account(AccountRefusal::read(errors))),
        _ => Err(Failure::Program("it ended without a result")),
    }
}

/// Which status gives this byte.
fn status(code: i32) -> Option<u16> {
    let fits = |status: &u16| i32::from(*status % 256) == code;
    // Google gives none above that, and the program ends by itself with small ones.
    (400..512_u16).find(fits)
}

/// Without what the program puts around Google's words.
fn plain_words(message: &str) -> &str {
    let inner = message.strip_prefix("[API Error: ").unwrap_or(message);
    let line = inner.lines().next().unwrap_or_default();
    line.trim_end_matches(']')
}

impl Stats {
    fn counts(&self) -> Counts {
        let both = self.input_tokens.saturating_add(self.output_tokens);
        let thoughts = self.total_tokens.saturating_sub(both);
        let none = self.total_tokens == 0;
        Counts {
            input: self.input_tokens,
            output: self.output_tokens,
            thoughts: (!none).then_some(thoughts),
            cached: (!none).then_some(self.cached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_a_status_in_a_byte() {
        for (code, expected) in [
            (144, 400),
            (145, 401),
            (147, 403),
            (173, 429),
            (244, 500),
            (247, 503),
        ] {
            assert_eq!(status(code), Some(expected));
        }
        for code in [0, 1, 41, 53, 130] {
            assert_eq!(status(code), None);
        }
    }
}
