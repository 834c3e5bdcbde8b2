{{/* Pillion's container, the same alone and beside an agent. */}}

{{- define "pillion.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Image, environment, mounts and rights; what is run with them goes in front. */}}
{{- define "pillion.inner" -}}
image: {{ include "pillion.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "pillion.variables" . | nindent 2 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: pillion-config
    mountPath: /etc/pillion
    readOnly: true
  {{- if .Values.tls.secret }}
  - name: pillion-tls
    mountPath: /etc/pillion-tls
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Nothing here but the token may begin with PILLION_: Pillion would take it for a key of its config. */}}
{{- define "pillion.variables" -}}
- name: PILLION_SERVER__ADMIN_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "pillion.tokenSecretName" . }}
      key: {{ .Values.adminToken.key }}
{{- if not (has "OTEL_RESOURCE_ATTRIBUTES" (include "pillion.ownVariables" . | fromJsonArray)) }}
- name: K8S_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .Release.Namespace }},k8s.pod.name=$(K8S_POD_NAME)
{{- end }}
{{- range $name, $from := .Values.credentials }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret }}
      key: {{ $from.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Names of the variables that the values give: a JSON list. */}}
{{- define "pillion.ownVariables" -}}
{{- $names := keys (.Values.credentials | default dict) -}}
{{- range .Values.extraEnv }}{{ $names = append $names .name }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* The three probes; argument: (list $ "name of the admin port") */}}
{{- define "pillion.probes" -}}
{{- $probes := (index . 0).Values.probes -}}
{{- $port := index . 1 -}}
{{- range $probe := list "startup" "readiness" "liveness" -}}
{{- with index $probes $probe }}
{{ $probe }}Probe:
  httpGet: {path: {{ ternary "/healthz" "/readyz" (eq $probe "liveness") }}, port: {{ $port }}}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "pillion.volumes" -}}
- name: pillion-config
  configMap:
    name: {{ include "pillion.fullname" . }}
{{- if .Values.tls.secret }}
- name: pillion-tls
  secret:
    secretName: {{ .Values.tls.secret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
