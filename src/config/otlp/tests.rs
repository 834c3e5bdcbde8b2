//! Where spans go and how, by our own keys and by OpenTelemetry's variables.

use std::{fs, path::PathBuf, time::Duration};

use crate::config::{ClientCertificate, Compression, Environment, Flags, Loaded, Otlp, Protocol, load::read};

const NO_VARIABLES: [(&str, &str); 0] = [];

fn outcome(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let environment: Environment = variables.iter().copied().collect();
    read(text.as_bytes(), None, &Flags::default(), &environment).map_err(|errors| errors.to_string())
}

fn loaded(text: &str, variables: &[(&str, &str)]) -> Loaded {
    outcome(text, variables).unwrap_or_else(|errors| panic!("{errors}"))
}

fn otlp(text: &str, variables: &[(&str, &str)]) -> Otlp {
    loaded(text, variables).config.telemetry.otlp.expect("spans go somewhere")
}

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

#[test]
fn opentelemetrys_endpoints_are_a_base_for_all_signals_and_a_whole_url_for_traces() {
    let endpoint = |variables: &[(&str, &str)]| {
        let text = "telemetry: {otlp: {endpoint: http://file:1, headers: {a: b}}}";
        loaded(text, variables).config.telemetry.otlp.map(|otlp| otlp.endpoint)
    };
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces/x");
    for (variables, expected) in [
        (vec![], Some("http://file:1/v1/traces")),
        (vec![BASE], Some("http://base:4318/v1/traces")),
        (vec![BASE, traces], Some("https://traces/x")),
        (vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318")], Some("http://traces:4318/")),
        (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base/v1/traces/")], Some("http://base/v1/traces")),
        (vec![BASE, ("PILLION_TELEMETRY__OTLP__ENDPOINT", "http://ours/x")], Some("http://ours/x/v1/traces")),
        (vec![BASE, ("OTEL_SDK_DISABLED", "True"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], None),
        (vec![BASE, ("OTEL_SDK_DISABLED", "false")], Some("http://base:4318/v1/traces")),
        (vec![BASE, ("OTEL_TRACES_EXPORTER", "none")], None),
        (vec![BASE, ("OTEL_TRACES_EXPORTER", "otlp")], Some("http://base:4318/v1/traces")),
        (vec![("PILLION_TELEMETRY__OTLP", "off")], None),
    ] {
        assert_eq!(endpoint(&variables).as_deref(), expected, "{variables:?}");
    }
}

#[test]
fn over_grpc_an_endpoint_is_scheme_host_and_port() {
    let endpoint = |text: &'static str, more: &[(&'static str, &'static str)]| {
        let variables: Vec<_> = [GRPC, ("OTEL_EXPORTER_OTLP_ENDPOINT", text)].into_iter().chain(more.iter().copied()).collect();
        otlp("", &variables).endpoint
    };
    for (text, expected) in [
        ("http://c:4317", "http://c:4317"),
        ("https://c", "https://c"),
        ("http://c:4317/v1/traces", "http://c:4317"),
        ("c:4000", "https://c:4000"),
        ("c", "https://c:4317"),
        ("[::1]", "https://[::1]:4317"),
        ("[::1]:4000", "https://[::1]:4000"),
    ] {
        assert_eq!(endpoint(text, &[]), expected, "{text}");
    }
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "True");
    assert_eq!(endpoint("c:4000", &[insecure]), "http://c:4000");
    assert_eq!(endpoint("c:4000", &[insecure, ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false")]), "https://c:4000");
    assert_eq!(endpoint("https://c:4000", &[insecure]), "https://c:4000", "a scheme that is written counts");
    for text in ["c:4318", "unix:///run/collector.sock", "unix://c"] {
        let expected = "OTEL_EXPORTER_OTLP_ENDPOINT: wants a URL that begins with `http://` or `https://`".to_owned();
        assert_eq!(outcome("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", text)]).err(), Some(expected), "over HTTP a scheme is wanted: {text}");
    }
}

#[test]
fn what_is_said_of_traces_wins_over_what_is_said_of_all_signals() {
    let variables = [
        BASE,
        GRPC,
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "all=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Authorization=Basic%20abc, x-b = 2"),
    ];
    let read = otlp("", &variables);
    let headers: Vec<_> = read.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(headers, [("authorization", "Basic abc"), ("x-b", "2")]);
    assert_eq!((read.protocol, read.compression, read.timeout), (Protocol::HttpProtobuf, Compression::Gzip, Duration::from_millis(2500)));
    let only_all = otlp("", &[variables[0], variables[1], variables[3], variables[5]]);
    assert_eq!((only_all.protocol, only_all.compression, only_all.timeout), (Protocol::Grpc, Compression::None, Duration::from_millis(1)));
}

#[test]
fn the_resource_is_read_as_its_specification_says() {
    let named = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=lost,deployment.environment.name=test%20bed"), ("OTEL_SERVICE_NAME", "sidecar")];
    let resource = loaded("", &named).config.telemetry.resource;
    let resource: Vec<_> = resource.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(resource, [("service.name", "sidecar"), ("deployment.environment.name", "test bed")]);
    let unreadable = loaded("", &[("OTEL_RESOURCE_ATTRIBUTES", "no pairs")]);
    assert_eq!(unreadable.warnings, ["OTEL_RESOURCE_ATTRIBUTES is left out: wants `name=value,name=value`, values percent-encoded"]);
}

#[test]
fn a_variable_that_cannot_be_read_is_left_out_with_a_warning() {
    let variables = [
        BASE,
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
    ];
    let Loaded { config, warnings, .. } = loaded("", &variables);
    let read = config.telemetry.otlp.expect("set");
    assert_eq!((read.protocol, read.compression, read.timeout), (Protocol::HttpProtobuf, Compression::None, Duration::from_secs(10)));
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_PROTOCOL is left out: wants one of `http/protobuf`, `grpc`",
            "OTEL_EXPORTER_OTLP_TIMEOUT is left out: wants a whole number from 1 to 600000: milliseconds",
            "OTEL_EXPORTER_OTLP_COMPRESSION is left out: wants one of `none`, `gzip`",
            "OTEL_TRACES_EXPORTER is left out: this version does not know it",
        ]
    );
    // Set for whoever has an endpoint: nothing of ours.
    let alone =
        loaded("", &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/none"), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/none")]);
    assert!(alone.config.telemetry.otlp.is_none() && alone.warnings.is_empty(), "{:?}", alone.warnings);
}

