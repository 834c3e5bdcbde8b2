//! Values that somebody might install the charts with.

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// `pillion` or `example`.
    pub(super) chart: &'static str,
    pub(super) values: &'static str,
}

const fn pillion(name: &'static str, values: &'static str) -> Case {
    Case { name, chart: "pillion", values }
}

const fn example(name: &'static str, values: &'static str) -> Case {
    Case { name, chart: "example", values }
}

/// All that is seen, alone.
pub(super) const SEEN: &str =
    "{networkPolicy: {enabled: true}, monitor: {enabled: true, labels: {release: prom}}, alerts: {enabled: true}, dashboards: {enabled: true}}";

/// The table.
pub(super) const CASES: [Case; 28] = [
    pillion("default", ""),
    pillion("seen", SEEN),
    pillion("replicas-1", "replicas: 1"),
    pillion("replicas-0", "replicas: 0"),
    pillion("budget-number", "{replicas: 3, podDisruptionBudget: {minAvailable: 2, maxUnavailable: null}}"),
    pillion("budget-percent", "podDisruptionBudget: {minAvailable: 50%}"),
    pillion("budget-off", "podDisruptionBudget: {enabled: false}"),
    pillion("autoscaling-cpu", "autoscaling: {enabled: true}"),
    pillion("autoscaling-memory", "autoscaling: {enabled: true, minReplicas: 1, cpu: null, memory: 80, behavior: null}"),
    pillion("tls", "{tls: {secret: pillion-tls}, adminToken: {existingSecret: tokens, key: admin.token}}"),
    pillion("token", "adminToken: {value: '0123456789abcdef'}"),
    pillion(
        "addresses",
        "{bindAddress: '::', ports: {traffic: 8080, admin: 8081}, service: {port: 80, annotations: {a.example/b: 'true'}, sessionAffinity: None}}",
    ),
    pillion(
        "image",
        "{image: {repository: registry.example/pillion, digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000', \
         pullPolicy: Always, pullSecrets: [{name: registry}]}}",
    ),
    pillion("account", "serviceAccount: {create: false, name: mine}"),
    pillion("no-account", "serviceAccount: {create: false}"),
    pillion(
        "long-names",
        "{fullnameOverride: a-name-that-is-longer-than-what-kubernetes-takes-for-one-of-its-names, commonLabels: {team: red}, dashboards: {enabled: true}}",
    ),
    pillion("any-user", "{securityContext: {runAsUser: null, runAsGroup: null}, podSecurityContext: {fsGroup: null}}"),
    pillion("slow-drain", "{drain: {delaySeconds: 20, graceSeconds: 600}, terminationGracePeriodSeconds: 700}"),
    pillion("no-delay", "drain: {delaySeconds: 0, graceSeconds: 0}"),
    pillion(
        "environment",
        "{extraEnv: [{name: OTEL_RESOURCE_ATTRIBUTES, value: a=b}, {name: HTTPS_PROXY, value: 'http://proxy:3128'}], envFrom: [{secretRef: {name: keys}}], \
         extraVolumes: [{name: roots, configMap: {name: roots}}], extraVolumeMounts: [{name: roots, mountPath: /roots, readOnly: true}], \
         config: {upstreams: {vllm: {url: 'http://vllm:8000/v1', api_key: '${FROM_THE_SECRET}'}}}}",
    ),
    pillion(
        "upstreams",
        "{credentials: {OPENAI_API_KEY: {secret: openai, key: api-key}}, networkPolicy: {enabled: true, from: [{namespaceSelector: {matchLabels: {team: red}}}], \
         adminFrom: [], extraEgress: [{ports: [{protocol: TCP, port: 3128}]}]}, config: {upstreams: {openai: {url: 'https://api.openai.com/v1', \
         api_key: '${OPENAI_API_KEY}'}, vllm: {url: 'http://vllm:8000/v1'}, plain: {url: 'http://plain/v1'}, local: {url: 'unix:///run/model.sock:/v1'}}, \
         telemetry: {otlp: {endpoint: 'http://collector:4318', headers: {x-not-a-variable: '$${OPENAI_API_KEYS}'}}}, context: {windows: {'my-*': 1000000}}}}",
    ),
    pillion(
        "off",
        "config: {timeouts: {idle: off, total: off}, context: {trim: off}, retries: {on_timeout: false}, carry: {via: off}, server: {body_limit: off}, \
         telemetry: {otlp: off, log: {level: off, format: json}}, upstreams: {a: {url: 'https://a.example', http2: off}}, \
         routes: [{path: /v1/*, upstream: a, timeouts: {first_token: off}}]}",
    ),
    pillion(
        "nothing",
        "{config: null, credentials: null, extraEnv: null, resources: null, strategy: null, topologySpread: null, tolerations: null, affinity: null, \
         securityContext: null, podSecurityContext: null, commonLabels: null, podLabels: null, podAnnotations: null, nodeSelector: null, \
         probes: {startup: null}, image: {tag: null, digest: null, pullSecrets: null}, sidecar: {agent: null}, nameOverride: null, \
         service: {annotations: null}, serviceAccount: {name: null, annotations: null}, monitor: {enabled: true, labels: null}, \
         alerts: {enabled: true, labels: null}, dashboards: {enabled: true, labels: null, annotations: null, namespace: null}, \
         networkPolicy: {enabled: true, extraEgress: null}, priorityClassName: null, envFrom: null, extraVolumes: null, extraVolumeMounts: null}",
    ),
    pillion(
        "placed",
        "{topologySpread: null, strategy: {type: Recreate, rollingUpdate: null}, nodeSelector: {disk: ssd}, tolerations: [{key: a, operator: Exists}], \
         affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}, \
         priorityClassName: high, podLabels: {a: b}, podAnnotations: {c: d}, resources: {limits: {cpu: '1', memory: 1Gi}}, \
         dashboards: {enabled: true, namespace: grafana}, probes: {liveness: {initialDelaySeconds: 3}}}",
    ),
    pillion(
        "sidecar",
        "{mode: sidecar, global: {any: thing}, enabled: true, monitor: {enabled: true}, alerts: {enabled: true}, dashboards: {enabled: true}}",
    ),
    example("example", ""),
    example("example-seen", "pillion: {monitor: {enabled: true}, alerts: {enabled: true}, dashboards: {enabled: true}, sidecar: {agent: ''}}"),
    example(
        "example-ports",
        "pillion: {ports: {traffic: 5100, admin: 5101}, bindAddress: '::', fullnameOverride: beside, adminToken: {existingSecret: tokens}}",
    ),
];

/// The case of this name.
pub(super) fn case(name: &str) -> Case {
    CASES.into_iter().find(|case| case.name == name).expect("a case of the table")
}
