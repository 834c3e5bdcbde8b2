//! Reads `telemetry`, and what OpenTelemetry's own variables say about it.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::{
    AttemptSpans, LogFormat, LogLevel, Otlp, Telemetry, defaults,
    environment::{Environment, TRACES_ENDPOINT},
    errors::Origin,
    fields::{Fields, Reading, Wanted},
    tree::{Node, Value},
    upstreams::{Url, UrlError},
    values,
};
use crate::secret::Secret;

/// `log.level`.
pub(super) const LEVELS: [(&str, LogLevel); 6] = [
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
    ("off", LogLevel::Off),
];

/// `log.format`.
pub(super) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// `attempt_spans`.
pub(super) const ATTEMPT_SPANS: [(&str, AttemptSpans); 2] = [("always", AttemptSpans::Always), ("when_retried", AttemptSpans::WhenRetried)];

/// Where a collector listens for spans. <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>
const TRACES_PATH: &str = "/v1/traces";

/// Variables that change how spans leave, the values that ask for what happens anyway, and nothing of it here.
const NOT_HONOURED: [(&str, &[&str]); 7] = [
    ("OTEL_TRACES_EXPORTER", &["otlp", "none"]),
    ("OTEL_TRACES_SAMPLER", &["parentbased_always_on"]),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &[]),
];

/// What the variables of OpenTelemetry begin with.
const OPENTELEMETRY: &str = "OTEL_";

/// `telemetry`.
pub(super) fn telemetry(mut fields: Fields<'_, '_>) -> Telemetry {
    let mut telemetry = Telemetry { otlp: otlp(&mut fields), ..Telemetry::default() };
    fields.set("sample", &mut telemetry.sample, values::number(0.0..=1.0));
    fields.section("log", |mut fields| {
        fields.set("level", &mut telemetry.log_level, values::one_of(&LEVELS));
        fields.set("format", &mut telemetry.log_format, values::one_of(&FORMATS));
        fields.finish();
    });
    fields.set("max_agents", &mut telemetry.max_agents, values::whole(1..=10_000));
    fields.set("max_series", &mut telemetry.max_series, values::whole(100..=1_000_000));
    fields.set("propagate", &mut telemetry.propagate, values::switch);
    fields.set("attempt_spans", &mut telemetry.attempt_spans, values::one_of(&ATTEMPT_SPANS));
    fields.later("capture_content", &["false"]);
    fields.later("semconv", &["1.41"]);
    fields.later("prices", &[]);
    if telemetry.otlp.is_some() {
        warn_of_what_is_not_honoured(fields.reading);
    }
    fields.finish();
    telemetry
}

/// `service.name` and whatever else is to stand on every span: `OTEL_SERVICE_NAME` over `OTEL_RESOURCE_ATTRIBUTES` over the default.
/// A list that cannot be read is left out whole, with a warning, as its specification asks.
pub(super) fn resource(reading: &mut Reading<'_>) -> Vec<(String, String)> {
    let environment: &Environment = reading.environment;
    let mut resource = Telemetry::default().resource;
    let mut set = |name: &str, value: String| match resource.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => resource.push((name.to_owned(), value)),
    };
    if let Some(text) = environment.of("OTEL_RESOURCE_ATTRIBUTES") {
        match pairs(text) {
            Ok(pairs) => pairs.into_iter().for_each(|(name, value)| {
                reading.origins.set(format!("telemetry.resource.{name}"), Origin::Environment("OTEL_RESOURCE_ATTRIBUTES".to_owned()));
                set(&name, value);
            }),
            Err(wanted) => reading.warnings.push(format!("OTEL_RESOURCE_ATTRIBUTES is left out: wants {wanted}")),
        }
    }
    if let Some(name) = environment.of("OTEL_SERVICE_NAME") {
        reading.origins.set("telemetry.resource.service.name".to_owned(), Origin::Environment("OTEL_SERVICE_NAME".to_owned()));
        set("service.name", name.to_owned());
    }
    resource
}

