//! What all dialects have words for is the same after the way there and back, whatever two they are: requests, whole
//! answers, and streams.

use proptest::prelude::*;
use serde_json::json;

use super::cases::{assistant, call, of, result, system, tooled, user};
use super::face::{FACES, Face, heading};
use super::gist::{differences, of_reply, of_request};
use super::table::{undone, write};
use crate::neutral::collect::{self, Collector};
use crate::neutral::{Choice, Finish, Part, Profile, Reply, Request, Role, ToolChoice, Turn};
use crate::{Dialect, Usage};

/// Text that is one: vendors refuse what is blank.
fn text() -> impl Strategy<Value = String> {
    "[a-z\u{e9}\u{1f600}\"\\\\<]{1,12}( [a-z\n]{1,4}[A-Z.])?"
}

fn arguments() -> impl Strategy<Value = String> {
    ("[a-zA-Z ]{0,9}", any::<i32>()).prop_map(|(city, days)| json!({"city": city, "days": days}).to_string())
}

/// Calls that are made together, with what each came to.
fn rounds() -> impl Strategy<Value = Vec<Vec<(String, String)>>> {
    let round = proptest::collection::vec((arguments(), text()), 1..3);
    proptest::collection::vec(round, 0..3)
}

fn choice() -> impl Strategy<Value = Option<ToolChoice>> {
    prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Tool("weather".to_owned()))),
    ]
}

prop_compose! {
    fn any_request()(
        first in proptest::option::of(text()),
        said in proptest::collection::vec((text(), text()), 0..3),
        rounds in rounds(),
        last in text(),
        choice in choice(),
        max_tokens in 16_u64..9_000,
        temperature in proptest::option::of(0_u8..=10),
        // All of it is what is usual, and left out where that is all there is to say.
        top_p in proptest::option::of(1_u8..10),
    ) -> Request {
        let mut turns: Vec<Turn> = first.iter().map(|text| system(text)).collect();
        for (asked, answered) in &said {
            turns.extend([user(asked), assistant(vec![Part::text(answered)])]);
        }
        turns.push(user("And?"));
        for (number, round) in rounds.iter().enumerate() {
            let id = |at: usize| format!("call_{number}_{at}");
            let calls = round.iter().enumerate();
            turns.push(assistant(calls.clone().map(|(at, (arguments, _))| call(&id(at), "weather", arguments)).collect()));
            let results = calls.map(|(at, (_, told))| result(&id(at), vec![Part::text(told)], false));
            turns.push(Turn::new(Role::User, results.collect()));
        }
        if rounds.is_empty() {
            turns.push(assistant(vec![Part::text("Well")]));
            turns.push(user(&last));
        }
        let mut request = Request {
            max_tokens: Some(max_tokens),
            tools: tooled(Vec::new(), None).tools,
            tool_choice: choice,
            ..of(turns)
        };
        // Not all take both.
        request.sampling.temperature = temperature.map(|tenths| f64::from(tenths) / 10.0);
        request.sampling.top_p = top_p.filter(|_| temperature.is_none()).map(|tenths| f64::from(tenths) / 10.0);
        request
    }
}

prop_compose! {
    fn any_reply()(
        said in proptest::option::of(text()),
        calls in proptest::collection::vec(arguments(), 0..3),
        is_cut in any::<bool>(),
        (input, cached, output) in (1_u64..5_000, 0_u64..500, 1_u64..5_000),
    ) -> Reply {
        let mut parts: Vec<Part> = said.iter().map(Part::text).collect();
        parts.extend(calls.iter().enumerate().map(|(at, arguments)| call(&format!("call_{at}"), "weather", arguments)));
        let finish = if is_cut { Finish::MaxTokens } else { Finish::End.by_content(!calls.is_empty()) };
        let usage = Usage {
            input_tokens: input + cached,
            cached_input_tokens: cached,
            output_tokens: output,
            ..Usage::default()
        };
        Reply {
            id: "id".to_owned(),
            model: "model".to_owned(),
            created_s: None,
            parts,
            finish,
            others: Vec::new(),
            usage: Some(usage),
            service_tier: None,
            logprobs: None,
            raw: Vec::new(),
        }
    }
}

