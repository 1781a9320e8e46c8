//! `docs/translation.md`: what becomes of each feature between two dialects, and of members that do not cross. The part
//! of the page between two marks is made from what happens, and from the tables that the writers go by.

use std::path::Path;

use super::table::{Became, Crossing, crossings};
use crate::Dialect;
use crate::neutral::{Fate, foreign_members, is_openais};

/// What a user calls them, and the cases that show them.
#[rustfmt::skip]
const FEATURES: &[(&str, &[&str])] = &[
    ("text, turns", &["text", "multi_turn", "consecutive_users", "consecutive_assistants", "empty_texts"]),
    ("instructions at the beginning", &["system", "two_systems"]),
    ("instructions later on", &["system_in_the_middle"]),
    ("the beginning of the answer, to be continued", &["prefill"]),
    ("names of speakers", &["name"]),
    ("images", &["image", "image_before_text"]),
    ("images by URL", &["image_url"]),
    ("how closely to look at an image", &["image_detail"]),
    ("documents", &["document_without_name"]),
    ("documents with a name", &["document"]),
    ("documents by URL", &["document_url"]),
    ("files stored with the vendor", &["stored_file"]),
    ("audio", &["audio"]),
    ("video", &["video"]),
    ("tools", &["tools", "tools_auto"]),
    ("tools: one has to be called, or none, or this one", &["tools_required", "tools_none", "tools_one"]),
    ("tools: one of several has to be called", &["tools_among"]),
    ("tools: one call at a time", &["tools_not_parallel"]),
    ("tools held to their schema", &["strict_tool"]),
    ("tools that take free text", &["free_text_tool"]),
    ("tools with names that the provider forbids", &["a_name_that_breaks_rules"]),
    ("tools that the vendor runs itself", &["tool_of_the_vendor"]),
    ("calls and their results", &["call_and_result", "result_object", "result_empty"]),
    ("several calls at once", &["parallel_calls", "results_out_of_order_and_text"]),
    ("results marked as errors", &["result_error"]),
    ("results with images", &["result_image"]),
    ("JSON without a schema", &["json_object"]),
    ("JSON by a schema", &["json_schema"]),
    ("JSON by a schema, beside tools", &["json_schema_and_tools"]),
    ("thinking: how much, in a word", &["low_effort", "high_effort"]),
    ("thinking: none", &["no_effort"]),
    ("thinking: how much, in tokens", &["budget", "tokens_of_thought"]),
    ("Anthropic's thoughts, sent back", &["thought_of_anthropic", "redacted_thought_of_anthropic"]),
    ("OpenAI's thoughts, sent back", &["thought_of_openai"]),
    ("Gemini's signed calls, sent back", &["signed_call_of_gemini"]),
    ("no cap on the answer", &["no_cap"]),
    ("stop sequences", &["stop"]),
    ("temperature up to 1", &["temperature"]),
    ("temperature above 1", &["hot"]),
    ("top p", &["top_p"]),
    ("top k", &["top_k"]),
    ("seed", &["seed"]),
    ("penalties", &["penalties"]),
    ("several answers", &["two_answers"]),
    ("log-probabilities", &["logprobs"]),
    ("marks for the prompt cache", &["cache_mark"]),
    ("tiers of service", &["flex"]),
    ("the caller's own user", &["user"]),
];

const DIALECTS: [Dialect; 4] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
    Dialect::GeminiGenerate,
];

const BEGIN: &str =
    "<!-- From here on generated: `TOLLGATE_TEST_BLESS=1 cargo test -p dialect` writes it anew. -->\n";
const END: &str = "<!-- Up to here. -->\n";

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "Chat Completions",
        Dialect::OpenaiResponses => "Responses",
        Dialect::AnthropicMessages => "Messages",
        Dialect::GeminiGenerate => "Gemini",
    }
}

