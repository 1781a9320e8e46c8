//! Recorded traffic of real vendors, replayed through the gateway: what the vendor gets and what the client gets are
//! the recording, byte by byte, and the ledger holds what the recording says was used.

pub(crate) mod case;
mod chat;
mod gemini;
mod messages;
mod responses;

use std::sync::{Arc, Mutex};

use serde_json::Value;
use store::{AttemptRow, AttemptUsage};
use testkit::client::{self, Answer};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use self::case::{Case, Form, cases, text};
use crate::world::World;

/// What a dialect has of its own. What passes in it passes as it is, but for the edits that are named here.
pub(crate) trait Manner {
    /// Where its recordings are.
    fn folder(&self) -> &'static str;

    /// The provider that speaks it, as which the vendor is known.
    fn provider(&self) -> &'static str;

    /// Where its endpoints begin.
    fn root(&self) -> &'static str {
        "/v1"
    }

    /// Where it is asked, by clients and by the gateway.
    fn path(&self, model: &str, form: Form) -> String;

    /// A request without its end, for recordings that have none.
    fn own_members(&self) -> &'static str;

    /// That request.
    fn own_request(&self, form: Form) -> Vec<u8> {
        let end = if form == Form::Whole {
            "}"
        } else {
            r#","stream" : true}"#
        };
        format!("{}{end}", self.own_members()).into_bytes()
    }

    /// Whether a request asks for an answer of this form, and can be sent here at all.
    fn asks_for(&self, request: &Value, form: Form) -> bool {
        request["model"].is_string() && request["stream"].as_bool().unwrap_or(false) == (form != Form::Whole)
    }

    /// The request as the vendor gets it.
    fn sent(&self, request: &[u8]) -> Vec<u8> {
        request.to_vec()
    }

    /// Whether a client that asked this gets an event with this data.
    fn keeps(&self, _request: &Value, _data: &Value) -> bool {
        true
    }

    /// Whether a stream in which this is said has come to its end.
    fn is_last(&self, data: &Value) -> bool;

    /// Whether this answer is about the gateway's credential: then it is no client's business.
    fn is_refusal(&self, status: u16, _answer: &Value) -> bool {
        matches!(status, 401 | 403)
    }

    /// Whether the model says something by this event.
    fn says(&self, data: &Value) -> bool;

    /// Whether a call is named by this event, which the model has written too, though no more than that.
    fn names_a_call(&self, _data: &Value) -> bool {
        false
    }

    /// What an answer says was used: one value, or all of a stream.
    fn usage(&self, data: &[Value]) -> Option<AttemptUsage>;
}

/// The manner of the dialect whose recordings are in this folder.
pub(crate) fn manner_of(folder: &str) -> &'static dyn Manner {
    let manners: [&dyn Manner; 4] = [
        &chat::Chat,
        &responses::Responses,
        &messages::Messages,
        &gemini::Gemini,
    ];
    manners
        .into_iter()
        .find(|manner| manner.folder() == folder)
        .unwrap_or_else(|| panic!("{folder} is of no dialect"))
}

/// A gateway between clients and a vendor of one dialect.
struct Stage<'a> {
    manner: &'a dyn Manner,
    world: World,
    vendor: Vendor,
    next: Arc<Mutex<Play>>,
}

/// Replays what there is of a dialect, on each database.
fn replay(manner: &dyn Manner, at_least: usize) {
    let Some(cases) = cases(manner) else {
        println!("skipped: there is no folder with recordings");
        return;
    };
    assert!(cases.len() >= at_least, "{} recordings", cases.len());
    for database in TestDatabase::each() {
        let stage = Stage::set(manner, database);
        // The same streams, each cut off somewhere.
        let cut: Vec<Case> = cases
            .iter()
            .enumerate()
            .filter_map(|(number, case)| case.cut(number, manner))
            .collect();
        let calls: Vec<(&Case, String)> = cases
            .iter()
            .chain(&cut)
            .flat_map(|case| stage.play(case).into_iter().map(move |call_id| (case, call_id)))
            .collect();
        let ledger = stage
            .world
            .ledger_until(|rows| calls.iter().all(|(_, call_id)| rows.contains_key(call_id)));
        for (case, call_id) in &calls {
            let row = &ledger[call_id];
            let mut expected = case.usage(manner);
            let source = case.usage_source(manner);
            assert_eq!(
                row.usage_source, source,
                "{} that ended {}",
                case.name, row.outcome
            );
            if expected.is_none() {
                check_guess(case, row, manner);
                continue;
            }
            // Of a stream that broke off, what came after the vendor's last word on it is counted too: by its events, or by its
            // length where that is more.
            if let (Some(usage), Some(booked)) = (&mut expected, &row.usage)
                && source == "estimated"
            {
                let least = usage.output_tokens.max(case.said_events(manner));
                let most = least.max(case.answer.len() as i64);
                assert!((least..=most).contains(&booked.output_tokens), "{}", case.name);
                usage.output_tokens = booked.output_tokens;
            }
            assert_eq!(row.usage, expected, "{} that ended {}", case.name, row.outcome);
        }
        println!(
            "{}: {} recordings, {} streams that were cut, on {}",
            manner.folder(),
            cases.len(),
            cut.len(),
            if stage.world.database.is_sqlite() {
                "SQLite"
            } else {
                "Postgres"
            }
        );
    }
}

