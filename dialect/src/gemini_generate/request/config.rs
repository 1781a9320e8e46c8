//! `generationConfig`: how long, how random, how thoughtful, and in what form the answer shall be.

use super::super::words;
use super::tools::Plan;
use super::write::write_own;
use crate::json::ObjectWriter;
use crate::neutral::{
    Effort, Efforts, Losses, OutputFormat, Profile, Request, Target, Thinking, ThinkingAmount, ThinkingStyle,
};
use crate::refusal::{Code, Refusal};
use crate::schema;

const STOP_MAX: usize = 5;
const CONFIG: &str = "generationConfig.";
const THINKING: &str = "generationConfig.thinkingConfig.";

pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    tools: &Plan,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let mut json = Vec::new();
    let mut config = ObjectWriter::new(&mut json);
    config.optional("maxOutputTokens", request.max_tokens);
    write_sampling(request, target, losses, &mut config)?;
    if request.stop.len() > STOP_MAX {
        let message = format!("this model takes at most {STOP_MAX} stop sequences");
        return Err(Refusal::new(Code::InvalidValue, message).param("stop"));
    }
    if !request.stop.is_empty() {
        config.member("stopSequences", &request.stop);
    }
    config.optional("candidateCount", request.choices);
    if let Some(alternatives) = request.logprobs {
        config.member("responseLogprobs", &true);
        config.optional(
            "logprobs",
            Some(alternatives).filter(|alternatives| *alternatives > 0),
        );
    }
    write_output(request, target, tools, losses, &mut config)?;
    if let Some(thinking) = &request.thinking {
        write_thinking(thinking, request, target.profile, losses, &mut config)?;
    }
    write_own(&request.raw, CONFIG, &mut config);
    config.end();
    if json != b"{}" {
        object.begin("generationConfig").extend(json);
    }
    Ok(())
}

fn write_sampling(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
    config: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let sampling = &request.sampling;
    if target.profile.sampling {
        config.optional("temperature", sampling.temperature);
        config.optional("topP", sampling.top_p);
        config.optional("topK", sampling.top_k);
    } else {
        for (is_told, name) in [
            (sampling.temperature.is_some(), "temperature"),
            (sampling.top_p.is_some(), "top_p"),
            (sampling.top_k.is_some(), "top_k"),
        ] {
            if is_told {
                losses.drop(name)?;
            }
        }
    }
    match sampling.seed.map(i32::try_from) {
        Some(Err(_)) => losses.drop("seed")?,
        seed => {
            config.optional("seed", seed.and_then(Result::ok));
        }
    }
    config.optional("presencePenalty", sampling.presence_penalty);
    config.optional("frequencyPenalty", sampling.frequency_penalty);
    Ok(())
}

fn write_output(
    request: &Request,
    target: &Target<'_>,
    tools: &Plan,
    losses: &mut Losses,
    config: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => {
            if !request.tools.is_empty() && !target.profile.json_schema_with_tools {
                return Err(Losses::refuse("response_format"));
            }
            config.member("responseMimeType", "application/json");
        }
        OutputFormat::JsonSchema { .. } if tools.schema_tool.is_some() => {}
        OutputFormat::JsonSchema { schema, .. } => {
            config.member("responseMimeType", "application/json");
            if target.profile.full_json_schema {
                config.json("responseJsonSchema", schema.get());
            } else {
                let cut = schema::for_gemini(schema.get())?;
                if cut.lost {
                    losses.drop("response_format")?;
                }
                config.json("responseSchema", cut.schema.get());
            }
        }
    }
    Ok(())
}

fn write_thinking(
    thinking: &Thinking,
    request: &Request,
    profile: &Profile,
    losses: &mut Losses,
    config: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let style = profile.thinking;
    if style == ThinkingStyle::None {
        let asks_nothing = matches!(
            thinking.amount,
            ThinkingAmount::Free | ThinkingAmount::Effort(Effort::None)
        );
        return if asks_nothing {
            Ok(())
        } else {
            losses.drop("reasoning")
        };
    }
    let mut json = Vec::new();
    let mut inner = ObjectWriter::new(&mut json);
    inner.optional("includeThoughts", thinking.show);
    match style {
        ThinkingStyle::Budget { min, max, can_be_off } => {
            write_budget(
                &thinking.amount,
                min..=max.max(min),
                can_be_off,
                losses,
                &mut inner,
            )?;
        }
        ThinkingStyle::Effort | ThinkingStyle::None => {
            write_level(&thinking.amount, profile.efforts, losses, &mut inner)?;
        }
    }
    write_own(&request.raw, THINKING, &mut inner);
    inner.end();
    if json != b"{}" {
        config.begin("thinkingConfig").extend(json);
    }
    Ok(())
}

fn write_level(
    amount: &ThinkingAmount,
    taken: Efforts,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let of_budget;
    let effort = match amount {
        ThinkingAmount::Free => return Ok(()),
        ThinkingAmount::Effort(effort) => effort,
        ThinkingAmount::Budget(tokens) => {
            of_budget = words::level_of_budget(*tokens);
            &of_budget
        }
    };
    let fit = taken.fit(effort);
    let Some((level, is_exact)) = words::write_level(&fit) else {
        // Groq's word for leaving it open.
        return if matches!(effort, Effort::Other(word) if word == "default") {
            Ok(())
        } else {
            losses.drop("reasoning")
        };
    };
    if !is_exact || *fit != *effort {
        losses.drop("reasoning")?;
    }
    object.member("thinkingLevel", level);
    Ok(())
}

/// A budget within what the model takes. One that was asked for and cannot be had is told as lost.
fn write_budget(
    amount: &ThinkingAmount,
    range: std::ops::RangeInclusive<u64>,
    can_be_off: bool,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let within = |tokens: u64| tokens.clamp(*range.start(), *range.end());
    let (tokens, is_exact) = match amount {
        ThinkingAmount::Free => {
            object.member("thinkingBudget", &-1);
            return Ok(());
        }
        ThinkingAmount::Effort(Effort::None) | ThinkingAmount::Budget(0) if can_be_off => (0, true),
        ThinkingAmount::Effort(effort) => match words::budget(effort) {
            Some(tokens) => (within(tokens), tokens > 0),
            None => return losses.drop("reasoning"),
        },
        ThinkingAmount::Budget(tokens) => (within(*tokens), range.contains(tokens)),
    };
    if !is_exact {
        losses.drop("reasoning")?;
    }
    object.member("thinkingBudget", &tokens);
    Ok(())
}