#[test]
fn the_port_of_the_other_protocol_is_worth_a_warning() {
    let warnings = |text: &str| loaded(text, &NO_VARIABLES).warnings;
    let expected = |port: u16, meant: &str| {
        format!("telemetry.otlp.endpoint: {port} is the usual port of the other protocol; if no span arrives, set `protocol: {meant}`")
    };
    assert_eq!(warnings("telemetry: {otlp: {endpoint: 'http://c:4317'}}"), [expected(4317, "grpc")]);
    assert_eq!(warnings("telemetry: {otlp: {endpoint: 'http://c:4318', protocol: grpc}}"), [expected(4318, "http/protobuf")]);
    for text in ["telemetry: {otlp: {endpoint: 'http://c:4317', protocol: grpc}}", "telemetry: {otlp: {endpoint: 'http://c:4318'}}"] {
        assert!(warnings(text).is_empty(), "{text}");
    }
    let path = warnings("telemetry: {otlp: {endpoint: 'http://c:4317/x', protocol: grpc}}");
    assert_eq!(path, ["telemetry.otlp.endpoint: its path is left out: `protocol` is `grpc`, which has a path of its own"]);
}

#[test]
fn files_of_certificates_are_looked_at_where_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let [ca, empty] = ["ca.pem", "empty.pem"].map(|name| folder.path().join(name));
    let issued = rcgen::generate_simple_self_signed(["c".to_owned()]).unwrap();
    fs::write(&ca, issued.cert.pem()).unwrap();
    fs::write(&empty, "").unwrap();
    let [ca, empty] = [ca, empty].map(|path| path.display().to_string());
    let https = format!("telemetry: {{otlp: {{endpoint: 'https://c', ca: {ca}, client_certificate: {ca}, client_key: key.pem}}}}");
    let read = otlp(&https, &NO_VARIABLES);
    let client = ClientCertificate { certificate: PathBuf::from(&ca), key: PathBuf::from("key.pem") };
    assert_eq!((read.ca, read.client), (Some(PathBuf::from(&ca)), Some(client)));
    let by_variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/none"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", ca.as_str()),
    ];
    assert_eq!(otlp("", &by_variables).ca, Some(PathBuf::from(&ca)));
    for (keys, wrong) in [
        (format!("endpoint: 'https://c', ca: {empty}"), "ca: wants a file with certificates in PEM"),
        ("endpoint: 'https://c', ca: /none/at/all".to_owned(), "ca: cannot be read: No such file or directory (os error 2)"),
        (format!("endpoint: 'http://c', ca: {ca}"), "ca: is of no use: the `endpoint` is not `https://`"),
        (format!("endpoint: 'https://c', client_certificate: {ca}"), "client_key: is missing: `client_certificate` is of no use without it"),
        ("endpoint: 'https://c', client_key: k".to_owned(), "client_certificate: is missing: `client_key` is of no use without it"),
    ] {
        let errors = outcome(&format!("telemetry: {{otlp: {{{keys}}}}}"), &NO_VARIABLES).expect_err(&keys);
        assert!(errors.ends_with(&format!("telemetry.otlp.{wrong}")), "{errors}");
    }
}
