//! Reads `upstreams` and `routes`: where a request may go, and which of them get policies of their own.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    Config, Http2, Policy, Route, Upstream,
    errors::Origin,
    fields::{Fields, Reading, Wanted, closest},
    glob,
    load::content,
    proxies::Proxies,
    sections,
    tree::Node,
    upstreams::{UrlError, check_name},
    values,
};
use crate::wire::Dialect;

/// Every dialect by its name in the config.
pub(super) const DIALECTS: [(&str, Dialect); 7] = [
    ("openai-chat", Dialect::OpenaiChat),
    ("openai-responses", Dialect::OpenaiResponses),
    ("openai-completions", Dialect::OpenaiCompletions),
    ("openai-embeddings", Dialect::OpenaiEmbeddings),
    ("anthropic-messages", Dialect::AnthropicMessages),
    ("gemini", Dialect::Gemini),
    ("ollama", Dialect::Ollama),
];

/// What `http2` can be.
pub(super) const HTTP2: [(&str, Http2); 3] = [("auto", Http2::Auto), ("off", Http2::Off), ("prior", Http2::Prior)];

/// Most routes: they are tried one by one.
const MOST_ROUTES: usize = 1_000;

/// Largest file of roots, in bytes: all that a system trusts is a quarter of a MiB.
const LARGEST_ROOTS: usize = 4 << 20;

/// The upstreams by name; `None` for one that is configured, but wrongly.
pub(super) type Upstreams = BTreeMap<String, Option<Arc<Upstream>>>;

impl Config {
    /// The first route that matches: `path` without `/@AGENT` and query, the agent's name and the model asked for where they are known.
    /// A pattern for what is not known does not match.
    pub fn route(&self, path: &str, agent: Option<&str>, model: Option<&str>) -> Option<&Route> {
        self.routes.iter().find(|route| route.matches(path, agent, model))
    }

    /// The policies of such a request (see [`Config::route`]): the config's own, the route's on top of them, the agent's on top of both.
    pub fn policy(&self, path: &str, agent: Option<&str>, model: Option<&str>) -> &Arc<Policy> {
        let route = self.routes.iter().position(|route| route.matches(path, agent, model));
        let without = || route.and_then(|route| self.routes.get(route)).map_or(&self.policy, |route| &route.policy);
        self.agents.policy(agent, route).map_or_else(without, |(_, policy)| policy)
    }

    /// Whether a route depends on the model, so that the body has to be read before its destination is known.
    pub fn needs_model_for_routes(&self) -> bool {
        self.routes.iter().any(|route| route.model.is_some())
    }
}

impl Route {
    /// Whether this route is for such a request. See [`Config::route`].
    pub fn matches(&self, path: &str, agent: Option<&str>, model: Option<&str>) -> bool {
        let is_match = |pattern: &Option<String>, text: Option<&str>| match (pattern, text) {
            (None, _) => true,
            (Some(pattern), Some(text)) => glob::matches(pattern, text),
            (Some(_), None) => false,
        };
        is_match(&self.path, Some(path)) && is_match(&self.agent, agent) && is_match(&self.model, model)
    }

    fn matches_all(&self) -> bool {
        [&self.path, &self.model, &self.agent].into_iter().all(|pattern| pattern.as_ref().is_none_or(|pattern| pattern.chars().all(|c| c == '*')))
    }
}

/// `upstreams`, with the built-in ones where none of that name is configured. `base`: the folder that paths of files start from.
pub(super) fn upstreams(fields: &mut Fields<'_, '_>, base: &Path, proxies: &Proxies) -> Upstreams {
    let mut upstreams: Upstreams =
        Upstream::built_in().map(|upstream| (upstream.name.to_string(), Some(Arc::new(proxies.lead_to(upstream))))).collect();
    for (key, node) in fields.entries("upstreams") {
        let path = format!("upstreams.{}", key.text);
        if let Err(message) = check_name(&key.text) {
            fields.reading.report(&key.origin, &path, message);
            continue;
        }
        let built_in = upstreams.get(&key.text).and_then(Option::as_deref);
        let section = Fields::of(fields.reading, path, node);
        let upstream = upstream(section, &key.text, (built_in, &key.origin), base);
        upstreams.insert(key.text, upstream.map(|upstream| Arc::new(proxies.lead_to(upstream))));
    }
    upstreams
}

