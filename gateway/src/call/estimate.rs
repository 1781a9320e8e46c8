//! How many tokens a request has, where no provider can be asked: a guess, and marked as one.

use bytes::Bytes;
use dialect::codec::InPath;
use dialect::neutral::Texts;
use dialect::refusal::Refusal;
use dialect::{Counter, IMAGE_TOKENS, tokens_of};

/// Around a turn, a tool or a call.
const FRAME_TOKENS: u64 = 4;

/// The answer to a request to count.
///
/// # Errors
/// When it is none of its dialect.
pub(super) fn estimate(counter: Counter, body: &[u8], in_path: InPath<'_>) -> Result<Bytes, Refusal> {
    let request = counter.read_request(body, in_path)?;
    let tokens = tokens(&Texts::of(&request));
    Ok(Bytes::from(counter.write(tokens)))
}

fn tokens(texts: &Texts<'_>) -> u64 {
    let of_text = |text: &&str| tokens_of(text.len() as u64);
    let said: u64 = texts.texts.iter().map(of_text).sum();
    said.saturating_add(texts.frames.saturating_mul(FRAME_TOKENS))
        // Whatever else is not text is taken for an image.
        .saturating_add(texts.media.saturating_mul(IMAGE_TOKENS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_model_reads_is_counted() {
        let count = |body: &str| {
            let answer = estimate(Counter::AnthropicMessages, body.as_bytes(), InPath::default());
            String::from_utf8(answer.unwrap().to_vec()).unwrap()
        };
        let text = "a".repeat(400);
        assert_eq!(
            count(&format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#
            )),
            r#"{"input_tokens":104}"#
        );
        let image = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#;
        let result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":"{text}"}}"#);
        let body = format!(
            r#"{{"model":"m","system":"{text}","messages":[
                {{"role":"user","content":[{image}]}},
                {{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"abcd","input":{{}}}}]}},
                {{"role":"user","content":[{result}]}}],
               "tools":[{{"name":"abcd","description":"{text}","input_schema":{{}}}}]}}"#
        );
        // Three times the text, names and braces; four turns, a tool, a call and a result; an image.
        assert_eq!(count(&body), r#"{"input_tokens":1097}"#);
    }
}
