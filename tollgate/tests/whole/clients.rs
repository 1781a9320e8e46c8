//! The official SDKs, unmodified, each against the models of every kind of provider.
//!
//! What a client does and expects stands in its script (`tests/clients`), which is the same for all providers; what the
//! providers were sent is judged by testkit's vendors. Both print what was seen to work, provider by step.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::database::TestDatabase;
use testkit::vendors::Vendors;

use crate::sdk::{PACKAGES, PYTHON, check, client as script, setting};
use crate::world::World;

/// A model of each kind of provider, and where the paths of that begin: OpenAI's dialect with thoughts that are not shown
/// and with some that are, and the other dialects.
const MODELS: [(&str, &str); 5] = [
    ("openai/m-1", "/v1"),
    ("cerebras/gpt-oss", "/v1"),
    ("custom-responses/m-1", "/v1"),
    ("anthropic/m-1", "/v1"),
    ("gemini/m-1", "/v1beta"),
];

#[test]
fn openais_python_sdk_chats_with_every_provider() {
    on_each_database("chat.py");
}

#[test]
fn openais_node_sdk_chats_with_every_provider() {
    on_sqlite("chat.mjs");
}

#[test]
fn openais_python_sdk_has_responses_of_every_provider() {
    on_sqlite("responses.py");
}

#[test]
fn openais_node_sdk_has_responses_of_every_provider() {
    on_sqlite("responses.mjs");
}

#[test]
fn anthropics_python_sdk_has_messages_of_every_provider() {
    on_sqlite("messages.py");
}

#[test]
fn anthropics_node_sdk_has_messages_of_every_provider() {
    on_sqlite("messages.mjs");
}

#[test]
fn googles_python_sdk_has_content_of_every_provider() {
    on_sqlite("gemini.py");
}

#[test]
fn googles_node_sdk_has_content_of_every_provider() {
    on_sqlite("gemini.mjs");
}

/// Each snippet as it stands, but for the address and the key.
#[test]
fn what_the_page_for_users_shows_works() {
    let (Some(python), Some(packages)) = (setting(PYTHON), setting(PACKAGES)) else {
        return;
    };
    let vendors = Vendors::start();
    let world = world(TestDatabase::sqlite(), &vendors);
    let folder = world.installation.folder();
    symlink(
        Path::new(&packages).join("node_modules"),
        folder.join("node_modules"),
    )
    .unwrap();
    let page = include_str!("../../../docs/clients.md")
        .replace("http://127.0.0.1:8080", world.serving.url())
        .replace("sk-tg-…", &world.key);
    let mut shown = 0;
    for (language, file, program) in [
        ("python", "snippet.py", python.as_str()),
        ("js", "snippet.mjs", "node"),
    ] {
        let begin = format!("```{language}\n");
        for snippet in page.split(&begin).skip(1) {
            let (snippet, _) = snippet.split_once("```").unwrap();
            fs::write(folder.join(file), snippet).unwrap();
            let output = Command::new(program).arg(folder.join(file)).output().unwrap();
            check(&output, &world);
            assert!(output.stdout.len() > 5, "{snippet}");
            shown += 1;
        }
    }
    assert_eq!(
        vendors.wrong(),
        Vec::<String>::new(),
        "what the vendors were sent"
    );
    assert_eq!(shown, 6);
}

fn on_each_database(file: &str) {
    if let Some(run) = Run::of(file) {
        TestDatabase::each()
            .into_iter()
            .for_each(|database| run.on(database));
    }
}

fn on_sqlite(file: &str) {
    if let Some(run) = Run::of(file) {
        run.on(TestDatabase::sqlite());
    }
}

/// A script, and what it needs installed.
struct Run<'a> {
    file: &'a str,
    installed: String,
}

impl<'a> Run<'a> {
    /// None where that is not there.
    fn of(file: &'a str) -> Option<Self> {
        let needed = if file.ends_with(".py") { PYTHON } else { PACKAGES };
        setting(needed).map(|installed| Self { file, installed })
    }

    fn on(&self, database: TestDatabase) {
        let vendors = Vendors::start();
        let world = world(database, &vendors);
        let output = self.command(&world).output().unwrap();
        println!("{}\n{}", self.file, String::from_utf8_lossy(&output.stdout));
        assert_eq!(
            vendors.wrong(),
            Vec::<String>::new(),
            "what the vendors were sent"
        );
        check(&output, &world);
        assert!(
            vendors.vendor().wait_until_gone(MODELS.len()),
            "who leaves stops the vendor"
        );
        booked(&world);
    }

    fn command(&self, world: &World) -> Command {
        let mut command = if self.file.ends_with(".py") {
            Command::new(&self.installed)
        } else {
            Command::new("node")
        };
        let models = MODELS.map(|(model, _)| model).join(",");
        command
            .arg(script(self.file))
            // Python would leave what it compiles beside the scripts.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PACKAGES", &self.installed)
            .env("BASE_URL", world.serving.url())
            .env("KEY", &world.key)
            .env("MODELS", models);
        command
    }
}

/// A gateway with a credential for each provider.
fn world(database: TestDatabase, vendors: &Vendors) -> World {
    let urls = MODELS.map(|(model, root)| {
        let (provider, _) = model.split_once('/').unwrap();
        (provider, vendors.base_url(root))
    });
    let urls = urls.each_ref().map(|(provider, url)| (*provider, url.as_str()));
    World::of(database, &urls, |installation| installation)
}

/// Every answer used the same, whoever gave it and to whom.
fn booked(world: &World) {
    let answered = world.ledger_until(|rows| {
        rows.values().filter(|row| row.outcome == "client_gone").count() == MODELS.len()
    });
    let mut seen = 0;
    for row in answered.values().filter(|row| row.outcome == "ok") {
        let usage = row
            .usage
            .as_ref()
            .unwrap_or_else(|| panic!("{row:?} has no usage"));
        let found = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens);
        assert_eq!(found, (50, 20, 30), "{row:?}");
        seen += 1;
    }
    assert!(seen > 12 * MODELS.len(), "{seen} answers");
}