fn warn_of_what_is_not_honoured(reading: &mut Reading<'_>) {
    for (name, harmless) in NOT_HONOURED {
        if reading.environment.of(name).is_some_and(|value| !harmless.contains(&value)) {
            reading.warnings.push(format!("{name} is left out: this version does not know it"));
        }
    }
}

fn otlp(fields: &mut Fields<'_, '_>) -> Option<Otlp> {
    let path = fields.path_of("otlp");
    let node = fields.take("otlp")?;
    if matches!(&node.value, Value::Text(text) if text == "off") {
        fields.reading.origins.set(path, node.origin);
        return None;
    }
    let is_empty = matches!(&node.value, Value::Nothing) || matches!(&node.value, Value::Map(entries) if entries.is_empty());
    let origin = node.origin.clone();
    let mut fields = Fields::of(fields.reading, path, node);
    let endpoint_path = fields.path_of("endpoint");
    let endpoint_node = fields.take("endpoint");
    // Headers or a timeout alone in OpenTelemetry's variables are set for whoever does have an endpoint.
    if endpoint_node.is_none() && !is_empty && !is_of_opentelemetry(&origin) {
        fields.reading.report(&origin, &endpoint_path, "is missing: where are spans to go?");
    }
    let endpoint = endpoint_node.and_then(|node| endpoint(fields.reading, &endpoint_path, node));
    fields.value("protocol", protocol);
    let headers_path = fields.path_of("headers");
    let headers = fields.take("headers").map(|node| headers(fields.reading, &headers_path, node)).unwrap_or_default();
    let timeout = timeout(&mut fields);
    fields.finish();
    Some(Otlp { endpoint: endpoint?, headers, timeout })
}

fn is_of_opentelemetry(origin: &Origin) -> bool {
    matches!(origin, Origin::Environment(name) if name.starts_with(OPENTELEMETRY))
}

/// A base to which the path of traces is added unless it is there already; but one variable names the whole URL.
fn endpoint(reading: &mut Reading<'_>, path: &str, node: Node) -> Option<String> {
    let is_whole = node.origin == Origin::Environment(TRACES_ENDPOINT.to_owned());
    reading.parsed_in_secret(path, node, |text| {
        let mut url = Url::parse(text).map_err(UrlError::wanted)?;
        if !is_whole && !url.path.ends_with(TRACES_PATH) {
            url.path.push_str(TRACES_PATH);
        } else if url.path.is_empty() {
            url.path.push('/');
        }
        Ok(url.to_string())
    })
}

fn protocol(text: &str) -> Result<(), Wanted> {
    match text {
        "http/protobuf" => Ok(()),
        "grpc" => Err("`http/protobuf`; `grpc` is not supported by this version yet".into()),
        _ => Err("`http/protobuf`".into()),
    }
}

/// A duration; in OpenTelemetry's variables a number of milliseconds.
fn timeout(fields: &mut Fields<'_, '_>) -> Duration {
    let path = fields.path_of("timeout");
    let Some(node) = fields.take("timeout") else { return defaults::OTLP_TIMEOUT };
    let is_number = is_of_opentelemetry(&node.origin);
    let milliseconds =
        |text: &str| values::whole(1..=600_000)(text).map(Duration::from_millis).map_err(|wanted| format!("{wanted}: milliseconds").into());
    let written = |text: &str| match values::clock(text) {
        Ok(Some(duration)) => Ok(duration),
        _ => Err("a duration such as `10s`, from `1ms` to `7d`".into()),
    };
    fields.reading.parsed(&path, node, |text| if is_number { milliseconds(text) } else { written(text) }).unwrap_or(defaults::OTLP_TIMEOUT)
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
fn pairs(text: &str) -> Result<Vec<(String, String)>, Wanted> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let pair = |item: &str| {
        let (name, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        (!name.trim().is_empty()).then(|| (name.trim().to_owned(), value.into_owned()))
    };
    items.map(pair).collect::<Option<_>>().ok_or_else(|| "`name=value,name=value`, values percent-encoded".into())
}
