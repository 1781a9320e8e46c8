//! The official SDKs, unmodified, each against the models of every kind of provider.
//!
//! What a client does and expects stands in its script (`tests/clients`), which is the same for all providers; what the
//! providers were sent is judged by testkit's vendors. Both print what was seen to work, provider by step. What was recorded
//! of real vendors is replayed after that, where it is at hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use store::{AttemptRow, AttemptUsage};
use testkit::database::TestDatabase;
use testkit::process::Installation;
use testkit::vendors::Vendors;

use crate::replays::{Plan, Shelf, providers};
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
    let world = world(TestDatabase::sqlite(), &vendors, |installation| installation);
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
pub(crate) struct Run<'a> {
    file: &'a str,
    installed: String,
}

impl<'a> Run<'a> {
    /// None where that is not there.
    pub(crate) fn of(file: &'a str) -> Option<Self> {
        let needed = if file.ends_with(".py") { PYTHON } else { PACKAGES };
        setting(needed).map(|installed| Self { file, installed })
    }

    fn on(&self, database: TestDatabase) {
        let shelf = Shelf::open();
        let plan = shelf.map(|shelf| Plan::of(&shelf, self.file));
        let recordings = plan.as_ref().map(|plan| plan.recordings.clone());
        let vendors = Vendors::replaying(recordings.unwrap_or_default());
        let world = world(database, &vendors, |installation| installation);
        let output = self.command(&world, plan.as_ref()).output().unwrap();
        println!("{}\n{}", self.file, String::from_utf8_lossy(&output.stdout));
        assert_eq!(
            vendors.wrong(),
            Vec::<String>::new(),
            "what the vendors were sent"
        );
        check(&output, &world);
        assert!(
            vendors
                .vendor()
                .wait_until_gone(MODELS.len() + plan.as_ref().map_or(0, |plan| plan.left)),
            "who leaves stops the vendor"
        );
        booked(&world, plan.as_ref());
    }

    pub(crate) fn command(&self, world: &World, plan: Option<&Plan>) -> Command {
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
        if let Some(plan) = plan {
            let file = world.installation.folder().join("recorded.json");
            fs::write(&file, serde_json::to_vec(&plan.steps).unwrap()).unwrap();
            command.env("RECORDED", file);
        }
        command
    }
}

/// A gateway with a credential for each provider.
pub(crate) fn world(
    database: TestDatabase,
    vendors: &Vendors,
    settings: impl FnOnce(Installation) -> Installation,
) -> World {
    let scripted = MODELS.map(|(model, root)| {
        let (provider, _) = model.split_once('/').unwrap();
        (provider, root)
    });
    let mut urls: Vec<(&str, String)> = Vec::new();
    for (provider, root) in scripted.into_iter().chain(providers()) {
        if urls.iter().all(|(known, _)| *known != provider) {
            urls.push((provider, vendors.base_url(root)));
        }
    }
    let urls: Vec<(&str, &str)> = urls
        .iter()
        .map(|(provider, url)| (*provider, url.as_str()))
        .collect();
    World::of(database, &urls, settings)
}

/// Every scripted answer used the same, whoever gave it and to whom; of the others, each is booked as its recording says.
fn booked(world: &World, plan: Option<&Plan>) {
    let left = MODELS.len() + plan.map_or(0, |plan| plan.left);
    let mut told = plan.map(|plan| plan.used.clone()).unwrap_or_default();
    let is_scripted = |row: &AttemptRow| MODELS.iter().any(|(model, _)| *model == row.model_name);
    let is_told =
        |row: &AttemptRow| !is_scripted(row) && row.outcome == "ok" && row.usage_source == "provider";
    let rows = world.ledger_until(|rows| {
        let gone = rows.values().filter(|row| row.outcome == "client_gone").count();
        gone == left && rows.values().filter(|row| is_told(row)).count() == told.len()
    });
    let mut seen = 0;
    for row in rows
        .values()
        .filter(|row| row.outcome == "ok" && is_scripted(row))
    {
        let usage = row
            .usage
            .as_ref()
            .unwrap_or_else(|| panic!("{row:?} has no usage"));
        let found = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens);
        assert_eq!(found, (50, 20, 30), "{row:?}");
        seen += 1;
    }
    assert!(seen > 12 * MODELS.len(), "{seen} answers");
    for row in rows.values().filter(|row| is_told(row)) {
        let of_it =
            |(model, usage): &(String, AttemptUsage)| *model == row.model_name && Some(*usage) == row.usage;
        let at = told.iter().position(of_it);
        told.swap_remove(at.unwrap_or_else(|| panic!("{row:?} is of no recording")));
    }
    assert_eq!(told, Vec::new(), "what was used and not booked");
}
