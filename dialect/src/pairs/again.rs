//! Recorded requests, read and written again in their own dialect: nothing is lost that the model they were sent to takes,
//! and what is written otherwise is only written otherwise.

use std::collections::BTreeSet;

use super::face::{FACES, Face};
use super::gist::{differences, of_request};
use crate::neutral::{CacheMarks, Losses, Profile, ReasoningField, Request, Target, ThinkingStyle};
use crate::spec::recorded;

/// The normal form of a request: in which dialect what is written otherwise, and why it is the same to its vendor.
const NORMAL_FORM: [(&str, &str, &str); 4] = [
    // The name of a tool within a namespace has the namespace in it, and is turned back in the answer.
    (
        "openai-responses",
        "tools",
        "tool-search-openai-native-tool-search",
    ),
    // Blank texts, which Anthropic refuses, are left out.
    ("anthropic", "conversation", "tool-result-tools-t1"),
    // Functions stand in one place, before the tools of Google's own.
    (
        "gemini",
        "tools",
        "grounding-vertex-google-vertex-tool-combination-omits-include-server-side-tool-invocations",
    ),
    // Media have the type that their bytes say.
    (
        "gemini",
        "images",
        "inline-media-vertex-generate-content-with-files",
    ),
];

/// Models as they were recorded: current ones, and those that take what the current ones do not.
pub(super) fn profiles() -> Vec<Profile> {
    let marked = |cache_marks, reasoning| Profile {
        cache_marks,
        prefill: true,
        reasoning,
        ..Profile::default()
    };
    let budget = Profile {
        thinking: ThinkingStyle::Budget {
            min: 1_024,
            max: 32_768,
            can_be_off: true,
        },
        ..Profile::default()
    };
    vec![
        Profile::default(),
        marked(CacheMarks::CacheControl, ReasoningField::ReasoningDetails),
        marked(CacheMarks::Breakpoint, ReasoningField::ReasoningContent),
        budget,
    ]
}

/// What has become otherwise for this model; the message of the refusal where it takes none of it.
pub(super) fn otherwise(
    face: &Face,
    request: &Request,
    profile: &Profile,
) -> Result<Vec<&'static str>, String> {
    let target = Target {
        model: "model",
        profile,
    };
    let written = (face.write_request)(request, &target, &mut Losses::new(false));
    let again = written.and_then(|written| (face.read_request)(&written.body));
    let again = again.map_err(|refusal| refusal.message)?;
    Ok(differences(&of_request(request), &of_request(&again)))
}

#[test]
fn recorded_requests_written_again_are_the_same_but_for_their_form() {
    let profiles = profiles();
    let mut used = Vec::new();
    let mut problems = Vec::new();
    for face in &FACES {
        for (file, body) in recorded(face.folder, ".request.json") {
            let name = file.trim_end_matches(".request.json").to_owned();
            let Ok(request) = (face.read_request)(&body) else {
                continue;
            };
            let tried = profiles.iter().map(|profile| otherwise(face, &request, profile));
            // As the model for which the least is otherwise takes it.
            let least = tried.min_by_key(|outcome| outcome.as_ref().map_or(usize::MAX, Vec::len));
            match least.unwrap() {
                Ok(subjects) => used.extend(
                    subjects
                        .into_iter()
                        .map(|subject| (face.folder, subject, name.clone())),
                ),
                Err(message) => problems.push(format!("{} {name}: {message}", face.folder)),
            }
        }
    }
    if crate::spec::shared().is_none() {
        return;
    }
    let known = NORMAL_FORM.map(|(folder, subject, name)| (folder, subject, name.to_owned()));
    let known = known.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(used.into_iter().collect::<BTreeSet<_>>(), known);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
