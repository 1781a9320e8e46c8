//! Tools that are held to their schema, on their way from Anthropic's dialect to OpenAI's.
//!
//! Both say `strict`, but not of the same schemas: OpenAI refuses one of which not all members are required, which is strict
//! enough for Anthropic. Such a tool goes without, and that is told. What a client of OpenAI's calls strict is its own
//! business with its vendor.

use crate::neutral::{Losses, Request, Tool, ToolKind};
use crate::refusal::Refusal;
use crate::schema::is_openai_strict;

/// Holds no tool to a schema that OpenAI would refuse to hold it to.
pub(super) fn relax(request: &mut Request, losses: &mut Losses) -> Result<(), Refusal> {
    for tool in &mut request.tools {
        let is_fit = tool.schema_text().is_some_and(is_openai_strict);
        let Tool {
            kind: ToolKind::Function { strict, .. },
            ..
        } = tool
        else {
            continue;
        };
        if *strict == Some(true) && !is_fit {
            losses.drop("tools.strict")?;
            *strict = Some(false);
        }
    }
    Ok(())
}
