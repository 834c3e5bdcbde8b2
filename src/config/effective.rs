//! Prints a config as YAML that reads back to the same one, with the origin of each value behind it: what `pillion check` shows.
//! Credentials print as `***`.

use std::{fmt, io};

use super::{
    ByModel, Carry, Context, Hop, Http2, Otlp, Policy, Prices, Retries, Route, Server, Telemetry, Timeouts, Trimming, Upstream, When,
    destinations::{DIALECTS, HTTP2},
    errors::Origin,
    load::Loaded,
    otlp::{COMPRESSIONS, PROTOCOLS},
    reporting::{ATTEMPT_SPANS, FORMATS, LEVELS},
    sections::TRIMS,
    units::{bytes_text, duration_text},
    values::word_of,
};

/// Comments stand no further right than this.
const FURTHEST: usize = 56;

/// A request to show the policies of. Empty: the config as it is.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The agent's name.
    pub agent: Option<String>,
    /// The model asked for.
    pub model: Option<String>,
    /// The path, without `/@AGENT`.
    pub path: Option<String>,
}

impl Loaded {
    /// Prints everything that holds; with a selection, the policies that hold for it and the route they come from.
    pub fn print(&self, out: &mut impl io::Write, selection: &Selection) -> io::Result<()> {
        let mut page = Page { loaded: self, owners: Vec::new(), only_own: false, lines: Vec::new() };
        page.server(&self.config.server);
        page.upstreams();
        if selection.is_empty() {
            page.routes();
            page.agents();
            page.policy(0, &self.config.policy);
        } else {
            page.selected(selection);
        }
        page.windows(&self.config.context);
        page.telemetry(&self.config.telemetry);
        page.write(out)
    }
}

impl Selection {
    fn is_empty(&self) -> bool {
        self.agent.is_none() && self.model.is_none() && self.path.is_none()
    }
}

/// Lines, each with what stands behind it as a comment.
struct Page<'a> {
    loaded: &'a Loaded,
    /// Whose policies are shown: `agents[1]`, `routes[0]`; the strongest first.
    owners: Vec<String>,
    /// Whether only what they set themselves is shown: an agent's policies stand on top of each route's, so what is not its own is not there.
    only_own: bool,
    lines: Vec<(String, String)>,
}

