//! `agents`: rules that name the agent of a request that does not name it itself, and agents with policies of their own. The first rule that matches
//! names; what is credentials in a request is compared by its hash alone.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use http::{HeaderMap, HeaderName};
use ring::digest::{SHA256, digest};

use super::{
    Policy, Route,
    fields::{Fields, Reading, Wanted},
    glob, sections,
    tree::Node,
    values,
};

/// Most rules: they are tried one by one.
const MOST_RULES: usize = 1_000;
/// Most policies that routes and agents make together.
const MOST_POLICIES: usize = 100_000;
/// Characters of a name.
const NAME_MAX: usize = 64;
/// Fewest digits of a hash: two keys share so many once in four billion.
const HASH_MIN: usize = 8;
/// Headers that hold credentials: what they are compared with would be one too.
const CREDENTIALS: [&str; 6] = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"];

/// The section as a whole.
#[derive(Debug, Clone, Default)]
pub struct AgentRules {
    rules: Vec<AgentRule>,
    policies: HashMap<Arc<str>, OwnPolicies>,
}

/// One entry.
#[derive(Debug, Clone)]
pub struct AgentRule {
    /// The agent's name.
    pub name: Arc<str>,
    /// Which requests are its own; `None` where the entry only says its policies.
    pub when: Option<When>,
}

/// What a request must be like. All that is set must hold; patterns are globs.
#[derive(Debug, Clone, Default)]
pub struct When {
    /// Headers: one of the name's values must match.
    pub headers: Vec<(HeaderName, String)>,
    /// The path without `/@AGENT` and query.
    pub path: Option<String>,
    /// A system text, without the blanks at its ends.
    pub system: Option<String>,
    /// The SHA-256 of the API key.
    pub api_key: Option<KeyHash>,
}

/// The beginning of a SHA-256 in lower-case hex, 8 to 64 digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHash(String);

/// A request, as far as rules can see it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The path without `/@AGENT` and query.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Its system texts; none where the body was not read (yet).
    pub system: &'a [Cow<'a, str>],
}

/// The policies of an agent that has its own.
#[derive(Debug, Clone)]
struct OwnPolicies {
    /// Which entry says them.
    rule: usize,
    /// On top of the file's.
    base: Arc<Policy>,
    /// On top of each route's.
    by_route: Vec<Arc<Policy>>,
}

/// Whether this may name an agent: 1 to 64 letters, digits, spaces, `_`, `.`, `-`, and not only spaces.
pub fn is_agent_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '-');
    !name.trim().is_empty() && name.chars().all(fits) && name.chars().nth(NAME_MAX).is_none()
}

impl AgentRules {
    /// The name that the first matching rule gives.
    pub fn name(&self, asking: &Asking<'_>) -> Option<&Arc<str>> {
        let mut key = None;
        let matches = |rule: &&AgentRule| rule.when.as_ref().is_some_and(|when| when.matches(asking, &mut key));
        self.rules.iter().find(matches).map(|rule| &rule.name)
    }

    /// Whether a rule asks for the system text, so that the body has to be read.
    pub fn need_system(&self) -> bool {
        self.rules.iter().any(|rule| rule.when.as_ref().is_some_and(|when| when.system.is_some()))
    }

    /// The entries, in order.
    pub fn rules(&self) -> &[AgentRule] {
        &self.rules
    }

    /// The agent's own policies on top of the file's, or of the route's of this number; with the number of the entry that says them.
    pub(super) fn policy(&self, agent: Option<&str>, route: Option<usize>) -> Option<(usize, &Arc<Policy>)> {
        let own = self.policies.get(agent?)?;
        let policy = route.map_or(Some(&own.base), |route| own.by_route.get(route));
        policy.map(|policy| (own.rule, policy))
    }
}

impl When {
    /// `key` keeps the hashes of the request's keys from rule to rule.
    fn matches(&self, asking: &Asking<'_>, key: &mut Option<Vec<String>>) -> bool {
        let header = |(name, pattern): &(HeaderName, String)| {
            asking.headers.get_all(name).iter().any(|value| glob::matches(pattern, &String::from_utf8_lossy(value.as_bytes())))
        };
        self.path.as_ref().is_none_or(|pattern| glob::matches(pattern, asking.path))
            && self.headers.iter().all(header)
            && self.system.as_ref().is_none_or(|pattern| asking.system.iter().any(|text| glob::matches(pattern, text.trim())))
            && self.api_key.as_ref().is_none_or(|hash| key.get_or_insert_with(|| hashes(asking)).iter().any(|key| key.starts_with(&hash.0)))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The hashes of the keys that a request brings: in `authorization: Bearer …`, `x-api-key`, `api-key`, `x-goog-api-key`, or `?key=`.
fn hashes(asking: &Asking<'_>) -> Vec<String> {
    let bearer = asking.headers.get("authorization").and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    });
    let plain = ["x-api-key", "api-key", "x-goog-api-key"].into_iter().filter_map(|name| Some(asking.headers.get(name)?.as_bytes()));
    let query = asking.query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("key="))).map(str::as_bytes);
    bearer.into_iter().chain(plain).chain(query).map(sha256).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let digits = digest(&SHA256, bytes).as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]).collect::<Vec<_>>();
    digits.into_iter().filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// Reads `agents`, whose policies stand on top of the file's and of each route's.
