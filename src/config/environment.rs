//! The environment as a layer of the config: `PILLION_TIMEOUTS__TOTAL=30s` is the key `timeouts.total`, and the variables that
//! OpenTelemetry names are the keys of `telemetry.otlp`. An empty variable counts as unset.

use std::{collections::BTreeMap, fmt};

use super::{
    errors::Origin,
    tree::{Key, Node, Value},
};

/// What every variable of ours begins with.
const PREFIX: &str = "PILLION_";

/// Names with the prefix that are no keys.
const NOT_KEYS: [&str; 1] = [FILE];

/// The file to read where no `--config` names one.
pub(super) const FILE: &str = "PILLION_CONFIG";

/// A traces URL that is taken as it stands.
pub(super) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Whether a gRPC endpoint without a scheme is to be reached without TLS.
pub(super) const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
/// The same for traces alone.
pub(super) const TRACES_INSECURE: &str = "OTEL_EXPORTER_OTLP_TRACES_INSECURE";

/// OpenTelemetry's names and the keys they stand for; of two for one key the later wins.
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>
const OPENTELEMETRY: [(&str, &str); 16] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "ENDPOINT"),
    (TRACES_ENDPOINT, "ENDPOINT"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "HEADERS"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "HEADERS"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "TIMEOUT"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "TIMEOUT"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "PROTOCOL"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "PROTOCOL"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "COMPRESSION"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "COMPRESSION"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "CA"),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "CA"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "CLIENT_CERTIFICATE"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "CLIENT_CERTIFICATE"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "CLIENT_KEY"),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "CLIENT_KEY"),
];

/// The environment at one moment. Its values are secrets until a key says otherwise: `Debug` shows none.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
    }

    /// The variable's value, if it is set to anything.
    pub fn of(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable's value, empty or not: for `${VAR}`.
    pub(super) fn even_empty(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Lays what the variables say over the file's tree.
    pub(super) fn lay_over(&self, root: &mut Node) {
        if let Some(name) = self.switches_otlp_off() {
            put(root, &["TELEMETRY", "OTLP"], "off", &Origin::Environment(name.to_owned()));
        } else {
            for (name, key) in OPENTELEMETRY {
                if let Some(value) = self.of(name) {
                    put(root, &["TELEMETRY", "OTLP", key], value, &Origin::Environment(name.to_owned()));
                }
            }
        }
        for (name, value) in self.0.range(PREFIX.to_owned()..).take_while(|(name, _)| name.starts_with(PREFIX)) {
            if value.is_empty() || NOT_KEYS.contains(&name.as_str()) || is_of_kubernetes(name, value) {
                continue;
            }
            let segments: Vec<&str> = name.strip_prefix(PREFIX).unwrap_or(name).split("__").collect();
            put(root, &segments, value, &Origin::Environment(name.clone()));
        }
    }

    fn switches_otlp_off(&self) -> Option<&'static str> {
        let says = |name, word: &str| self.of(name).is_some_and(|value: &str| value.trim().eq_ignore_ascii_case(word));
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")].into_iter().find(|(name, word)| says(name, word)).map(|(name, _)| name)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

/// The name of the variable for a key path.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.split('.').map(segment_of).collect::<Vec<_>>().join("__"))
}

/// A key as it stands in the name of a variable.
pub(super) fn segment_of(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Kubernetes tells every container of the services around it: a service named `pillion` sets `PILLION_PORT` and its like,
/// which must not keep the sidecar from starting. <https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>
fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_url = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let numbered = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| {
        let before = name.find(protocol).and_then(|at| name.get(..at)).unwrap_or_default();
        before.rsplit_once("_PORT_").is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
    });
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT") && is_url
        || numbered
}

/// Sets one value of the tree. What the file has in the way stays there: its reader says what is wrong with it.
/// `segments` are keys as they stand in variables.
pub(super) fn put(root: &mut Node, segments: &[&str], text: &str, origin: &Origin) {
    let mut node = root;
    for segment in segments {
        match &node.value {
            Value::Map(_) => {}
            Value::Nothing => node.value = Value::Map(Vec::new()),
            // `otlp: off` in the file, and an endpoint in the environment.
            Value::Text(text) if text == "off" => node.value = Value::Map(Vec::new()),
            Value::Text(_) | Value::List(_) => return,
        }
        let Value::Map(entries) = &mut node.value else { return };
        let at = entries.iter().position(|(key, _)| segment_of(&key.text) == *segment).unwrap_or_else(|| {
            let key = Key { text: segment.to_ascii_lowercase(), origin: origin.clone() };
            entries.push((key, Node { origin: origin.clone(), value: Value::Nothing }));
            entries.len() - 1
        });
        let Some((_, next)) = entries.get_mut(at) else { return };
        node = next;
    }
    *node = Node { origin: origin.clone(), value: Value::Text(text.to_owned()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_kubernetes_services_are_none_of_ours() {
        for (name, value) in [
            ("PILLION_SERVICE_HOST", "10.0.0.1"),
            ("PILLION_SERVICE_PORT", "4100"),
            ("PILLION_SERVICE_PORT_HTTP", "4100"),
            ("PILLION_PORT", "tcp://10.0.0.1:4100"),
            ("PILLION_PORT_4100_TCP", "tcp://10.0.0.1:4100"),
            ("PILLION_PORT_4100_TCP_PROTO", "tcp"),
            ("PILLION_PORT_4100_TCP_ADDR", "10.0.0.1"),
            ("PILLION_ADMIN_PORT_4101_UDP_PORT", "4101"),
        ] {
            assert!(is_of_kubernetes(name, value), "{name}");
        }
        for (name, value) in [
            ("PILLION_PORT", "4100"),
            ("PILLION_SERVER__LISTEN", "127.0.0.1:1"),
            ("PILLION_PORT_X_TCP", "1"),
            ("PILLION_UPSTREAMS__A__URL", "http://a"),
        ] {
            assert!(!is_of_kubernetes(name, value), "{name}");
        }
    }

    #[test]
    fn a_key_and_its_variable_are_found_from_each_other() {
        assert_eq!(variable_of("timeouts.first_byte"), "PILLION_TIMEOUTS__FIRST_BYTE");
        assert_eq!(variable_of("upstreams.my-llm.2.url"), "PILLION_UPSTREAMS__MY_LLM__2__URL");
    }

    #[test]
    fn an_environment_shows_no_value() {
        let environment: Environment = [("PILLION_SERVER__ADMIN_TOKEN", "canary")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "Environment(1 variables)");
    }
}
