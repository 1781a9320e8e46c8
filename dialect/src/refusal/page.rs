//! `docs/errors.md`: every code, and how a refusal is written in each dialect. The part of the page between two marks is made
//! from the list, and from what the writers write.

use std::path::Path;

use serde_json::Value;

use super::{Code, Refusal};
use crate::Dialect;

const BEGIN: &str =
    "<!-- From here on generated: `TOLLGATE_TEST_BLESS=1 cargo test -p dialect` writes it anew. -->\n";
const END: &str = "<!-- Up to here. -->\n";

const DIALECTS: [(Dialect, &str); 4] = [
    (
        Dialect::OpenaiChat,
        "Chat Completions, embeddings, and whatever has no dialect of its own",
    ),
    (Dialect::OpenaiResponses, "Responses"),
    (Dialect::AnthropicMessages, "Messages"),
    (Dialect::GeminiGenerate, "Gemini"),
];

fn codes() -> String {
    let mut table = String::from("\n| code | status | party | when |\n|---|---|---|---|\n");
    for (code, meaning) in Code::ALL {
        table.push_str(&format!(
            "| `{}` | {} | {} | {meaning} |\n",
            code.as_str(),
            code.status(),
            code.party().as_str()
        ));
    }
    table
}

fn shapes() -> String {
    let refusal = Refusal::new(
        Code::InvalidValue,
        "The member `top_p` has a wrong type or value.",
    )
    .param("top_p");
    let mut text = String::new();
    for (dialect, name) in DIALECTS {
        let body: Value = serde_json::from_slice(&dialect.write_refusal(&refusal)).unwrap();
        let body = serde_json::to_string_pretty(&body).unwrap();
        let event = String::from_utf8(dialect.write_refusal_event(&refusal, 7)).unwrap();
        text.push_str(&format!(
            "\n### {name}\n\n```json\n{body}\n```\n\nIn a stream that has begun:\n\n```text\n{}\n```\n",
            event.trim_end()
        ));
    }
    text
}

#[test]
fn no_two_codes_have_one_name_and_each_says_when_it_is_told() {
    for (at, (code, meaning)) in Code::ALL.iter().enumerate() {
        assert!(meaning.ends_with('.') && !meaning.contains('|'), "{code:?}");
        assert!((400..=599).contains(&code.status()), "{code:?}");
        for (other, _) in Code::ALL.iter().skip(at + 1) {
            assert_ne!(code.as_str(), other.as_str());
        }
    }
}

/// The lists are generated: `TOLLGATE_TEST_BLESS=1 cargo test -p dialect` writes them anew.
#[test]
fn the_page_on_errors_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (lists, after) = rest.split_once(END).unwrap();
    let true_lists = format!("\n## Codes\n{}\n## Bodies\n{}\n", codes(), shapes());
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(&path, [before, BEGIN, &true_lists, END, after].concat()).unwrap();
        return;
    }
    assert!(
        lists == true_lists,
        "docs/errors.md is not what is told; TOLLGATE_TEST_BLESS=1 writes it anew:\n{true_lists}"
    );
}
