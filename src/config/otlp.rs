//! Reads `telemetry.otlp`, and OpenTelemetry's own variables as their specification has them: a variable that cannot be read is left out with a
//! warning, for it may be meant for another program; but one that decides where spans go, or as whom, must be right.
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::{
    ClientCertificate, Compression, Otlp, Protocol, defaults, destinations,
    environment::{INSECURE, TRACES_ENDPOINT, TRACES_INSECURE},
    errors::Origin,
    fields::{Fields, Reading, Wanted},
    tree::{Node, Value},
    upstreams::{Url, UrlError},
    values,
};
use crate::secret::Secret;

/// `protocol`.
pub(super) const PROTOCOLS: [(&str, Protocol); 2] = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];

/// `compression`.
pub(super) const COMPRESSIONS: [(&str, Compression); 2] = [("none", Compression::None), ("gzip", Compression::Gzip)];

/// Where a collector listens for spans. <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>
const TRACES_PATH: &str = "/v1/traces";

/// The ports of OTLP over gRPC and over HTTP. <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-default-port>
const GRPC_PORT: u16 = 4317;
const HTTP_PORT: u16 = 4318;

/// What the variables of OpenTelemetry begin with.
const OPENTELEMETRY: &str = "OTEL_";

/// `telemetry.otlp`; `None` where spans go nowhere. `base`: the folder that paths of files start from.
pub(super) fn otlp(fields: &mut Fields<'_, '_>, base: &Path) -> Option<Otlp> {
    let path = fields.path_of("otlp");
    let node = fields.take("otlp")?;
    if matches!(&node.value, Value::Text(text) if text == "off") {
        fields.reading.origins.set(path, node.origin);
        return None;
    }
    let is_empty = matches!(&node.value, Value::Nothing) || matches!(&node.value, Value::Map(entries) if entries.is_empty());
    let origin = node.origin.clone();
    let mut fields = Fields::of(fields.reading, path, node);
    let protocol = word(&mut fields, "protocol", &PROTOCOLS).unwrap_or(Protocol::HttpProtobuf);
    let endpoint_path = fields.path_of("endpoint");
    let endpoint_node = fields.take("endpoint");
    // Headers or a timeout alone in OpenTelemetry's variables are set for whoever does have an endpoint.
    if endpoint_node.is_none() && !is_empty && !is_of_opentelemetry(&origin) {
        fields.reading.report(&origin, &endpoint_path, "is missing: where are spans to go?");
    }
    let has_endpoint = endpoint_node.is_some();
    let endpoint = endpoint_node.and_then(|node| endpoint(fields.reading, &endpoint_path, node, protocol));
    let headers_path = fields.path_of("headers");
    let headers = fields.take("headers").map(|node| headers(fields.reading, &headers_path, node)).unwrap_or_default();
    let timeout = timeout(&mut fields);
    let compression = word(&mut fields, "compression", &COMPRESSIONS).unwrap_or(Compression::None);
    let [ca, certificate, key] = ["ca", "client_certificate", "client_key"].map(|name| file(&mut fields, name, base));
    let client = client(&mut fields, certificate, key, has_endpoint);
    let Some(endpoint) = endpoint else {
        fields.finish();
        return None;
    };
    let certificates = [("ca", ca.as_ref()), ("client_certificate", client.as_ref().map(|client| &client.certificate))];
    for (key, file) in certificates.into_iter().filter_map(|(key, file)| Some((key, file?))) {
        check(&mut fields, key, file, &endpoint);
    }
    fields.finish();
    Some(Otlp { endpoint, protocol, headers, timeout, compression, ca, client })
}

fn is_of_opentelemetry(origin: &Origin) -> bool {
    matches!(origin, Origin::Environment(name) if name.starts_with(OPENTELEMETRY))
}

