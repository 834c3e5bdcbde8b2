//! Finds a model by the name that is on the wire: as it is, then without what providers put around names (a maker, a date, `-latest`, a fine-tune's
//! owner). Nothing is taken for a relative: a name that is not known stays unknown.

use super::{Model, Prices, table};

/// Makers as gateways write them before a name (`x-ai/grok-4`), and their namespaces.
const WRITTEN: [(&str, &str); 14] = [
    ("openai", ""),
    ("anthropic", ""),
    ("google", "gemini"),
    ("gemini", "gemini"),
    ("vertex_ai", ""),
    ("mistralai", "mistral"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("x-ai", "xai"),
    ("xai", "xai"),
    ("cohere", "cohere"),
    ("perplexity", "perplexity"),
    ("moonshotai", "moonshot"),
    ("z-ai", "zai"),
];

/// The model of this name, as this provider serves it.
pub(super) fn find(provider: Option<&str>, name: &str) -> Option<Model> {
    // Gemini's own prefixes.
    let name = name.strip_prefix("publishers/google/").unwrap_or(name);
    let name = name.strip_prefix("models/").unwrap_or(name);
    match spaces(provider) {
        Some(spaces) => spaces.iter().find_map(|space| within(space, name)).or_else(|| prefixed(spaces, name)).or_else(|| deployed(spaces, name)),
        None => within(table::MAKERS, name).or_else(|| passed_on(name)),
    }
}

/// The model behind a gateway's name: `groq/llama-3.3-70b-versatile`, `x-ai/grok-4`.
fn passed_on(name: &str) -> Option<Model> {
    let (space, rest) = table::split(name);
    if let Some(model) = within(space, rest).filter(|_| !space.is_empty()) {
        return Some(model);
    }
    let (maker, rest) = name.split_once('/')?;
    let (_, space) = WRITTEN.iter().find(|(written, _)| *written == maker)?;
    within(space, rest).or_else(|| within(space, &dashed(rest)?))
}

/// The model behind a prefix that says no more than whose it is, or where it is served, and that is so: `openai/gpt-4o` at OpenAI itself.
fn prefixed(spaces: &[&'static str], name: &str) -> Option<Model> {
    let (space, rest) = table::split(name);
    if !space.is_empty() && spaces.contains(&space) {
        return within(space, rest);
    }
    let (maker, rest) = name.split_once('/')?;
    let (_, space) = WRITTEN.iter().find(|(written, _)| *written == maker)?;
    if spaces.contains(space) { within(space, rest) } else { None }
}

/// The model at the end of a deployment's name, which on Azure everybody chooses: `prod-gpt-4o`. With its window, and no prices: that much it says. Words
/// without a figure are no model's name here: too many deployments end with one.
fn deployed(spaces: &[&'static str], name: &str) -> Option<Model> {
    let is_azure = spaces == ["azure"];
    let ends = name.match_indices(['-', '_']).filter(|_| is_azure).map(|(at, _)| &name[at + 1..]);
    let model = ends.filter(|end| end.bytes().any(|byte| byte.is_ascii_digit())).find_map(|end| within("azure", end))?;
    Some(Model { prices: Prices::default(), ..model })
}

/// The namespaces of what a provider serves; what runs here has no price and no window that a table could know. `None` for one that is not known, which
/// may be a gateway.
fn spaces(provider: Option<&str>) -> Option<&'static [&'static str]> {
    Some(match provider.unwrap_or_default() {
        "openai" | "anthropic" | "aws.bedrock" => &[""],
        "gcp.gemini" => &["gemini", ""],
        "gcp.vertex_ai" => &["vertex_ai", ""],
        "azure.ai.openai" => &["azure"],
        "mistral_ai" => &["mistral"],
        "groq" => &["groq"],
        "deepseek" => &["deepseek"],
        "x_ai" => &["xai"],
        "cohere" => &["cohere", ""],
        "perplexity" => &["perplexity"],
        "moonshot_ai" => &["moonshot"],
        "together" => &["together_ai"],
        "fireworks" => &["fireworks_ai"],
        "ollama" => &["ollama"],
        "vllm" => &[],
        _ => return None,
    })
}

fn within(space: &str, name: &str) -> Option<Model> {
    if let Some(model) = table::find(space, name) {
        return Some(model);
    }
    if let Some(tuned) = name.strip_prefix("ft:") {
        return fine_tuned(space, tuned);
    }
    if space == "ollama" {
        return table::find(space, name.split_once(':')?.0);
    }
    let short = name.strip_suffix("-latest").or_else(|| without_date(name)).or_else(|| without_version(name))?;
    table::find(space, short)
}

/// `BASE:organisation:name:id`. A fine-tune has its base's window, and prices of its own.
fn fine_tuned(space: &str, tuned: &str) -> Option<Model> {
    let base = tuned.split(':').next()?;
    if let Some(model) = table::find(space, &format!("ft:{base}")) {
        return Some(model);
    }
    let model = within(space, base)?;
    Some(Model { prices: Prices::default(), ..model })
}

/// The name without `-YYYY-MM-DD`, `-YYYYMMDD`, `@YYYYMMDD` or `@default` at its end; `None` where it has none. Shorter dates are left: they part models
/// that differ in more than their date.
pub(super) fn without_date(name: &str) -> Option<&str> {
    if let Some((short, version)) = name.rsplit_once('@') {
        return (version == "default" || is_digits(version, 8)).then_some(short);
    }
    if let Some((short, date)) = name.rsplit_once('-')
        && is_digits(date, 8)
    {
        return Some(short);
    }
    let mut parts = name.rsplitn(4, '-');
    let (day, month, year, short) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (is_digits(day, 2) && is_digits(month, 2) && is_digits(year, 4)).then_some(short)
}

/// Gemini's `-001`.
fn without_version(name: &str) -> Option<&str> {
    let (short, version) = name.rsplit_once('-')?;
    (name.starts_with("gemini-") && is_digits(version, 3)).then_some(short)
}

/// Gateways write `claude-sonnet-4.5` for `claude-sonnet-4-5`.
fn dashed(name: &str) -> Option<String> {
    (name.starts_with("claude-") && name.contains('.')).then(|| name.replace('.', "-"))
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}
