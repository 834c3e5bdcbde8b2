//! What `check --model` says of a model's window: how large it is, who says so, and from which length of a prompt on it is trimmed, down to what.

use std::io::{self, Write};

use tokio::time::Instant;

use crate::{
    config::{Config, Selection, Trim},
    context::{self, Asked, Grouped, Models, Origin, Window},
    proxy,
    wire::{Call, Dialect},
};

/// Prints a paragraph of comments, where a model is named.
pub(super) fn print(out: &mut impl Write, config: &Config, selection: &Selection) -> io::Result<()> {
    let Some(model) = selection.model.as_deref() else { return Ok(()) };
    let path = selection.path.clone().unwrap_or_else(|| usual_path(model));
    let agent = selection.agent.as_deref();
    let Some((upstream, dialect)) = proxy::leads_to(config, &path, agent, Some(model)) else {
        return writeln!(out, "# no upstream for the path {path:?}");
    };
    let call = Call { model: Some(model.to_owned()), ..Call::default() };
    let asked = Asked {
        dialect: dialect.unwrap_or(Dialect::OpenaiChat),
        path: &path,
        provider: Some(&upstream.provider),
        upstream: &upstream.name,
        call: &call,
    };
    let policy = config.policy(&path, agent, Some(model)).context;
    let name = format!("{} at {}", shown(model), upstream.name);
    match Models::new(config).window(asked, Instant::now()) {
        None => {
            writeln!(out, "# {name}: its window is not known: it will be learnt from the first error about a prompt that is too long")?;
            let untold = if policy.trim == Trim::Oversize { "until then nothing is trimmed" } else { "nothing is trimmed (context.trim is off)" };
            writeln!(out, "# (context.windows can say it); {untold}")
        }
        Some(window) => {
            writeln!(out, "# {name}: a window of {} tokens ({}); {}", Grouped(window.tokens), origin(window.origin), answer(window))?;
            match policy.trim {
                Trim::Off => writeln!(out, "# nothing is trimmed (context.trim is off); errors of the upstream pass"),
                Trim::Oversize => {
                    let (most, step) = (window.most(), window.step(policy.target));
                    let down = most.saturating_sub(step);
                    writeln!(out, "# prompts over {} tokens are trimmed, each time down to about {}", Grouped(most), Grouped(down))
                }
            }
        }
    }
}

/// Where such a model is asked as a rule, where no path is said.
fn usual_path(model: &str) -> String {
    if model.contains("claude") {
        "/v1/messages".to_owned()
    } else if model.contains("gemini") {
        format!("/v1beta/models/{model}:generateContent")
    } else {
        "/v1/chat/completions".to_owned()
    }
}

fn origin(origin: Origin) -> String {
    match origin {
        Origin::Table => format!("bundled table of {}", context::DATE),
        Origin::Config => "context.windows".to_owned(),
        Origin::Learnt => "learnt from the upstream".to_owned(),
        Origin::Request => "the request's own".to_owned(),
    }
}

fn answer(window: Window) -> String {
    match window.answer {
        0 => "the answer has room of its own".to_owned(),
        answer => format!("{} of them are kept for the answer, unless the request asks for fewer or more", Grouped(answer)),
    }
}

/// A name as one word.
fn shown(model: &str) -> String {
    crate::telemetry::Word(model).to_string()
}
