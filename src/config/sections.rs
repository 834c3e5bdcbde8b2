//! Reads the sections that are keys and values only: the two ports, and the policies that routes may override.

use std::path::Path;

use super::{
    Carry, Context, Listen, Policy, Retries, Server, Timeouts, Trim, Trimming,
    errors::Origin,
    fields::{Fields, Reading},
    listen::listen,
    models,
    tls::tls,
    values,
};

/// Most that may be held of one request's body: what all of them may hold together.
const MOST_BODY: u64 = 256 << 20;

/// What `context.trim` can be.
pub(super) const TRIMS: [(&str, Trim); 2] = [("oversize", Trim::Oversize), ("off", Trim::Off)];

/// `server`. `base`: the folder that paths of files start from.
pub(super) fn server(mut fields: Fields<'_, '_>, base: &Path) -> Server {
    let mut server = Server::default();
    fields.set("listen", &mut server.listen, listen);
    fields.set("admin", &mut server.admin, listen);
    server.admin_token = fields.secret("admin_token", values::credential);
    server.hosts = hosts(&mut fields);
    fields.set("drain_delay", &mut server.drain_delay, values::duration);
    fields.set("grace", &mut server.grace, values::duration);
    fields.set("body_limit", &mut server.body_limit, |text| if text == "off" { Ok(None) } else { values::size(1..=1 << 40)(text).map(Some) });
    // Below 8 KiB hyper refuses to work; above 1 MiB a head is an attack.
    fields.set("head_limit", &mut server.head_limit, values::size(8 << 10..=1 << 20));
    fields.set("max_connections", &mut server.max_connections, values::whole(1..=1_000_000));
    server.tls = fields.section("tls", |section| tls(section, base)).flatten();
    check_ports(fields.reading, &server);
    check_tls(fields.reading, &server);
    fields.finish();
    server
}

/// The policies that `fields` holds, on top of `base`: the defaults for the file, the file's for a route.
pub(super) fn policy(fields: &mut Fields<'_, '_>, base: &Policy) -> Policy {
    let Policy { context, .. } = *base;
    let context = fields.section("context", |section| trimming(section, context)).unwrap_or(context);
    others(fields, base, context)
}

/// The policies of the file, and what is known of models' windows, which is no policy but stands in the same section.
pub(super) fn policy_and_windows(fields: &mut Fields<'_, '_>) -> (Policy, Context) {
    let base = Policy::default();
    let mut windows = Context::default();
    let context = fields.section_or_none("context", |mut section| {
        windows = models::context(&mut section);
        trimming(section, base.context)
    });
    (others(fields, &base, context), windows)
}

fn others(fields: &mut Fields<'_, '_>, base: &Policy, context: Trimming) -> Policy {
    let Policy { carry, timeouts, retries, .. } = base.clone();
    Policy {
        context,
        carry: fields.section("carry", |section| self::carry(section, carry.clone())).unwrap_or(carry),
        timeouts: fields.section("timeouts", |section| self::timeouts(section, timeouts.clone())).unwrap_or(timeouts),
        retries: fields.section("retries", |section| self::retries(section, retries.clone())).unwrap_or(retries),
    }
}

fn carry(mut fields: Fields<'_, '_>, mut carry: Carry) -> Carry {
    fields.set("include_usage", &mut carry.include_usage, values::switch);
    fields.set("hold_head", &mut carry.hold_head, values::switch);
    fields.set("error_events", &mut carry.error_events, values::switch);
    fields.set("via", &mut carry.via, values::switch);
    fields.set("should_retry", &mut carry.should_retry, values::switch);
    fields.set("exchange_headers", &mut carry.exchange_headers, values::switch);
    fields.finish();
    carry
}

fn timeouts(mut fields: Fields<'_, '_>, mut timeouts: Timeouts) -> Timeouts {
    fields.set("connect", &mut timeouts.connect, values::clock);
    fields.set("first_byte", &mut timeouts.first_byte, values::clock);
    fields.set("first_token", &mut timeouts.first_token, values::clock);
    fields.set("idle", &mut timeouts.idle, values::clock);
    fields.set("total", &mut timeouts.total, values::clock);
    fields.set("stream_total", &mut timeouts.stream_total, values::clock);
    fields.set("upload", &mut timeouts.upload, values::clock);
    fields.set("reader", &mut timeouts.reader, values::clock);
    fields.later("heartbeat", &["off"]);
    fields.finish();
    timeouts
}

