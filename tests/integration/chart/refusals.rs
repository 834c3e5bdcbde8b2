//! Values that cannot work are refused before anything is installed, by both helms, and what is said names the key and what would be right.

use super::helm::{HELMS, each, template};

/// What a schema refuses: values, and what helm 3 and helm 4 say.
const BY_SCHEMA: [(&str, &str, &str); 20] = [
    (
        "mode: daemonset",
        r#"mode: mode must be one of the following: "standalone", "sidecar""#,
        "at '/mode': value must be one of 'standalone', 'sidecar'",
    ),
    ("replica: 3", "(root): Additional property replica is not allowed", "at '': additional properties 'replica' not allowed"),
    ("replicas: two", "replicas: Invalid type. Expected: [integer,null], given: string", "at '/replicas': got string, want null or integer"),
    ("replicas: -1", "replicas: Must be greater than or equal to 0", "at '/replicas': minimum: got -1, want 0"),
    ("ports: {traffic: 99999}", "ports.traffic: Must be less than or equal to 65535", "at '/ports/traffic': maximum: got 99,999, want 65,535"),
    ("ports: {http: 80}", "ports: Additional property http is not allowed", "at '/ports': additional properties 'http' not allowed"),
    ("image: {tag: 1.10}", "image.tag: Invalid type. Expected: string, given: number", "at '/image/tag': got number, want string"),
    (
        "image: {pullPolicy: always}",
        "image.pullPolicy must be one of the following: \"Always\"",
        "at '/image/pullPolicy': value must be one of 'Always'",
    ),
    (
        "bindAddress: 10.0.0.1",
        "bindAddress must be one of the following: \"0.0.0.0\", \"::\"",
        "at '/bindAddress': value must be one of '0.0.0.0', '::'",
    ),
    (
        "config: {timeout: {total: 5m}}",
        "config: Additional property timeout is not allowed",
        "at '/config': additional properties 'timeout' not allowed",
    ),
    (
        "config: {timeouts: {totl: 5m}}",
        "config.timeouts: Additional property totl is not allowed",
        "at '/config/timeouts': additional properties 'totl'",
    ),
    ("config: {timeouts: 5m}", "config.timeouts: Invalid type. Expected: [object,null]", "at '/config/timeouts': got string, want null or object"),
    (
        "config: {upstreams: {a: {uri: x}}}",
        "config.upstreams.a: Additional property uri",
        "at '/config/upstreams/a': additional properties 'uri' not allowed",
    ),
    ("credentials: {KEY: openai}", "credentials.KEY: Invalid type. Expected: object", "at '/credentials/KEY': got string, want object"),
    ("credentials: {KEY: {secret: openai}}", "credentials.KEY: key is required", "at '/credentials/KEY': missing property 'key'"),
    (
        "credentials: {my-key: {secret: a, key: b}}",
        "credentials: Additional property my-key",
        "at '/credentials': additional properties 'my-key' not allowed",
    ),
    ("extraEnv: [{name: A, value: 1}]", "extraEnv.0.value: Invalid type. Expected: string", "at '/extraEnv/0/value': got number, want string"),
    ("monitor: {interval: 30}", "monitor.interval: Invalid type. Expected: string", "at '/monitor/interval': got number, want string"),
    ("ports: {admin: null}", "ports: admin is required", "at '/ports': missing property 'admin'"),
    ("monitor: {labels: {a: true}}", "monitor.labels.a: Invalid type. Expected: string", "at '/monitor/labels/a': got boolean, want string"),
];