/// A key's value. A variable of OpenTelemetry is read in a way of its own, and one that cannot be read leaves the default.
fn either<T>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    of_opentelemetry: impl FnOnce(&str) -> Result<T, Wanted>,
    ours: impl FnOnce(&str) -> Result<T, Wanted>,
) -> Option<T> {
    let path = fields.path_of(key);
    let node = fields.take(key)?;
    let (Origin::Environment(name), Value::Text(text), true) = (&node.origin, &node.value, is_of_opentelemetry(&node.origin)) else {
        return fields.reading.parsed(&path, node, ours);
    };
    match of_opentelemetry(text.trim()) {
        Ok(value) => {
            fields.reading.origins.set(path, node.origin);
            Some(value)
        }
        Err(wanted) => {
            fields.reading.warnings.push(format!("{name} is left out: wants {wanted}"));
            None
        }
    }
}

/// One of a few words; in OpenTelemetry's variables in upper case too.
fn word<T: Copy>(fields: &mut Fields<'_, '_>, key: &'static str, table: &'static [(&'static str, T)]) -> Option<T> {
    either(fields, key, |text| values::one_of(table)(&text.to_ascii_lowercase()), values::one_of(table))
}

/// For HTTP a base to which the path of traces is added unless it is there already, but one variable names the whole URL; for gRPC scheme, host and port.
fn endpoint(reading: &mut Reading<'_>, path: &str, node: Node, protocol: Protocol) -> Option<String> {
    let is_whole = node.origin == Origin::Environment(TRACES_ENDPOINT.to_owned());
    let scheme = if is_insecure(reading) { "http" } else { "https" };
    let url = reading.parsed_in_secret(path, node, |text| match protocol {
        // gRPC's own way to name a peer has no scheme.
        Protocol::Grpc if !text.contains("://") => http_url(&with_port(scheme, text)),
        Protocol::Grpc | Protocol::HttpProtobuf => http_url(text),
    });
    let mut url = url?;
    match protocol {
        Protocol::HttpProtobuf if !is_whole && !url.path.ends_with(TRACES_PATH) => url.path.push_str(TRACES_PATH),
        Protocol::HttpProtobuf if url.path.is_empty() => url.path.push('/'),
        Protocol::HttpProtobuf => {}
        Protocol::Grpc if url.path.is_empty() => {}
        Protocol::Grpc => {
            reading.warnings.push(format!("{path}: its path is left out: `protocol` is `grpc`, which has a path of its own"));
            url.path.clear();
        }
    }
    warn_of_the_other_port(reading, path, url.port, protocol);
    Some(url.to_string())
}

fn http_url(text: &str) -> Result<Url, Wanted> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    if is_http { Url::parse(text) } else { Err(UrlError::NotHttp) }.map_err(UrlError::wanted)
}

/// What most often is wrong when nothing arrives.
fn warn_of_the_other_port(reading: &mut Reading<'_>, path: &str, port: u16, protocol: Protocol) {
    let (is_others, meant) = match protocol {
        Protocol::HttpProtobuf => (port == GRPC_PORT, "grpc"),
        Protocol::Grpc => (port == HTTP_PORT, "http/protobuf"),
    };
    if is_others {
        reading.warnings.push(format!("{path}: {port} is the usual port of the other protocol; if no span arrives, set `protocol: {meant}`"));
    }
}

/// Whether a gRPC endpoint without a scheme is to be reached without TLS.
fn is_insecure(reading: &Reading<'_>) -> bool {
    let value = reading.environment.of(TRACES_INSECURE).or_else(|| reading.environment.of(INSECURE));
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// `host` or `host:port` as a URL: without a port it is that of gRPC.
fn with_port(scheme: &str, authority: &str) -> String {
    let authority = authority.trim();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { format!("{scheme}://{authority}") } else { format!("{scheme}://{authority}:{GRPC_PORT}") }
}

/// A duration; in OpenTelemetry's variables a number of milliseconds.
fn timeout(fields: &mut Fields<'_, '_>) -> Duration {
    let milliseconds =
        |text: &str| values::whole(1..=600_000)(text).map(Duration::from_millis).map_err(|wanted| format!("{wanted}: milliseconds").into());
    let written = |text: &str| match values::clock(text) {
        Ok(Some(duration)) => Ok(duration),
        _ => Err("a duration such as `10s`, from `1ms` to `7d`".into()),
    };
    either(fields, "timeout", milliseconds, written).unwrap_or(defaults::OTLP_TIMEOUT)
}

/// A file. One that a variable names is looked for from where we were started, as the specification's readers do.
fn file(fields: &mut Fields<'_, '_>, key: &'static str, base: &Path) -> Option<PathBuf> {
    let path = fields.path_of(key);
    let node = fields.take(key)?;
    let base = if matches!(node.origin, Origin::Environment(_)) { Path::new("") } else { base };
    fields.reading.parsed(&path, node, |text| Ok(base.join(text)))
}

/// Whether a file of certificates can be used. Where there is no TLS, that is told of what is written here; a variable may be meant for others.
fn check(fields: &mut Fields<'_, '_>, key: &'static str, file: &Path, endpoint: &str) {
    let path = fields.path_of(key);
    let origin = fields.reading.origins.of(&path).clone();
    if endpoint.starts_with("https:") {
        if let Err(message) = destinations::check_certificates(file) {
            fields.reading.report(&origin, &path, message);
        }
    } else if !is_of_opentelemetry(&origin) {
        fields.reading.report(&origin, &path, "is of no use: the `endpoint` is not `https://`");
    }
}

/// A certificate is nothing without its key.
fn client(fields: &mut Fields<'_, '_>, certificate: Option<PathBuf>, key: Option<PathBuf>, has_endpoint: bool) -> Option<ClientCertificate> {
    let (missing, there) = match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(ClientCertificate { certificate, key }),
        (Some(_), None) => ("client_key", "client_certificate"),
        (None, Some(_)) => ("client_certificate", "client_key"),
        (None, None) => return None,
    };
    if has_endpoint {
        let origin = fields.reading.origins.of(&fields.path_of(there)).clone();
        fields.reading.report(&origin, &fields.path_of(missing), format!("is missing: `{there}` is of no use without it"));
    }
    None
}

/// A section of names and values, or in a variable `name=value,name=value`.
fn headers(reading: &mut Reading<'_>, path: &str, node: Node) -> Vec<(String, Secret)> {
    if matches!((&node.value, &node.origin), (Value::Text(_), Origin::Environment(_))) {
        let parse = |text: &str| pairs(text)?.into_iter().map(|(name, value)| header(&name, &value)).collect();
        return reading.parsed_in_secret(path, node, parse).unwrap_or_default();
    }
    let Value::Map(entries) = node.value else {
        if !matches!(node.value, Value::Nothing) {
            reading.report(&node.origin, path, "wants the names of headers, each with its value");
        }
        return Vec::new();
    };
    let mut headers = Vec::new();
    for (key, node) in entries {
        let path = format!("{path}.{}", key.text.to_ascii_lowercase());
        if matches!(key.origin, Origin::Environment(_)) {
            reading.report(&key.origin, &path, "the name of a variable cannot say that of a header: set all of them as `name=value,name=value`");
        } else {
            headers.extend(reading.parsed_in_secret(&path, node, |text| header(&key.text, text)));
        }
    }
    headers
}

fn header(name: &str, value: &str) -> Result<(String, Secret), Wanted> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "the name of a header: letters, digits and `-`")?;
    HeaderValue::from_str(value.trim()).map_err(|_| "the value of a header: visible ASCII and spaces")?;
    Ok((name.as_str().to_owned(), Secret::new(value.trim())))
}

/// `name=value,name=value`, values percent-encoded. <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables>
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, Wanted> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), value.into_owned()))
    };
    items.map(pair).collect::<Option<_>>().ok_or_else(|| "`name=value,name=value`, values percent-encoded".into())
}

#[cfg(test)]
mod tests;
