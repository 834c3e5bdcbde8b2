{{/* Names and labels of what the chart makes. */}}

{{- define "pillion.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is put behind it: `-dashboard-upstreams`. */}}
{{- define "pillion.fullname" -}}
{{- $name := include "pillion.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 43 | trimSuffix "-" -}}
{{- end -}}

{{- define "pillion.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pillion.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pillion.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "pillion.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* metadata of one object: (list $ "suffix" labels annotations) */}}
{{- define "pillion.metadata" -}}
{{- $chart := index . 0 -}}
name: {{ include "pillion.fullname" $chart }}{{ index . 1 }}
namespace: {{ $chart.Release.Namespace }}
labels:
  {{- include "pillion.labels" $chart | nindent 2 }}
  {{- with index . 2 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with index . 3 }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pillion.serviceAccountName" -}}
{{- $made := ternary (include "pillion.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $made .Values.serviceAccount.name -}}
{{- end -}}

{{- define "pillion.tokenSecretName" -}}
{{- default (printf "%s-admin" (include "pillion.fullname" .)) .Values.adminToken.existingSecret -}}
{{- end -}}

{{/* An address and port to bind: an IPv6 address stands in brackets. */}}
{{- define "pillion.bind" -}}
{{- $address := index . 0 -}}
{{- if contains ":" $address }}[{{ $address }}]{{ else }}{{ $address }}{{ end }}:{{ int (index . 1) }}
{{- end -}}

{{- define "pillion.scheme" -}}
{{- ternary "https" "http" (ne .Values.tls.secret "") -}}
{{- end -}}

{{/* How Pillion's admin port is scraped, the same for both monitors; the port goes in front. */}}
{{- define "pillion.endpoint" -}}
path: /metrics
interval: {{ .Values.monitor.interval }}
scrapeTimeout: {{ .Values.monitor.scrapeTimeout }}
authorization:
  type: Bearer
  credentials:
    name: {{ include "pillion.tokenSecretName" . }}
    key: {{ .Values.adminToken.key }}
relabelings:
  - targetLabel: job
    replacement: pillion
{{- end -}}
