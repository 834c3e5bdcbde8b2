//! Turns what a record says of tools into samples: calls in its answer, and runs whose results its request brought. Their labels are looked up each time:
//! there are few of them, and each call has its own.

use super::{families::Families, handles::Held};
use crate::{
    agent::{ToolError, ToolRun},
    telemetry::{names::tool_error, record::Record},
};

/// Adds the tools of one exchange. `agent` is the label of the one that called.
pub(super) fn observe((families, held): (&Families, &Held), agent: &str, record: &Record) {
    for call in &record.reply.tool_calls {
        families.tool_calls.with(&[agent, &held.tools.label(Some(&call.name))]).inc();
    }
    for run in &record.tools {
        observe_run(families, held, run);
    }
}

/// Adds one run. One that never came back has no duration.
pub(super) fn observe_run(families: &Families, held: &Held, run: &ToolRun) {
    let (agent, tool) = (held.agents.label(run.agent.as_deref()), held.tools.label(Some(&run.name)));
    if run.error != Some(ToolError::NoResult) {
        families.tool_duration.with(&[&agent, &tool]).observe(run.duration.as_secs_f64());
    }
    if let Some(error) = &run.error {
        families.tool_errors.with(&[&agent, &tool, &held.tool_errors.label(Some(tool_error(error)))]).inc();
    }
}
