//! What README and pages say, held against the program: each line with a verb is given to clap, and each name of a setting, of
//! a header, of a file and of a place on another page is looked up. Paths that clients ask for are tried by
//! `tollgate/tests/whole/documents.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::root;
use crate::arguments::Arguments;
use crate::settings;

/// What an agent is told to find its gateway key in; no setting of the gateway's.
const OF_CLIENTS: &str = "TOLLGATE_KEY";

/// README, the pages of `docs/`, and those for people who change something; by name.
fn pages() -> BTreeMap<String, String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let names = docs.chain(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(str::to_owned));
    names
        .filter(|name| name.ends_with(".md"))
        .map(|name| {
            let text = fs::read_to_string(root().join(&name)).unwrap();
            (name, text)
        })
        .collect()
}

/// A page in two parts: the lines of its blocks of code, those that go on put together, and its paragraphs, each in one line.
fn parts(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut code, mut paragraphs) = (Vec::new(), vec![String::new()]);
    let (mut is_code, mut goes_on) = (false, false);
    for line in page.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            paragraphs.push(String::new());
        } else if is_code || line.starts_with("    ") {
            let text = line.trim();
            let (text, more) = text.strip_suffix('\\').map_or((text, false), |text| (text, true));
            match code.last_mut() {
                Some(last) if goes_on => *last = format!("{last} {text}"),
                _ => code.push(text.to_owned()),
            }
            goes_on = more;
        } else if line.trim().is_empty() {
            paragraphs.push(String::new());
        } else if let Some(paragraph) = paragraphs.last_mut() {
            paragraph.push_str(line);
            paragraph.push(' ');
        }
    }
    (code, paragraphs)
}

/// What stands in backticks.
fn spans(paragraphs: &[String]) -> impl Iterator<Item = &str> {
    paragraphs
        .iter()
        .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
}

/// A line as a shell takes it apart, up to what is for the shell alone. What may be left out stands in brackets.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        let begins = words.last().is_some_and(String::is_empty);
        match (quote, letter) {
            (Some(mark), _) if mark == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | ']') => {}
            (None, '<' | '>' | '|' | ';' | '&') => break,
            (None, '#') if begins => break,
            (None, ' ') if begins => {}
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// All that follows on `prefix` in a text, as far as it is of such letters.
fn named<'t>(text: &'t str, prefix: &'t str, is_letter: fn(char) -> bool) -> impl Iterator<Item = &'t str> {
    text.match_indices(prefix).map(move |(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|letter: char| !is_letter(letter)).unwrap_or(rest.len());
        &rest[..end]
    })
}

/// The text of everything that is compiled into the program, and of its tests where these are asked for.
fn sources(with_tests: bool) -> String {
    let crates = [
        "dialect", "gateway", "policy", "provider", "server", "store", "testkit", "tollgate", "vault",
        "xtask",
    ];
    let mut text = String::new();
    for folder in crates {
        collect(&root().join(folder), with_tests, &mut text);
    }
    text
}

fn collect(folder: &Path, with_tests: bool, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "reference" && (with_tests || name != "tests") {
                collect(&path, with_tests, text);
            }
        } else if name.ends_with(".rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_line_with_a_verb_can_be_typed() {
    let mut tried = 0;
    for (page, text) in pages() {
        // That page is what clap itself says.
        if page == "docs/command-line.md" {
            continue;
        }
        let (code, paragraphs) = parts(&text);
        let lines = code.iter().map(|line| (line.as_str(), true));
        let spans = spans(&paragraphs).map(|span| (span, false));
        for (line, is_whole) in lines
            .chain(spans)
            .filter(|(line, _)| line.starts_with("tollgate "))
        {
            tried += 1;
            let Err(error) = Arguments::try_parse_from(words(line)) else {
                continue;
            };
            // In a sentence a verb may stand for itself.
            let is_short = matches!(
                error.kind(),
                ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            );
            assert!(is_short && !is_whole, "{page}: {line}\n{error}");
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn every_setting_that_is_named_is_there() {
    let sources = sources(true);
    let is_letter = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let mut tried = 0;
    for (page, text) in pages() {
        for name in named(&text, "TOLLGATE_", is_letter).chain(named(&text, "OTEL_", is_letter)) {
            tried += 1;
            assert!(is_known(name, &sources), "{page}: there is no {name}");
        }
    }
    assert!(tried > 100, "{tried}");
}

/// Settings, names that begin several of them, and variables of the tests.
fn is_known(name: &str, sources: &str) -> bool {
    let is_of_tests = name.starts_with("TOLLGATE_TEST_") || name == "TOLLGATE_SHARED";
    let means = |known: &str| known == name || (name.ends_with('_') && known.starts_with(name));
    name == OF_CLIENTS || (is_of_tests && sources.contains(name)) || settings::names().any(means)
}

#[test]
fn every_header_that_is_named_is_set_or_read() {
    let sources = sources(false);
    let mut tried = 0;
    for (page, text) in pages() {
        for name in named(&text, "x-tollgate-", |letter| {
            letter.is_ascii_lowercase() || letter == '-'
        }) {
            tried += 1;
            assert!(
                sources.contains(&format!("\"{name}\"")),
                "{page}: there is no {name}"
            );
        }
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn every_file_that_is_named_is_there() {
    for (page, text) in pages() {
        let (_, paragraphs) = parts(&text);
        for span in spans(&paragraphs) {
            let is_path = [
                "docs/",
                "policy/",
                "provider/",
                "tollgate/",
                "dialect/",
                "store/",
                "xtask/",
                "fuzz/",
            ]
            .iter()
            .any(|folder| span.starts_with(folder));
            let is_plain =
                !span.contains([' ', '*', '…', ':']) && (span.contains('.') || span.ends_with('/'));
            if is_path && is_plain {
                assert!(root().join(span).exists(), "{page}: there is no {span}");
            }
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    for (page, text) in &pages {
        let folder = Path::new(page).parent().unwrap();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, place) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                page.clone()
            } else {
                folder.join(file).display().to_string()
            };
            assert!(root().join(&file).exists(), "{page}: {target} leads nowhere");
            if !place.is_empty() {
                let headings = pages[&file]
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .map(anchor);
                assert!(
                    headings.into_iter().any(|heading| heading == place),
                    "{page}: {target} leads nowhere"
                );
            }
        }
    }
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[test]
fn a_line_is_taken_apart_as_a_shell_does_it() {
    let line = "tollgate prices set openai gpt-4o \"input 2.5; batch: input 1\" [--tenant acme] < file  # what it is for";
    let expected = [
        "tollgate",
        "prices",
        "set",
        "openai",
        "gpt-4o",
        "input 2.5; batch: input 1",
        "--tenant",
        "acme",
    ];
    assert_eq!(words(line), expected);
}