/// What is refused for a reason that no schema knows, and the sentence.
const BY_CHART: [(&str, &str); 31] = [
    ("image: {digest: latest}", "image.digest wants sha256: and 64 hex digits; found latest"),
    ("adminToken: {value: secret-canary}", "adminToken.value wants at least 16 visible ASCII characters and no spaces"),
    ("adminToken: {value: aaaaaaaaaaaaaaaa, existingSecret: a}", "adminToken has both existingSecret and value: one of them has to go"),
    ("{mode: sidecar, sidecar: {agent: a/b}}", "sidecar.agent wants 1 to 64 of letters, digits, _ . and -; found a/b"),
    ("sidecar: {agent: planner}", "sidecar.agent is of no use in mode standalone: each agent names itself, by /@NAME in its base URL"),
    ("monitor: {interval: half a minute}", "monitor.interval wants a duration such as 30s; found half a minute"),
    ("podDisruptionBudget: {minAvailable: most}", "podDisruptionBudget.minAvailable wants a number of pods, or a percentage such as 25%; found most"),
    (
        "podDisruptionBudget: {minAvailable: 2}",
        "podDisruptionBudget.minAvailable (2) of 2 replicas blocks every eviction, and so the drain of a node",
    ),
    ("podDisruptionBudget: {minAvailable: 100%}", "podDisruptionBudget.minAvailable (100%) of 2 replicas blocks every eviction"),
    (
        "{autoscaling: {enabled: true, minReplicas: 3}, podDisruptionBudget: {minAvailable: 3}}",
        "podDisruptionBudget.minAvailable (3) of 3 replicas blocks",
    ),
    ("podDisruptionBudget: {maxUnavailable: 0}", "podDisruptionBudget.maxUnavailable of 0 blocks every eviction"),
    ("podDisruptionBudget: {maxUnavailable: 0%}", "podDisruptionBudget.maxUnavailable of 0 blocks every eviction"),
    ("podDisruptionBudget: {maxUnavailable: null}", "podDisruptionBudget has neither minAvailable nor maxUnavailable: set one, or enabled to false"),
    ("config: {server: {listen: '0.0.0.0:80'}}", "config.server.listen is decided by the chart: set ports.traffic and bindAddress"),
    ("config: {server: {admin_token: secret-canary}}", "config.server.admin_token is decided by the chart: set adminToken.existingSecret"),
    ("config: {server: {grace: 5m}}", "config.server.grace is decided by the chart: set drain.graceSeconds"),
    ("config: {server: {tls: {cert: a, key: b}}}", "config.server.tls is decided by the chart: set tls.secret"),
    (
        "config: {upstreams: {a: {url: 'https://a', api_key: '${A_KEY}'}}}",
        "config reads ${A_KEY}, which the container would not have: name its Secret in credentials (A_KEY: {secret: …, key: …}), or set it in extraEnv",
    ),
    (
        "{credentials: {A: {secret: a, key: b}}, extraEnv: [{name: A, value: b}]}",
        "A is set twice, by credentials and extraEnv: one of them has to go",
    ),
    (
        "extraEnv: [{name: PILLION_SERVER__ADMIN_TOKEN, value: secret-canary}]",
        "PILLION_SERVER__ADMIN_TOKEN is set by the chart: set adminToken.existingSecret",
    ),
    ("ports: {traffic: 4101}", "ports.traffic and ports.admin are both 4101: each wants a port of its own"),
    ("service: {port: 4101}", "service.port cannot be 4101, which is the admin port's on the Service: choose another"),
    (
        "terminationGracePeriodSeconds: 30",
        "terminationGracePeriodSeconds (30) is shorter than the drain takes (delaySeconds 5 + graceSeconds 30 + 5 for the flush = 40)",
    ),
    ("{replicas: 3, autoscaling: {enabled: true}}", "replicas (3) and autoscaling.enabled exclude each other"),
    ("autoscaling: {enabled: true, minReplicas: 20}", "autoscaling.minReplicas (20) is more than autoscaling.maxReplicas (10)"),
    ("autoscaling: {enabled: true, cpu: null}", "autoscaling has nothing to go by: set autoscaling.cpu or autoscaling.memory"),
    (
        "{autoscaling: {enabled: true}, resources: {requests: null}}",
        "autoscaling.cpu is percent of what is requested, and nothing is: set resources.requests.cpu",
    ),
    ("{mode: sidecar, replicas: 2}", "replicas is of no use in mode sidecar: the pods are those of your own chart, set it there"),
    ("{mode: sidecar, tls: {secret: a}}", "tls.secret is of no use in mode sidecar: agents connect over the loopback of their own pod"),
    ("alerts: {severities: {sev1: page}}", "alerts.severities names sev1, which no alert has; there are critical"),
    ("alerts: {disabled: [PillionDowm]}", "alerts.disabled names PillionDowm, which is no alert; there are "),
];

/// What helm says to values that must be refused.
fn refusal(which: &str, chart: &str, values: &str) -> String {
    let said = template(which, "1.34", chart, values);
    assert!(!said.good, "{which} takes {values}");
    assert!(!said.stderr.contains("secret-canary") && !said.stderr.contains("nil pointer"), "{}", said.stderr);
    said.stderr
}

#[test]
fn what_is_misspelt_or_of_the_wrong_kind_is_refused_with_its_key() {
    each(&BY_SCHEMA, |(values, by_3, by_4)| {
        for (which, words) in HELMS.into_iter().zip([by_3, by_4]) {
            let said = refusal(which, "pillion", values);
            assert!(said.contains(words), "{which}: {values}: {said}");
        }
    });
}

#[test]
fn what_would_not_work_is_refused_with_what_would() {
    each(&BY_CHART, |(values, words)| {
        for which in HELMS {
            let said = refusal(which, "pillion", values);
            assert!(said.contains(words), "{which}: {values}: {said}");
        }
    });
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = refusal(
        "helm4",
        "pillion",
        "{ports: {traffic: 4101}, replicas: 2, autoscaling: {enabled: true}, config: {server: {grace: 1s, listen: 'a:1'}}}",
    );
    assert_eq!(said.lines().filter(|line| line.starts_with("  * ")).count(), 4, "{said}");
}

#[test]
fn a_chart_that_forgets_the_mode_is_told_of_it() {
    for which in HELMS {
        let said = refusal(which, "example", "pillion: {mode: standalone, sidecar: {agent: ''}}");
        assert!(said.contains("set pillion.mode to sidecar"), "{said}");
    }
}

#[test]
fn an_older_kubernetes_is_refused() {
    for which in HELMS {
        let said = template(which, "1.28", "pillion", "");
        assert!(!said.good && said.stderr.contains("chart requires kubeVersion: >=1.29.0-0"), "{}", said.stderr);
    }
}