pub(super) fn agents(fields: &mut Fields<'_, '_>, routes: &[Route], policy: &Arc<Policy>) -> AgentRules {
    let nodes = fields.list("agents").unwrap_or_default();
    if let Some(node) = nodes.get(MOST_RULES) {
        fields.reading.report(&node.origin, "agents", format!("wants at most {MOST_RULES} entries"));
    }
    let mut all = AgentRules::default();
    for (i, node) in nodes.into_iter().take(MOST_RULES).enumerate() {
        let path = format!("agents[{i}]");
        fields.reading.origins.set(path.clone(), node.origin.clone());
        entry(fields.reading, (i, &path, node), (routes, policy), &mut all);
    }
    all
}

fn entry(reading: &mut Reading<'_>, (i, path, node): (usize, &str, Node), (routes, base): (&[Route], &Arc<Policy>), all: &mut AgentRules) {
    let origin = node.origin.clone();
    let mut fields = Fields::of(reading, path.to_owned(), node.clone());
    let named = fields.take("name");
    let has_name = named.is_some();
    let name_path = fields.path_of("name");
    let name: Option<Arc<str>> = named.and_then(|node| fields.reading.parsed(&name_path, node, agent_name)).map(Arc::from);
    let when = fields.section("when", when);
    let has_policies = !fields.is_used_up();
    let policy = sections::policy(&mut fields, base);
    for key in ["limits", "loops"] {
        fields.later(key, &[]);
    }
    fields.finish();
    if !has_name {
        reading.report(&origin, &name_path, "is missing: which agent is this?");
    }
    let Some(name) = name else { return };
    let has_when = when.is_some();
    all.rules.push(AgentRule { name: Arc::clone(&name), when });
    if !has_policies {
        if !has_when {
            reading.report(&origin, path, "names no request and sets nothing: it wants `when`, or policies of the agent's own");
        }
    } else if let Some(before) = all.policies.get(&name) {
        reading.report(&origin, path, format!("`{name}` has policies of its own already, in agents[{}]: keep them in one place", before.rule));
    } else if (all.policies.len() + 1) * (routes.len() + 1) > MOST_POLICIES {
        reading.report(&origin, path, format!("wants at most {MOST_POLICIES} pairs of routes and agents with policies of their own"));
    } else {
        // Read anew on top of each route's: what is wrong is told once all the same.
        let on_top = |reading: &mut Reading<'_>, base: &Policy| sections::policy(&mut Fields::of(reading, path.to_owned(), node.clone()), base);
        let mut shared: Vec<(&Arc<Policy>, Arc<Policy>)> = vec![(base, Arc::new(policy))];
        let by_route = routes.iter().map(|route| {
            if let Some((_, policy)) = shared.iter().find(|(base, _)| Arc::ptr_eq(base, &route.policy)) {
                return Arc::clone(policy);
            }
            let policy = Arc::new(on_top(reading, &route.policy));
            shared.push((&route.policy, Arc::clone(&policy)));
            policy
        });
        let by_route = by_route.collect();
        let base = Arc::clone(&shared[0].1);
        all.policies.insert(name, OwnPolicies { rule: i, base, by_route });
    }
}

fn when(mut fields: Fields<'_, '_>) -> When {
    let mut when = When::default();
    let before = fields.reading.problems.len();
    for (key, node) in fields.entries("header") {
        let path = format!("{}.{}", fields.path_of("header"), key.text.to_ascii_lowercase());
        match header_name(&key.text) {
            Ok(name) => when.headers.extend(fields.reading.parsed(&path, node, values::pattern).map(|pattern| (name, pattern))),
            Err(message) => fields.reading.report(&key.origin, &path, message),
        }
    }
    when.path = fields.value("path", values::path_pattern);
    when.system = fields.value("system", values::pattern);
    when.api_key = fields.value("api_key_sha256", key_hash);
    let is_empty = when.headers.is_empty() && when.path.is_none() && when.system.is_none() && when.api_key.is_none();
    if is_empty && fields.reading.problems.len() == before && fields.is_used_up() {
        let path = fields.path();
        let origin = fields.reading.origins.of(path.rsplit_once('.').map_or("", |(entry, _)| entry)).clone();
        fields.reading.report(&origin, &path, "wants at least one of header, path, system, api_key_sha256");
    }
    fields.finish();
    when
}

fn agent_name(text: &str) -> Result<String, Wanted> {
    if is_agent_name(text) {
        Ok(text.trim().to_owned())
    } else {
        Err(format!("a name of 1 to {NAME_MAX} letters, digits, spaces, `_`, `.` and `-`").into())
    }
}

fn header_name(text: &str) -> Result<HeaderName, Wanted> {
    let name: HeaderName = text.parse().map_err(|_| Wanted::from("wants the name of a header"))?;
    if CREDENTIALS.contains(&name.as_str()) {
        return Err("holds credentials: for an API key use `api_key_sha256`, the beginning of its hash".into());
    }
    Ok(name)
}

fn key_hash(text: &str) -> Result<KeyHash, Wanted> {
    let is_hash = (HASH_MIN..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(KeyHash(text.to_ascii_lowercase())) } else { Err(format!("the first {HASH_MIN} to 64 hex digits of the key's SHA-256").into()) }
}

#[cfg(test)]
mod tests;