impl Page<'_> {
    fn heading(&mut self, depth: usize, text: impl fmt::Display) {
        self.lines.push((format!("{:1$}{text}", "", depth * 2), String::new()));
    }

    fn comment(&mut self, depth: usize, text: impl fmt::Display) {
        self.heading(depth, format_args!("# {text}"));
    }

    /// `key: value  # origin`; `path` is the key path, whose last part is the key.
    fn value(&mut self, depth: usize, path: &str, value: impl fmt::Display) {
        if self.only_own && self.owners.iter().all(|owner| self.loaded.origins.is_default(&format!("{owner}.{path}"))) {
            return;
        }
        let key = path.rsplit('.').next().unwrap_or(path);
        let line = format!("{:1$}{key}: {value}", "", depth * 2);
        self.lines.push((line, self.origin(path).to_string()));
    }

    /// Of the agent's or the route's own value, if they have one.
    fn origin(&self, path: &str) -> &Origin {
        let mut own = self.owners.iter().map(|owner| self.loaded.origins.of(&format!("{owner}.{path}")));
        own.find(|origin| **origin != Origin::Default).unwrap_or_else(|| self.loaded.origins.of(path))
    }

    fn policy_of(&mut self, depth: usize, owners: Vec<String>, policy: &Policy) {
        self.owners = owners;
        self.policy(depth, policy);
        self.owners.clear();
    }

    fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let with_comments = self.lines.iter().filter(|(_, comment)| !comment.is_empty());
        let column = with_comments.map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(FURTHEST);
        for (line, comment) in &self.lines {
            if comment.is_empty() {
                writeln!(out, "{line}")?;
            } else {
                writeln!(out, "{line:column$}  # {comment}")?;
            }
        }
        Ok(())
    }

    fn server(&mut self, server: &Server) {
        self.heading(0, "server:");
        self.value(1, "server.listen", quoted(&server.listen.to_string()));
        self.value(1, "server.admin", quoted(&server.admin.to_string()));
        if server.admin_token.is_some() {
            self.value(1, "server.admin_token", MASKED);
        }
        self.value(1, "server.hosts", list(&server.hosts));
        if let Some(tls) = &server.tls {
            self.heading(1, "tls:");
            self.value(2, "server.tls.cert", quoted(&tls.cert.display().to_string()));
            self.value(2, "server.tls.key", quoted(&tls.key.display().to_string()));
        }
        self.value(1, "server.drain_delay", duration_text(server.drain_delay));
        self.value(1, "server.grace", duration_text(server.grace));
        self.value(1, "server.body_limit", server.body_limit.map_or("off".to_owned(), bytes_text));
        self.value(1, "server.head_limit", size(server.head_limit));
        self.value(1, "server.max_connections", server.max_connections);
    }

    fn upstreams(&mut self) {
        let config = &self.loaded.config;
        if let Some(upstream) = &config.only_upstream {
            let origin = self.loaded.origins.of("upstream");
            self.comment(0, format_args!("everything goes to {} ({origin})", upstream.url()));
            self.hop(0, upstream.hop.as_deref());
        }
        self.heading(0, "upstreams:");
        for (name, upstream) in &config.upstreams {
            self.upstream(name, upstream);
        }
    }

    fn upstream(&mut self, name: &str, upstream: &Upstream) {
        self.heading(1, format_args!("{}:", quoted(name)));
        let url = format!("upstreams.{name}.url");
        let origin = match self.origin(&url) {
            Origin::Default => "built in".to_owned(),
            origin => origin.to_string(),
        };
        self.lines.push((format!("    url: {}", quoted(&upstream.url())), format!("{origin}; provider {}", upstream.provider)));
        if let Some(dialect) = &upstream.dialect {
            self.value(2, &format!("upstreams.{name}.dialect"), word_of(&DIALECTS, dialect));
        }
        if upstream.api_key.is_some() {
            self.value(2, &format!("upstreams.{name}.api_key"), MASKED);
        }
        if let Some(ca) = &upstream.ca {
            self.value(2, &format!("upstreams.{name}.ca"), quoted(&ca.display().to_string()));
        }
        if upstream.http2 != Http2::Auto {
            self.value(2, &format!("upstreams.{name}.http2"), word_of(&HTTP2, &upstream.http2));
        }
        self.hop(2, upstream.hop.as_deref());
    }

    fn hop(&mut self, depth: usize, hop: Option<&Hop>) {
        if let Some(hop) = hop {
            self.comment(depth, format_args!("through the proxy {hop} (env:{})", hop.variable));
        }
    }

    fn routes(&mut self) {
        let loaded = self.loaded;
        if loaded.config.routes.is_empty() {
            self.value(0, "routes", "[]");
            return;
        }
        self.heading(0, "routes:");
        for (i, route) in loaded.config.routes.iter().enumerate() {
            self.lines.push(("  -".to_owned(), loaded.origins.of(&format!("routes[{i}]")).to_string()));
            for (key, pattern) in [("path", &route.path), ("model", &route.model), ("agent", &route.agent)] {
                if let Some(pattern) = pattern {
                    self.value(2, &format!("routes[{i}].{key}"), quoted(pattern));
                }
            }
            if let Some(upstream) = &route.upstream {
                self.value(2, &format!("routes[{i}].upstream"), quoted(&upstream.name));
            }
            if *route.policy != *loaded.config.policy {
                self.policy_of(2, vec![format!("routes[{i}]")], &route.policy);
            }
        }
    }

    fn agents(&mut self) {
        let loaded = self.loaded;
        let agents = &loaded.config.agents;
        if agents.rules().is_empty() {
            self.value(0, "agents", "[]");
            return;
        }
        self.heading(0, "agents:");
        for (i, rule) in agents.rules().iter().enumerate() {
            let entry = format!("agents[{i}]");
            self.lines.push(("  -".to_owned(), loaded.origins.of(&entry).to_string()));
            self.value(2, &format!("{entry}.name"), quoted(&rule.name));
            if let Some(when) = &rule.when {
                self.when(&format!("{entry}.when"), when);
            }
            if let Some((_, policy)) = agents.policy(Some(&rule.name), None).filter(|(owner, _)| *owner == i) {
                self.only_own = true;
                let from = self.lines.len();
                self.policy_of(2, vec![entry], policy);
                self.only_own = false;
                self.drop_empty_headings(from);
            }
        }
    }

    /// Headings with nothing below them, from there on.
    fn drop_empty_headings(&mut self, from: usize) {
        let depth = |line: &str| line.len() - line.trim_start().len();
        let mut kept: Vec<(String, String)> = Vec::new();
        for (line, comment) in self.lines.drain(from..).rev() {
            if !comment.is_empty() || kept.last().is_some_and(|(below, _)| depth(below) > depth(&line)) {
                kept.push((line, comment));
            }
        }
        self.lines.extend(kept.into_iter().rev());
    }

    fn when(&mut self, path: &str, when: &When) {
        self.heading(2, "when:");
        if !when.headers.is_empty() {
            self.heading(3, "header:");
        }
        for (name, pattern) in &when.headers {
            let origin = self.origin(&format!("{path}.header.{name}")).to_string();
            self.lines.push((format!("        {}: {}", quoted(name.as_str()), quoted(pattern)), origin));
        }
        for (key, pattern) in [("path", &when.path), ("system", &when.system)] {
            if let Some(pattern) = pattern {
                self.value(3, &format!("{path}.{key}"), quoted(pattern));
            }
        }
        if let Some(hash) = &when.api_key {
            self.value(3, &format!("{path}.api_key_sha256"), format_args!("\"{hash}\""));
        }
    }

    fn selected(&mut self, selection: &Selection) {
        let config = &self.loaded.config;
        let Selection { agent, model, path } = selection;
        let given: Vec<_> = [("path", path), ("agent", agent), ("model", model)]
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", quoted(value.as_deref()?))))
            .collect();
        let path = path.as_deref().unwrap_or_default();
        let matches = |(_, route): &(usize, &Route)| route.matches(path, agent.as_deref(), model.as_deref());
        let route = config.routes.iter().enumerate().find(matches);
        let mut owners = Vec::new();
        match route {
            None => self.comment(0, format_args!("{}: no route matches", given.join(", "))),
            Some((i, route)) => {
                let owner = format!("routes[{i}]");
                self.comment(0, format_args!("{}: {owner} ({}) matches", given.join(", "), self.loaded.origins.of(&owner)));
                if let Some(upstream) = &route.upstream {
                    self.comment(0, format_args!("it goes to {} ({})", upstream.name, upstream.url()));
                }
                owners.push(owner);
            }
        }
        if let Some((i, _)) = config.agents.policy(agent.as_deref(), None) {
            let owner = format!("agents[{i}]");
            self.comment(0, format_args!("{owner} ({}) has policies of its own for this agent", self.loaded.origins.of(&owner)));
            owners.insert(0, owner);
        }
        self.policy_of(0, owners, config.policy(path, agent.as_deref(), model.as_deref()));
    }

    fn policy(&mut self, depth: usize, policy: &Policy) {
        self.carry(depth, &policy.carry);
        self.timeouts(depth, &policy.timeouts);
        self.retries(depth, &policy.retries);
        self.trimming(depth, policy.context);
    }

    fn carry(&mut self, depth: usize, carry: &Carry) {
        self.heading(depth, "carry:");
        self.value(depth + 1, "carry.include_usage", carry.include_usage);
        self.value(depth + 1, "carry.hold_head", carry.hold_head);
        self.value(depth + 1, "carry.error_events", carry.error_events);
        self.value(depth + 1, "carry.via", carry.via);
        self.value(depth + 1, "carry.should_retry", carry.should_retry);
        self.value(depth + 1, "carry.exchange_headers", carry.exchange_headers);
    }

    fn timeouts(&mut self, depth: usize, timeouts: &Timeouts) {
        self.heading(depth, "timeouts:");
        for (key, clock) in [
            ("connect", timeouts.connect),
            ("first_byte", timeouts.first_byte),
            ("first_token", timeouts.first_token),
            ("idle", timeouts.idle),
            ("total", timeouts.total),
            ("stream_total", timeouts.stream_total),
            ("upload", timeouts.upload),
            ("reader", timeouts.reader),
        ] {
            self.value(depth + 1, &format!("timeouts.{key}"), clock.map_or("off".to_owned(), duration_text));
        }
    }

    fn retries(&mut self, depth: usize, retries: &Retries) {
        self.heading(depth, "retries:");
        self.value(depth + 1, "retries.attempts", retries.attempts);
        self.heading(depth + 1, "backoff:");
        self.value(depth + 2, "retries.backoff.initial", duration_text(retries.backoff_initial));
        self.value(depth + 2, "retries.backoff.max", duration_text(retries.backoff_max));
        self.value(depth + 1, "retries.retry_after_max", duration_text(retries.retry_after_max));
        self.heading(depth + 1, "budget:");
        self.value(depth + 2, "retries.budget.ratio", retries.budget_ratio);
        self.value(depth + 2, "retries.budget.per_second", retries.budget_per_second);
        self.value(depth + 2, "retries.budget.burst", retries.budget_burst);
        self.value(depth + 1, "retries.body_max", bytes_text(retries.body_max));
        self.value(depth + 1, "retries.on_timeout", retries.on_timeout);
    }

    fn trimming(&mut self, depth: usize, context: Trimming) {
        self.heading(depth, "context:");
        self.value(depth + 1, "context.trim", word_of(&TRIMS, &context.trim));
        self.value(depth + 1, "context.target", context.target);
    }

    /// What of `context` is no policy: directly behind the rest of it.
    fn windows(&mut self, context: &Context) {
        let windows: Vec<_> = context.windows.iter().map(|(pattern, tokens)| (pattern, tokens.to_string())).collect();
        self.by_model(1, "context.windows", &windows);
    }

    fn prices(&mut self, prices: &ByModel<Prices>) {
        let known = |prices: &Prices| {
            let Prices { input, output, cache_read, cache_write } = *prices;
            let all = [("input", input), ("output", output), ("cache_read", cache_read), ("cache_write", cache_write)];
            let known: Vec<_> = all.into_iter().filter_map(|(key, price)| Some(format!("{key}: {}", price?))).collect();
            format!("{{{}}}", known.join(", "))
        };
        let prices: Vec<_> = prices.iter().map(|(pattern, prices)| (pattern, known(prices))).collect();
        self.by_model(1, "telemetry.prices", &prices);
    }

    /// A section whose keys are globs of models' names.
    fn by_model(&mut self, depth: usize, path: &str, said: &[(&str, String)]) {
        if said.is_empty() {
            return self.value(depth, path, "{}");
        }
        self.heading(depth, format_args!("{}:", path.rsplit('.').next().unwrap_or(path)));
        for (pattern, value) in said {
            let own = format!("{path}.{pattern}");
            let paths = [own.clone(), format!("{own}.input"), format!("{own}.output")];
            let origin = paths.iter().map(|path| self.loaded.origins.of(path)).find(|origin| **origin != Origin::Default);
            let origin = origin.map_or_else(String::new, Origin::to_string);
            let glob = serde_json::Value::from(*pattern);
            self.lines.push((format!("{:1$}{glob}: {value}", "", (depth + 1) * 2), origin));
        }
    }

    fn telemetry(&mut self, telemetry: &Telemetry) {
        self.heading(0, "telemetry:");
        match &telemetry.otlp {
            None => self.value(1, "telemetry.otlp", "off"),
            Some(otlp) => self.otlp(otlp),
        }
        for (name, value) in &telemetry.resource {
            let origin = self.loaded.origins.of(&format!("telemetry.resource.{name}"));
            self.comment(1, format_args!("resource: {}={} ({origin})", quoted(name), quoted(value)));
        }
        self.value(1, "telemetry.sample", telemetry.sample);
        self.heading(1, "log:");
        self.value(2, "telemetry.log.level", word_of(&LEVELS, &telemetry.log_level));
        self.value(2, "telemetry.log.format", word_of(&FORMATS, &telemetry.log_format));
        self.value(1, "telemetry.max_agents", telemetry.max_agents);
        self.value(1, "telemetry.max_series", telemetry.max_series);
        self.value(1, "telemetry.propagate", telemetry.propagate);
        self.value(1, "telemetry.attempt_spans", word_of(&ATTEMPT_SPANS, &telemetry.attempt_spans));
        self.value(1, "telemetry.capture_content", telemetry.capture_content);
        self.prices(&telemetry.prices);
    }

    fn otlp(&mut self, otlp: &Otlp) {
        self.heading(1, "otlp:");
        self.value(2, "telemetry.otlp.endpoint", quoted(&otlp.endpoint));
        self.value(2, "telemetry.otlp.protocol", word_of(&PROTOCOLS, &otlp.protocol));
        if !otlp.headers.is_empty() {
            self.heading(2, "headers:");
        }
        for (name, _) in &otlp.headers {
            let whole = self.loaded.origins.of("telemetry.otlp.headers");
            let own = self.loaded.origins.of(&format!("telemetry.otlp.headers.{name}"));
            let origin = if *own == Origin::Default { whole } else { own }.to_string();
            self.lines.push((format!("      {}: {MASKED}", quoted(name)), origin));
        }
        self.value(2, "telemetry.otlp.timeout", duration_text(otlp.timeout));
        self.value(2, "telemetry.otlp.compression", word_of(&COMPRESSIONS, &otlp.compression));
        let client = otlp.client.as_ref();
        let files = [
            ("ca", otlp.ca.as_ref()),
            ("client_certificate", client.map(|client| &client.certificate)),
            ("client_key", client.map(|client| &client.key)),
        ];
        for (key, file) in files {
            if let Some(file) = file {
                self.value(2, &format!("telemetry.otlp.{key}"), quoted(&file.display().to_string()));
            }
        }
    }
}

/// What stands for a credential; quoted, for a plain `*` begins an alias.
const MASKED: &str = "\"***\"";

fn size(bytes: usize) -> String {
    u64::try_from(bytes).map_or_else(|_| bytes.to_string(), bytes_text)
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}

/// A text as YAML takes it: as it is where nothing in it means anything, else in double quotes.
fn quoted(text: &str) -> String {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ':' | '@' | '+' | '=');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(is_inside) && !text.ends_with(':');
    if is_plain && !text.eq_ignore_ascii_case("null") {
        return text.to_owned();
    }
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}

#[cfg(test)]
mod tests;
