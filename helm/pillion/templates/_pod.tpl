{{/* What the pods of this chart have in common: the Deployment's, and that of `helm test`. */}}

{{- define "pillion.pod" -}}
serviceAccountName: {{ include "pillion.serviceAccountName" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  {{- include "pillion.volumes" . | nindent 2 }}
{{- end -}}

{{- define "pillion.replicas" -}}
{{- kindIs "invalid" .Values.replicas | ternary 2 .Values.replicas | int -}}
{{- end -}}

{{/* How many there are at least. */}}
{{- define "pillion.fewest" -}}
{{- ternary (int .Values.autoscaling.minReplicas) (include "pillion.replicas" . | int) .Values.autoscaling.enabled -}}
{{- end -}}

{{/* Whether evictions are held back: only where more than one replica is left to serve. */}}
{{- define "pillion.hasBudget" -}}
{{- and .Values.podDisruptionBudget.enabled (eq .Values.mode "standalone") (gt (include "pillion.fewest" . | int) 1) -}}
{{- end -}}

{{/* Whether `helm test` has something to try. */}}
{{- define "pillion.hasProbe" -}}
{{- and (eq .Values.mode "standalone") (gt (len ((.Values.config | default dict).upstreams | default dict)) 0) -}}
{{- end -}}
