pub(crate) mod checker;
mod crossed;
mod faces;
mod pitfalls;
mod recorded;
mod same;
mod streams;

use crate::neutral::{Losses, Profile, Reply, Request, Target, ThinkingStyle, Written};
use crate::refusal::Refusal;

use super::*;

/// A model of the third generation.
pub(super) fn third() -> Profile {
    Profile::default()
}

/// A model of the generation before it: budgets, the older kind of schema, and no schema beside tools.
pub(super) fn second() -> Profile {
    Profile {
        thinking: ThinkingStyle::Budget {
            min: 128,
            max: 24_576,
            can_be_off: true,
        },
        json_schema_with_tools: false,
        full_json_schema: false,
        image_urls: false,
        ..Profile::default()
    }
}

pub(super) fn read_text(body: &str) -> Request {
    read_request(body.as_bytes(), "gemini-x", false).unwrap()
}

pub(super) fn written(request: &Request, profile: &Profile) -> Result<(Written, Option<String>), Refusal> {
    let mut losses = Losses::new(false);
    let target = Target {
        model: "gemini-x",
        profile,
    };
    let written = write_request(request, &target, &mut losses)?;
    Ok((written, losses.header()))
}

pub(super) fn body(request: &Request, profile: &Profile) -> serde_json::Value {
    let (written, _) = written(request, profile).unwrap();
    serde_json::from_slice(&written.body).unwrap()
}

pub(super) fn reply(body: &str) -> Reply {
    read_reply(body.as_bytes(), &third()).unwrap()
}