impl<'a> Stage<'a> {
    fn set(manner: &'a dyn Manner, database: TestDatabase) -> Self {
        let next = Arc::new(Mutex::new(Play::json(500, "{}")));
        let playing = next.clone();
        let vendor = Vendor::start(move |_| playing.lock().unwrap().clone());
        let provider = manner.provider();
        let base_url = vendor.base_url().replace("/v1", manner.root());
        let world = World::of(database, &[(provider, &base_url)], |installation| installation);
        world.installation.ask(&["route", "set", "*", "--to", provider]);
        let stage = Self {
            manner,
            world,
            vendor,
            next,
        };
        // The change takes effect within a second, without a restart.
        stage.will_play(Play::json(200, "{}"));
        let path = manner.path("recorded-1", Form::Whole);
        while stage.ask(&path, &manner.own_request(Form::Whole)).status != 200 {}
        stage
    }

    fn will_play(&self, play: Play) {
        *self.next.lock().unwrap() = play;
    }

    fn ask(&self, path: &str, request: &[u8]) -> Answer {
        client::post(&self.world.serving.endpoint(path), &self.world.key, request)
    }

    /// Replays one exchange; a stream for a second time, byte by byte. The ids of the calls that this took.
    fn play(&self, case: &Case) -> Vec<String> {
        self.will_play(case.play(case.answer.len()));
        let (call_id, answer) = self.exchange(case);
        if case.form == Form::Whole {
            return vec![call_id];
        }
        self.will_play(case.play(1));
        let (again_id, again) = self.exchange(case);
        assert_eq!(text(&again), text(&answer), "{}", case.name);
        vec![call_id, again_id]
    }

    /// Sends the request through the gateway, and holds both sides against the recording.
    fn exchange(&self, case: &Case) -> (String, Vec<u8>) {
        let name = &case.name;
        let path = self.manner.path(&case.model, case.form);
        let answer = self.ask(&path, &case.request);
        let seen = self.vendor.last();
        let sent = self.manner.sent(&case.request);
        assert_eq!(text(&seen.body), text(&sent), "{name}: what the vendor gets");
        assert_eq!(seen.path, path, "{name}");
        if case.is_refusal(self.manner) {
            assert_eq!(answer.status, 502, "{name}");
            assert!(says(&answer.body, "provider_credential_refused"), "{name}");
        } else {
            assert_eq!(answer.status, case.status, "{name}");
            self.check_headers(case, &answer);
            let expected = case.expected_answer(self.manner);
            let (told, rest) = answer.body.split_at(expected.len().min(answer.body.len()));
            assert_eq!(text(told), text(&expected), "{name}: what the client gets");
            let is_cut = !case.is_complete(self.manner);
            assert_eq!(!rest.is_empty(), is_cut, "{name}: {}", text(rest));
            assert!(
                !is_cut || says(rest, "provider_answer_cut"),
                "{name}: {}",
                text(rest)
            );
        }
        (answer.header("x-request-id").to_owned(), answer.body)
    }

    /// Of the recorded headers those reach the client that are for it, as they are.
    fn check_headers(&self, case: &Case, answer: &Answer) {
        for (header, value) in &case.headers {
            let told = answer.header(header);
            if PASSED.contains(&header.as_str()) {
                assert_eq!(told, value, "{}: {header}", case.name);
            } else {
                assert_ne!(told, value, "{}: {header} is the vendor's own", case.name);
            }
        }
    }
}

/// What a client sees of a vendor's headers. All others tell of the gateway's own account there: its limits, its calls.
const PASSED: [&str; 6] = [
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
    "openai-version",
];

/// What nobody told is guessed by the length of what was sent and said, or is nothing.
fn check_guess(case: &Case, row: &AttemptRow, manner: &dyn Manner) {
    let name = &case.name;
    let Some(usage) = row.usage else {
        assert_ne!(row.usage_source, "estimated", "{name}");
        return;
    };
    assert_eq!(row.usage_source, "estimated", "{name}");
    let guess = AttemptUsage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        ..AttemptUsage::default()
    };
    assert_eq!(usage, guess, "{name}");
    // What is sent is the request, in which tools and forms of the answer are explained to the model once more.
    let sent = i64::try_from(case.request.len().div_ceil(4)).unwrap();
    assert!(
        (sent..=2 * sent).contains(&usage.input_tokens),
        "{name}: {usage:?}"
    );
    // Each event by which the model said something has a token at least, and none has more tokens than bytes.
    let said = case.said_events(manner)..=i64::try_from(case.answer.len()).unwrap();
    assert!(said.contains(&usage.output_tokens), "{name}: {usage:?}");
}

/// Whether an error of the gateway has this code; in Google's dialect they are written in capitals.
fn says(answer: &[u8], code: &str) -> bool {
    text(answer).to_ascii_lowercase().contains(code)
}
