//! Reads `telemetry`, and what OpenTelemetry's own variables say about it.

use std::path::Path;

use super::{
    AttemptSpans, LogFormat, LogLevel, Telemetry,
    environment::Environment,
    errors::Origin,
    fields::{Fields, Reading},
    models, otlp, values,
};

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

/// Variables that change how spans leave, the values that ask for what happens anyway, and nothing of it here.
const NOT_HONOURED: [(&str, &[&str]); 2] = [("OTEL_TRACES_EXPORTER", &["otlp", "none"]), ("OTEL_TRACES_SAMPLER", &["parentbased_always_on"])];

/// `telemetry`. `base`: the folder that paths of files start from.
pub(super) fn telemetry(mut fields: Fields<'_, '_>, base: &Path) -> Telemetry {
    let mut telemetry = Telemetry { otlp: otlp::otlp(&mut fields, base), ..Telemetry::default() };
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
    fields.set("capture_content", &mut telemetry.capture_content, values::switch);
    fields.later("semconv", &["1.41"]);
    telemetry.prices = models::prices(&mut fields);
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
        match otlp::pairs(text) {
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