fn upstream(mut fields: Fields<'_, '_>, name: &str, (built_in, origin): (Option<&Upstream>, &Origin), base: &Path) -> Option<Upstream> {
    let url = fields.take("url");
    let has_url = url.is_some();
    let path = fields.path_of("url");
    let parse = |text: &str| Upstream::parse(name, text).map_err(UrlError::wanted);
    let mut upstream = match url {
        Some(node) => fields.reading.parsed_in_secret(&path, node, parse),
        None => built_in.cloned(),
    };
    let dialect = fields.value("dialect", values::one_of(&DIALECTS));
    let api_key = fields.secret("api_key", values::credential);
    let ca = fields.value("ca", |text| Ok(base.join(text)));
    let http2 = fields.value("http2", values::one_of(&HTTP2));
    if !has_url && upstream.is_none() {
        fields.reading.report(origin, &path, "is missing: where is this upstream?");
    }
    if let Some(ca) = &ca {
        let wrong = match &upstream {
            Some(upstream) if !upstream.tls => Some("is of no use: the `url` is not `https://`".into()),
            _ => check_certificates(ca).err(),
        };
        if let Some(message) = wrong {
            let path = fields.path_of("ca");
            let origin = fields.reading.origins.of(&path).clone();
            fields.reading.report(&origin, &path, message);
        }
    }
    fields.finish();
    if let Some(upstream) = &mut upstream {
        (upstream.dialect, upstream.api_key, upstream.ca, upstream.http2) = (dialect, api_key, ca, http2.unwrap_or_default());
    }
    upstream
}

/// Whether the file holds at least one certificate, and nothing but whole ones.
pub(super) fn check_certificates(file: &Path) -> Result<(), Wanted> {
    let pem = content(file, LARGEST_ROOTS).map_err(|error| format!("cannot be read: {error}"))?;
    if pem.len() > LARGEST_ROOTS {
        return Err(format!("is larger than {} MiB", LARGEST_ROOTS >> 20).into());
    }
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err("wants a file with certificates in PEM".into()),
    }
}

/// `routes`, whose policies stand on top of the file's.
pub(super) fn routes(fields: &mut Fields<'_, '_>, upstreams: &Upstreams, policy: &Arc<Policy>) -> Vec<Route> {
    let nodes = fields.list("routes").unwrap_or_default();
    if let Some(node) = nodes.get(MOST_ROUTES) {
        fields.reading.report(&node.origin, "routes", format!("wants at most {MOST_ROUTES} routes"));
    }
    let mut routes: Vec<Route> = Vec::new();
    for (i, node) in nodes.into_iter().take(MOST_ROUTES).enumerate() {
        let path = format!("routes[{i}]");
        if let Some(before) = routes.iter().position(Route::matches_all) {
            fields.reading.warnings.push(format!("{path} ({}) is never reached: routes[{before}] matches everything", node.origin));
        }
        fields.reading.origins.set(path.clone(), node.origin.clone());
        routes.push(route(Fields::of(fields.reading, path, node), upstreams, policy));
    }
    routes
}

fn route(mut fields: Fields<'_, '_>, upstreams: &Upstreams, base: &Arc<Policy>) -> Route {
    let path = fields.value("path", values::path_pattern);
    let model = fields.value("model", values::pattern);
    let agent = fields.value("agent", values::pattern);
    let upstream_path = fields.path_of("upstream");
    let upstream = fields.take("upstream").and_then(|node| named_upstream(fields.reading, &upstream_path, node, upstreams));
    let policy = sections::policy(&mut fields, base);
    let policy = if policy == **base { Arc::clone(base) } else { Arc::new(policy) };
    for key in ["fallbacks", "limits", "loops"] {
        fields.later(key, &[]);
    }
    fields.finish();
    Route { path, model, agent, upstream, policy }
}

fn named_upstream(reading: &mut Reading<'_>, path: &str, node: Node, upstreams: &Upstreams) -> Option<Arc<Upstream>> {
    let found = reading.parsed(path, node, |text| {
        upstreams.get(text).cloned().ok_or_else(|| {
            let names: Vec<_> = upstreams.keys().map(String::as_str).collect();
            let meant = closest(text, &names).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            format!("the name of an upstream, built in or configured{meant}").into()
        })
    });
    found.flatten()
}