/// Every way between two that differ.
fn ways() -> impl Iterator<Item = (&'static Face, &'static Face)> {
    let to = |one: &'static Face| FACES.iter().map(move |other| (one, other));
    FACES
        .iter()
        .flat_map(to)
        .filter(|(one, other)| one.dialect != other.dialect)
}

/// A request through a dialect; nothing of it may be lost.
fn through(face: &Face, request: &Request) -> Request {
    let (body, undo, losses) = write(face, request).unwrap();
    assert_eq!(losses.header(), None, "{}", String::from_utf8_lossy(&body));
    undone((face.read_request)(&body).unwrap(), &undo)
}

fn answered_through(face: &Face, reply: &Reply) -> Reply {
    let body = (face.write_reply)(reply, &heading().as_heading());
    (face.read_reply)(&body, &Profile::default()).unwrap()
}

fn streamed_through(face: &Face, reply: Reply) -> Reply {
    let mut events = Vec::new();
    collect::events(reply, &mut events);
    let stream = (face.write_stream)(&events);
    (face.check_stream)(&stream).unwrap();
    let mut collector = Collector::default();
    for event in (face.read_stream)(&stream) {
        collector.event(event);
    }
    collector.reply().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_request_is_the_same_after_the_way_there_and_back(request in any_request()) {
        for (one, other) in ways() {
            let asked = through(one, &request);
            let returned = through(one, &through(other, &asked));
            let (asked, returned) = (of_request(&asked), of_request(&returned));
            prop_assert_eq!(differences(&asked, &returned), Vec::<&str>::new(), "{} > {}: {:?} {:?}", one.folder, other.folder, asked, returned);
        }
    }

    #[test]
    fn an_answer_is_the_same_after_the_way_there_and_back(reply in any_reply()) {
        for (one, other) in ways() {
            let told = answered_through(one, &reply);
            let returned = answered_through(one, &answered_through(other, &told));
            let (told, returned) = (of_reply(&told), of_reply(&returned));
            prop_assert_eq!(differences(&told, &returned), Vec::<&str>::new(), "{} > {}: {:?} {:?}", one.folder, other.folder, told, returned);
        }
    }

    #[test]
    fn a_stream_is_the_same_after_the_way_there_and_back(reply in any_reply()) {
        for (one, other) in ways() {
            let told = streamed_through(one, reply.clone());
            let returned = streamed_through(one, streamed_through(other, told.clone()));
            let (told, returned) = (of_reply(&told), of_reply(&returned));
            prop_assert_eq!(differences(&told, &returned), Vec::<&str>::new(), "{} > {}: {:?} {:?}", one.folder, other.folder, told, returned);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_of_several_answers_is_the_same_after_the_way_there_and_back(
        mut reply in any_reply(),
        others in proptest::collection::vec(any_reply(), 1..4),
    ) {
        let choice = |other: Reply| Choice { parts: other.parts, finish: other.finish, logprobs: None, raw: Vec::new() };
        reply.others = others.into_iter().map(choice).collect();
        let several = |face: &&Face| matches!(face.dialect, Dialect::OpenaiChat | Dialect::GeminiGenerate);
        for (one, other) in ways().filter(|(one, other)| several(one) && several(other)) {
            let told = answered_through(one, &reply);
            let returned = answered_through(one, &answered_through(other, &told));
            prop_assert_eq!(each(told), each(returned), "{} > {}", one.folder, other.folder);
            let told = streamed_through(one, reply.clone());
            let returned = streamed_through(one, streamed_through(other, told.clone()));
            prop_assert_eq!(told.others.len(), reply.others.len());
            prop_assert_eq!(each(told), each(returned), "{} > {}, streamed", one.folder, other.folder);
        }
    }
}

/// What each of the answers says.
fn each(mut reply: Reply) -> Vec<String> {
    let mut said = Vec::new();
    reply.each_choice(|choice| said.push(format!("{:?}", of_reply(choice))));
    said
}