/// What became of one case, in a word. The members that are named are those of the client's request.
fn word(became: &Became) -> String {
    let (lost, other_words, is_emulated) = match became {
        Became::Refused(what) => return format!("refused: `{what}`"),
        Became::Arrived {
            lost,
            other_words,
            is_emulated,
        } => (lost, other_words, *is_emulated),
    };
    let mut words = Vec::new();
    if is_emulated {
        words.push("emulated".to_owned());
    }
    if !lost.is_empty() {
        words.push(format!("dropped: `{}`", lost.join("`, `")));
    } else if other_words.contains(&"seals") {
        words.push("unsealed".to_owned());
    }
    if other_words.iter().any(|subject| *subject != "seals") {
        words.push("in other words".to_owned());
    }
    if words.is_empty() {
        return "✓".to_owned();
    }
    words.join("; ")
}

/// The word for a feature; `None` where the client's dialect does not have it.
fn cell(crossings: &[Crossing], cases: &[&str], from: Dialect, to: Dialect) -> Option<String> {
    let is_here = |crossing: &&Crossing| {
        crossing.is_native && cases.contains(&crossing.case) && (crossing.from, crossing.to) == (from, to)
    };
    let mut words: Vec<String> = Vec::new();
    for crossing in crossings.iter().filter(is_here) {
        let word = word(&crossing.became);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    (!words.is_empty()).then(|| words.join(", or "))
}

fn features(crossings: &[Crossing]) -> String {
    let mut page = String::new();
    for from in DIALECTS {
        let targets: Vec<_> = DIALECTS.into_iter().filter(|to| *to != from).collect();
        let names: Vec<_> = targets.iter().map(|to| name(*to)).collect();
        page.push_str(&format!(
            "\n### Clients of {}\n\n| | {} |\n|---|---|---|---|\n",
            name(from),
            names.join(" | ")
        ));
        for (feature, cases) in FEATURES {
            let cell = |to: &Dialect| cell(crossings, cases, from, *to);
            let cells: Option<Vec<_>> = targets.iter().map(cell).collect();
            if let Some(cells) = cells {
                page.push_str(&format!("| {feature} | {} |\n", cells.join(" | ")));
            }
        }
    }
    page
}

fn members() -> String {
    let mut page = String::new();
    for origin in DIALECTS {
        page.push_str(&format!(
            "\n### Members of {}\n\n| member | what becomes of it | means nothing as |\n|---|---|---|\n",
            name(origin)
        ));
        for (member, fate, harmless) in foreign_members(origin) {
            let fate = match fate {
                Fate::Drop => "dropped",
                Fate::Mention => "told as dropped, for a strict tenant too",
                Fate::Refuse => "refused",
                Fate::Pass => "left out in silence",
            };
            let is_shared =
                matches!(origin, Dialect::OpenaiChat | Dialect::OpenaiResponses) && is_openais(member);
            let among = if is_shared {
                ", except between Chat Completions and Responses"
            } else {
                ""
            };
            let harmless: Vec<_> = harmless.iter().map(|value| format!("`{value}`")).collect();
            page.push_str(&format!(
                "| `{member}` | {fate}{among} | {} |\n",
                harmless.join(", ")
            ));
        }
    }
    page
}

#[test]
fn every_case_is_of_one_feature_and_every_feature_has_a_row() {
    let crossings = crossings();
    let mut told: Vec<_> = FEATURES
        .iter()
        .flat_map(|(_, cases)| cases.iter().copied())
        .collect();
    let mut known: Vec<_> = crossings.iter().map(|crossing| crossing.case).collect();
    known.sort_unstable();
    known.dedup();
    told.sort_unstable();
    assert_eq!(told, known);
    let page = features(&crossings);
    for (feature, _) in FEATURES {
        assert!(page.contains(&format!("\n| {feature} | ")), "{feature}");
    }
}

/// The tables are generated: `TOLLGATE_TEST_BLESS=1 cargo test -p dialect` writes them anew.
#[test]
fn the_page_on_translation_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/translation.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (tables, after) = rest.split_once(END).unwrap();
    let true_tables = format!(
        "\n## Features\n{}\n## Members that one dialect alone has\n{}\n",
        features(&crossings()),
        members()
    );
    if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
        std::fs::write(&path, [before, BEGIN, &true_tables, END, after].concat()).unwrap();
        return;
    }
    assert!(
        tables == true_tables,
        "docs/translation.md is not what happens; TOLLGATE_TEST_BLESS=1 writes it anew:\n{true_tables}"
    );
}
