//! Writing a request out of the neutral middle, for Gemini.

use super::super::look::CHOICES_MAX;
use super::super::words;
use super::contents::Contents;
use super::{config, tools};
use crate::Dialect;
use crate::json::ObjectWriter;
use crate::neutral::{Losses, Profile, Raw, Request, Target, ThinkingStyle, Written, check, foreign};
use crate::refusal::{Code, Refusal};

/// Writes a request for the model of the target. Model and streaming are told by the path, not by the body.
///
/// # Errors
/// When something of it cannot be expressed here and the answer would not be what the client asked for.
pub fn write_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    foreign(request, Dialect::GeminiGenerate, target.profile, losses)?;
    check::stop(&request.stop)?;
    drop_what_has_no_place(request, target.profile, losses)?;
    let mut written = Written::default();
    let contents = Contents::gather(request, target, losses)?;
    let tools = tools::Plan::new(request, target, &mut written.undo);
    let mut object = ObjectWriter::new(&mut written.body);
    contents.write(&mut object);
    tools.write(request, target, losses, &mut written.undo, &mut object)?;
    config::write(request, target, &tools, losses, &mut object)?;
    if let Some(tier) = &request.service_tier {
        match words::write_tier(tier) {
            Some("") => {}
            Some(word) => {
                object.member("serviceTier", word);
            }
            None => losses.drop("service_tier")?,
        }
    }
    if let Some(user) = request
        .user
        .as_deref()
        .filter(|user| is_told(target.profile, user))
    {
        let mut labels = object.object("labels");
        labels.member("user", user);
        labels.end();
    }
    for raw in own(&request.raw).filter(|raw| !raw.name.contains('.')) {
        object.json(&raw.name, raw.json.get());
    }
    object.end();
    Ok(written)
}

/// What Google has no word for, and can be missed.
fn drop_what_has_no_place(request: &Request, profile: &Profile, losses: &mut Losses) -> Result<(), Refusal> {
    if request
        .user
        .as_deref()
        .is_some_and(|user| !is_told(profile, user))
    {
        losses.mention("user");
    }
    if request.parallel_tools == Some(false) {
        losses.drop("parallel_tool_calls")?;
    }
    if request.cache.is_some() {
        losses.mention("cache_control");
    }
    let choices = request.choices.unwrap_or(1);
    if choices > 1 && !profile.several_answers {
        return Err(Losses::refuse("n"));
    }
    if choices > CHOICES_MAX {
        let message = format!("this model gives at most {CHOICES_MAX} answers to a request");
        return Err(Refusal::new(Code::InvalidValue, message).param("n"));
    }
    Ok(())
}

/// Whether a user can be told: by a label, and labels are short and of few letters.
fn is_told(profile: &Profile, user: &str) -> bool {
    const LABEL_BYTES_MAX: usize = 63;
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    profile.user && user.len() <= LABEL_BYTES_MAX && user.bytes().all(is_plain)
}

/// The pieces that are of this dialect; `foreign` has accounted for all others.
pub(super) fn own(raw: &[Raw]) -> impl Iterator<Item = &Raw> {
    raw.iter().filter(|raw| raw.origin == Dialect::GeminiGenerate)
}

/// Writes those pieces that stood in the object of this path.
pub(super) fn write_own(raw: &[Raw], prefix: &str, object: &mut ObjectWriter<'_>) {
    for raw in own(raw) {
        if let Some(name) = raw.name.strip_prefix(prefix)
            && !name.contains('.')
        {
            object.json(name, raw.json.get());
        }
    }
}

/// Whether the model is of the third generation or later: those want their signatures back, take media in results of
/// tools, and are told to think by a level.
pub(crate) fn is_third(target: &Target<'_>) -> bool {
    target.profile.thinking == ThinkingStyle::Effort
}
