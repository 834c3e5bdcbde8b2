{{/* pillion.yaml: `config`, and what the chart decides. */}}

{{- define "pillion.config" -}}
{{- $config := deepCopy (.Values.config | default dict) -}}
{{- include "pillion.off" $config -}}
{{- $isSidecar := eq .Values.mode "sidecar" -}}
{{- $listen := ternary "127.0.0.1" .Values.bindAddress $isSidecar -}}
{{- $server := dict
    "listen" (include "pillion.bind" (list $listen .Values.ports.traffic))
    "admin" (include "pillion.bind" (list .Values.bindAddress .Values.ports.admin))
    "drain_delay" (printf "%ds" (ternary 0 (int .Values.drain.delaySeconds) (or $isSidecar (eq (include "pillion.hasSleep" .) "true"))))
    "grace" (printf "%ds" (int .Values.drain.graceSeconds)) -}}
{{- if .Values.tls.secret -}}
{{- $_ := set $server "tls" (dict "cert" "/etc/pillion-tls/tls.crt" "key" "/etc/pillion-tls/tls.key") -}}
{{- end -}}
{{- $_ := set $config "server" (merge $server ($config.server | default dict)) -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Helm reads YAML 1.1, to which `off` is false. Where Pillion knows no `false`, `off` was written. */}}
{{- define "pillion.off" -}}
{{- $switches := list "include_usage" "hold_head" "error_events" "via" "should_retry" "exchange_headers" "on_timeout" "propagate" "capture_content" -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- include "pillion.off" $value -}}
{{- else if kindIs "slice" $value -}}
{{- range $value }}{{ if kindIs "map" . }}{{ include "pillion.off" . }}{{ end }}{{ end -}}
{{- else if and (kindIs "bool" $value) (not $value) (not (has $key $switches)) -}}
{{- $_ := set $ $key "off" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a container can be told to sleep before it ends, with no shell in its image. */}}
{{- define "pillion.hasSleep" -}}
{{- semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
{{- end -}}

{{/* Seconds from the first sign of the end to the last: delay, grace, and the flush. */}}
{{- define "pillion.ending" -}}
{{- add .Values.drain.delaySeconds .Values.drain.graceSeconds 5 -}}
{{- end -}}

{{- define "pillion.checksum" -}}
checksum/config: {{ include "pillion.config" . | sha256sum }}
{{- end -}}

{{/* TCP ports, beside 443, of what `config` sends to: a JSON list. */}}
{{- define "pillion.egressPorts" -}}
{{- $config := .Values.config | default dict -}}
{{- $urls := list -}}
{{- range $config.upstreams | default dict }}{{ $urls = append $urls .url }}{{ end -}}
{{- $otlp := ($config.telemetry | default dict).otlp -}}
{{- if kindIs "map" $otlp }}{{ $urls = append $urls $otlp.endpoint }}{{ end -}}
{{- $ports := list -}}
{{- range $urls | compact -}}
{{- $authority := regexFind "^(https?://)?[^/?#]+" . -}}
{{- $port := regexFind ":[0-9]+$" $authority | trimPrefix ":" -}}
{{- if $port -}}
{{- $ports = append $ports (int $port) -}}
{{- else if hasPrefix "http://" . -}}
{{- $ports = append $ports 80 -}}
{{- end -}}
{{- end -}}
{{- without ($ports | uniq) 443 | toJson -}}
{{- end -}}
