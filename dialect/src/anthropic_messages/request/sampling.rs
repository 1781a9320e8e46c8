//! How the next token is drawn, as far as the model lets itself be told.

use crate::json::ObjectWriter;
use crate::neutral::{Losses, Request, Sampling};
use crate::refusal::Refusal;

/// What Anthropic's models do when nothing is said. It may be said to every model, and says nothing.
const USUAL: f64 = 1.0;

/// Newer models take none of it, none takes it while it thinks (`thinks`), and some not a temperature together with a
/// `top_p`.
pub(super) fn write_sampling(
    request: &Request,
    is_taken: bool,
    thinks: bool,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let sampling = &request.sampling;
    let is_open = is_taken && !thinks;
    let temperature = temperature(sampling, is_open, losses)?;
    let top_p = sampling.top_p.filter(|top_p| is_unusual(*top_p));
    let is_said = is_open && !temperature.is_some_and(is_unusual);
    if top_p.is_some() && !is_said {
        losses.drop("top_p")?;
    }
    if sampling.top_k.is_some() && !is_open {
        losses.drop("top_k")?;
    }
    drop_unknown(sampling, losses)?;
    object
        .optional("temperature", temperature)
        .optional("top_p", top_p.filter(|_| is_said))
        .optional("top_k", sampling.top_k.filter(|_| is_open));
    Ok(())
}

/// From 0 to 1 here, and to 2 elsewhere.
fn temperature(sampling: &Sampling, is_open: bool, losses: &mut Losses) -> Result<Option<f64>, Refusal> {
    let Some(temperature) = sampling.temperature.filter(|value| is_unusual(*value)) else {
        return Ok(sampling.temperature);
    };
    if is_open && temperature < USUAL {
        return Ok(Some(temperature));
    }
    losses.drop("temperature")?;
    Ok(is_open.then_some(USUAL))
}

/// What Anthropic has no word for.
fn drop_unknown(sampling: &Sampling, losses: &mut Losses) -> Result<(), Refusal> {
    if sampling.seed.is_some() {
        losses.drop("seed")?;
    }
    let is_set = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty != 0.0);
    if is_set(sampling.frequency_penalty) {
        losses.drop("frequency_penalty")?;
    }
    if is_set(sampling.presence_penalty) {
        losses.drop("presence_penalty")?;
    }
    Ok(())
}

fn is_unusual(value: f64) -> bool {
    (value - USUAL).abs() > f64::EPSILON
}
