{{/* What no schema can say is refused here, all of it at once: what is wrong, and what would be right. */}}

{{- define "pillion.refusals" -}}
{{- $wrong := list -}}
{{- range list "pillion.refusals.words" "pillion.refusals.config" "pillion.refusals.variables" "pillion.refusals.ports" "pillion.refusals.size" "pillion.refusals.sidecar" "pillion.refusals.alerts" -}}
{{- $wrong = concat $wrong (include . $ | fromJsonArray) -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\npillion cannot be installed with these values:\n  * %s\n" (join "\n  * " $wrong)) -}}
{{- end -}}
{{- end -}}

{{/* What a schema would refuse by a pattern, which says nothing to a person, and repeats a token that is not to be seen. */}}
{{- define "pillion.refusals.words" -}}
{{- $wrong := list -}}
{{- if not (regexMatch "^(sha256:[0-9a-f]{64})?$" (.Values.image.digest | default "")) -}}
{{- $wrong = append $wrong (printf "image.digest wants sha256: and 64 hex digits; found %s" (.Values.image.digest | default "")) -}}
{{- end -}}
{{- if not (regexMatch "^([!-~]{16,})?$" .Values.adminToken.value) -}}
{{- $wrong = append $wrong "adminToken.value wants at least 16 visible ASCII characters and no spaces" -}}
{{- end -}}
{{- if not (regexMatch "^[A-Za-z0-9_.-]{0,64}$" (.Values.sidecar.agent | default "")) -}}
{{- $wrong = append $wrong (printf "sidecar.agent wants 1 to 64 of letters, digits, _ . and -; found %s" .Values.sidecar.agent) -}}
{{- end -}}
{{- range $key := list "interval" "scrapeTimeout" -}}
{{- if not (regexMatch "^[1-9][0-9]*(ms|s|m)$" (index $.Values.monitor $key)) -}}
{{- $wrong = append $wrong (printf "monitor.%s wants a duration such as 30s; found %s" $key (index $.Values.monitor $key)) -}}
{{- end -}}
{{- end -}}
{{- range $key := list "minAvailable" "maxUnavailable" -}}
{{- $share := index $.Values.podDisruptionBudget $key -}}
{{- if and (kindIs "string" $share) (not (regexMatch "^[0-9]{1,2}%$|^100%$" $share)) -}}
{{- $wrong = append $wrong (printf "podDisruptionBudget.%s wants a number of pods, or a percentage such as 25%%; found %s" $key $share) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* Keys of the config that are the chart's. */}}
{{- define "pillion.refusals.config" -}}
{{- $wrong := list -}}
{{- $server := (.Values.config | default dict).server | default dict -}}
{{- range $key, $instead := dict
    "listen" "ports.traffic and bindAddress"
    "admin" "ports.admin and bindAddress"
    "admin_token" "adminToken.existingSecret"
    "drain_delay" "drain.delaySeconds"
    "grace" "drain.graceSeconds"
    "tls" "tls.secret" -}}
{{- if hasKey $server $key -}}
{{- $wrong = append $wrong (printf "config.server.%s is decided by the chart: set %s" $key $instead) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* A pod whose config reads what its environment does not have would not start. */}}
{{- define "pillion.refusals.variables" -}}
{{- $wrong := list -}}
{{- $own := include "pillion.ownVariables" . | fromJsonArray -}}
{{- if not .Values.envFrom -}}
{{- range regexFindAll "\\$?\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" (toYaml .Values.config) -1 | uniq -}}
{{- $name := trimSuffix "}" . | trimPrefix "${" -}}
{{- if and (not (hasPrefix "$${" .)) (not (has $name $own)) -}}
{{- $wrong = append $wrong (printf "config reads ${%s}, which the container would not have: name its Secret in credentials (%s: {secret: …, key: …}), or set it in extraEnv" $name $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $seen := list "PILLION_SERVER__ADMIN_TOKEN" -}}
{{- range $own -}}
{{- if eq . "PILLION_SERVER__ADMIN_TOKEN" -}}
{{- $wrong = append $wrong "PILLION_SERVER__ADMIN_TOKEN is set by the chart: set adminToken.existingSecret" -}}
{{- else if has . $seen -}}
{{- $wrong = append $wrong (printf "%s is set twice, by credentials and extraEnv: one of them has to go" .) -}}
{{- end -}}
{{- $seen = append $seen . -}}
{{- end -}}
{{- if and .Values.adminToken.existingSecret .Values.adminToken.value -}}
{{- $wrong = append $wrong "adminToken has both existingSecret and value: one of them has to go" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{- define "pillion.refusals.ports" -}}
{{- $wrong := list -}}
{{- if eq (int .Values.ports.traffic) (int .Values.ports.admin) -}}
{{- $wrong = append $wrong (printf "ports.traffic and ports.admin are both %d: each wants a port of its own" (int .Values.ports.admin)) -}}
{{- end -}}
{{- if and (eq .Values.mode "standalone") (eq (int .Values.service.port) 4101) -}}
{{- $wrong = append $wrong "service.port cannot be 4101, which is the admin port's on the Service: choose another" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* How many there are, and how they go. */}}
{{- define "pillion.refusals.size" -}}
{{- $wrong := list -}}
{{- if eq .Values.mode "standalone" -}}
{{- $given := .Values.terminationGracePeriodSeconds -}}
{{- $wanted := include "pillion.ending" . | int -}}
{{- if and $given (lt (int $given) $wanted) -}}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds (%d) is shorter than the drain takes (delaySeconds %d + graceSeconds %d + 5 for the flush = %d): exchanges in flight would be killed; raise it, or lower drain.graceSeconds" (int $given) (int .Values.drain.delaySeconds) (int .Values.drain.graceSeconds) $wanted) -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if not (kindIs "invalid" $.Values.replicas) -}}
{{- $wrong = append $wrong (printf "replicas (%d) and autoscaling.enabled exclude each other: each upgrade would undo what the autoscaler chose; set autoscaling.minReplicas" (int $.Values.replicas)) -}}
{{- end -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- $wrong = append $wrong (printf "autoscaling.minReplicas (%d) is more than autoscaling.maxReplicas (%d)" (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if not (or .cpu .memory) -}}
{{- $wrong = append $wrong "autoscaling has nothing to go by: set autoscaling.cpu or autoscaling.memory" -}}
{{- end -}}
{{- range $resource := list "cpu" "memory" -}}
{{- if and (index $.Values.autoscaling $resource) (not (index (($.Values.resources | default dict).requests | default dict) $resource)) -}}
{{- $wrong = append $wrong (printf "autoscaling.%s is percent of what is requested, and nothing is: set resources.requests.%s" $resource $resource) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq (include "pillion.hasBudget" .) "true" -}}
{{- $wrong = concat $wrong (include "pillion.refusals.budget" . | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* A budget that lets no pod go keeps nodes from being drained. */}}
{{- define "pillion.refusals.budget" -}}
{{- $wrong := list -}}
{{- $fewest := include "pillion.fewest" . | int -}}
{{- with .Values.podDisruptionBudget -}}
{{- if kindIs "invalid" .minAvailable -}}
{{- if kindIs "invalid" .maxUnavailable -}}
{{- $wrong = append $wrong "podDisruptionBudget has neither minAvailable nor maxUnavailable: set one, or enabled to false" -}}
{{- else if has (toString .maxUnavailable) (list "0" "0%") -}}
{{- $wrong = append $wrong "podDisruptionBudget.maxUnavailable of 0 blocks every eviction, and so the drain of a node: it has to be at least 1" -}}
{{- end -}}
{{- else if or (eq (toString .minAvailable) "100%") (and (not (kindIs "string" .minAvailable)) (ge (int .minAvailable) $fewest)) -}}
{{- $wrong = append $wrong (printf "podDisruptionBudget.minAvailable (%v) of %d replicas blocks every eviction, and so the drain of a node: it has to be less" .minAvailable $fewest) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* In a sidecar the pod is somebody else's. */}}
{{- define "pillion.refusals.sidecar" -}}
{{- $wrong := list -}}
{{- if eq .Values.mode "sidecar" -}}
{{- range $key, $is := dict
    "autoscaling.enabled" .Values.autoscaling.enabled
    "networkPolicy.enabled" .Values.networkPolicy.enabled
    "replicas" (not (kindIs "invalid" .Values.replicas))
    "terminationGracePeriodSeconds" .Values.terminationGracePeriodSeconds -}}
{{- if $is -}}
{{- $wrong = append $wrong (printf "%s is of no use in mode sidecar: the pods are those of your own chart, set it there" $key) -}}
{{- end -}}
{{- end -}}
{{- if .Values.tls.secret -}}
{{- $wrong = append $wrong "tls.secret is of no use in mode sidecar: agents connect over the loopback of their own pod" -}}
{{- end -}}
{{- else if .Values.sidecar.agent -}}
{{- $wrong = append $wrong "sidecar.agent is of no use in mode standalone: each agent names itself, by /@NAME in its base URL" -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}

{{/* An alert that is misspelt would go on, and a severity stay what it was. */}}
{{- define "pillion.refusals.alerts" -}}
{{- $wrong := list -}}
{{- $known := list -}}
{{- $severities := list -}}
{{- range (.Files.Get "files/pillion.rules.yaml" | fromYaml).groups -}}
{{- range .rules -}}
{{- $known = append $known .alert -}}
{{- $severities = append $severities (.labels | default dict).severity -}}
{{- end -}}
{{- end -}}
{{- $severities = $severities | compact | uniq | sortAlpha -}}
{{- range $severity, $_ := .Values.alerts.severities -}}
{{- if not (has $severity $severities) -}}
{{- $wrong = append $wrong (printf "alerts.severities names %s, which no alert has; there are %s" $severity (join ", " $severities)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.alerts.disabled -}}
{{- if not (has . $known) -}}
{{- $wrong = append $wrong (printf "alerts.disabled names %s, which is no alert; there are %s" . (join ", " ($known | compact | sortAlpha))) -}}
{{- end -}}
{{- end -}}
{{- toJson $wrong -}}
{{- end -}}