fn retries(mut fields: Fields<'_, '_>, mut retries: Retries) -> Retries {
    fields.set("attempts", &mut retries.attempts, values::whole(1..=20));
    fields.section("backoff", |mut fields| {
        fields.set("initial", &mut retries.backoff_initial, values::duration);
        fields.set("max", &mut retries.backoff_max, values::duration);
        if retries.backoff_initial > retries.backoff_max {
            let path = later_of(fields.reading, [fields.path_of("initial"), fields.path_of("max")]);
            let origin = fields.reading.origins.of(&path).clone();
            fields.reading.report(&origin, &path, "`initial` is longer than `max`");
        }
        fields.finish();
    });
    fields.set("retry_after_max", &mut retries.retry_after_max, values::duration);
    fields.section("budget", |mut fields| {
        fields.set("ratio", &mut retries.budget_ratio, values::number(0.0..=20.0));
        fields.set("per_second", &mut retries.budget_per_second, values::number(0.0..=10_000.0));
        fields.set("burst", &mut retries.budget_burst, values::number(0.0..=100_000.0));
        fields.finish();
    });
    fields.set("body_max", &mut retries.body_max, values::size(0..=MOST_BODY));
    fields.set("on_timeout", &mut retries.on_timeout, values::switch);
    fields.finish();
    retries
}

fn trimming(mut fields: Fields<'_, '_>, mut trimming: Trimming) -> Trimming {
    fields.set("trim", &mut trimming.trim, values::one_of(&TRIMS));
    // Below, hardly anything is left; above, the cut would move with every turn.
    fields.set("target", &mut trimming.target, values::number(0.3..=0.95));
    fields.finish();
    trimming
}

fn hosts(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let path = fields.path_of("hosts");
    let nodes = fields.list("hosts").unwrap_or_default();
    nodes.into_iter().enumerate().filter_map(|(i, node)| fields.reading.parsed(&format!("{path}[{i}]"), node, values::host)).collect()
}

fn check_ports(reading: &mut Reading<'_>, server: &Server) {
    if clash(&server.listen, &server.admin) {
        let path = later_of(reading, ["server.listen".to_owned(), "server.admin".to_owned()]);
        let origin = reading.origins.of(&path).clone();
        let message = format!(
            "`listen` ({}) and `admin` ({}) cannot share {}",
            server.listen,
            server.admin,
            if server.listen.tcp().is_some() { "a port" } else { "a socket" }
        );
        reading.report(&origin, &path, message);
    }
    if server.admin.is_beyond_loopback() && server.admin_token.is_none() {
        let origin = reading.origins.of("server.admin").clone();
        let message = format!("an admin port beyond loopback ({}) wants `server.admin_token`", server.admin);
        reading.report(&origin, "server.admin", message);
    }
    for (key, address) in [("server.listen", &server.listen), ("server.admin", &server.admin)] {
        if address.is_beyond_loopback() {
            let origin = reading.origins.of(key).clone();
            reading.warnings.push(format!("{key} is {address} ({origin}): reachable from beyond this machine"));
        }
    }
}

/// TLS over what only this machine's containers share protects nothing.
fn check_tls(reading: &mut Reading<'_>, server: &Server) {
    if server.tls.is_some() && server.listen.unix().is_some() {
        let origin = reading.origins.of("server.tls.cert").clone();
        reading.report(&origin, "server.tls", "is of no use: `listen` is a Unix socket");
    }
}

/// Of two keys, the one that somebody set last.
fn later_of(reading: &Reading<'_>, paths: [String; 2]) -> String {
    let [first, second] = paths;
    let is_second = reading.origins.of(&first) == &Origin::Default || reading.origins.of(&second) > reading.origins.of(&first);
    if is_second { second } else { first }
}

fn clash(a: &Listen, b: &Listen) -> bool {
    let (Some(a), Some(b)) = (a.tcp(), b.tcp()) else { return a == b };
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified())
}
