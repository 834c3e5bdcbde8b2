{{/*
Puts Pillion into the pods of another chart. With this one among the dependencies, and `pillion: {mode: sidecar}` in the values, its pod says:

  metadata:
    labels:      {{- include "pillion.sidecar.labels" .Subcharts.pillion | nindent 4 }}
    annotations: {{- include "pillion.sidecar.annotations" .Subcharts.pillion | nindent 4 }}
  spec:
    initContainers:
      {{- include "pillion.sidecar.container" .Subcharts.pillion | nindent 6 }}
    containers:
      - name: agent
        env:
          {{- include "pillion.sidecar.env" .Subcharts.pillion | nindent 10 }}
    volumes:
      {{- include "pillion.sidecar.volumes" .Subcharts.pillion | nindent 6 }}
*/}}

{{/* By these the PodMonitor finds the pod. */}}
{{- define "pillion.sidecar.labels" -}}
pillion-sidecar: {{ include "pillion.fullname" . }}
{{- end -}}

{{/* By this a change of the config starts new pods. */}}
{{- define "pillion.sidecar.annotations" -}}
{{ include "pillion.checksum" . }}
{{- end -}}

{{/* A native sidecar: started, and ready, before the containers; ended after them, and no hindrance to the end of a Job. */}}
{{- define "pillion.sidecar.container" -}}
{{- if ne .Values.mode "sidecar" }}{{ fail "\npillion: this chart's templates put Pillion beside an agent, but its values say another mode: set pillion.mode to sidecar" }}{{ end -}}
- name: pillion
  restartPolicy: Always
  args: [run, --config, /etc/pillion/pillion.yaml]
  ports:
    - name: pillion-admin
      containerPort: {{ .Values.ports.admin }}
  {{- include "pillion.probes" (list . "pillion-admin") | nindent 2 }}
  {{- include "pillion.inner" . | nindent 2 }}
{{- end -}}

{{- define "pillion.sidecar.volumes" -}}
{{ include "pillion.volumes" . }}
{{- end -}}

{{/*
What points an agent's SDK at Pillion, as `pillion run -- COMMAND` does. Where a pod has several agents, each may have a name of its own:
  {{- include "pillion.sidecar.env" (dict "pillion" .Subcharts.pillion "agent" "planner") | nindent 10 }}
*/}}
{{- define "pillion.sidecar.env" -}}
{{- $chart := .pillion | default . -}}
{{- $agent := .agent | default $chart.Values.sidecar.agent -}}
{{- $root := printf "http://127.0.0.1:%d" (int $chart.Values.ports.traffic) -}}
{{- if $agent }}{{ $root = printf "%s/@%s" $root $agent }}{{ end -}}
- name: OPENAI_BASE_URL
  value: {{ $root }}/v1
- name: OPENAI_API_BASE
  value: {{ $root }}/v1
- name: ANTHROPIC_BASE_URL
  value: {{ $root }}
- name: GOOGLE_GEMINI_BASE_URL
  value: {{ $root }}
- name: OLLAMA_HOST
  value: {{ $root }}
- name: NO_PROXY
  value: {{ $chart.Values.sidecar.noProxy | quote }}
- name: no_proxy
  value: {{ $chart.Values.sidecar.noProxy | quote }}
{{- end -}}
