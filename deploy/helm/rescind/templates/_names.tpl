{{- define "rescind.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The release's name; room is left for the longest suffix and a pod's number. */}}
{{- define "rescind.fullname" -}}
{{- $name := default (include "rescind.name" .) .Values.fullnameOverride -}}
{{- if or .Values.fullnameOverride (contains $name .Release.Name) -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects: never changed by an upgrade. */}}
{{- define "rescind.selector" -}}
app.kubernetes.io/name: {{ include "rescind.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "rescind.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "rescind.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rescind.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Whether a component keeps the image before, until its turn in an upgrade has come.
Readers before writers: whoever reads a record knows it before anybody writes it. */}}
{{- define "rescind.waits" -}}
{{- $upgrade := .root.Values.upgrade -}}
{{- $past := false -}}
{{- $waits := false -}}
{{- range list "notify" "sentinel" "registry" "relay" "pdp" "ingress" -}}
{{- if and $past (eq . $.component) -}}{{- $waits = true -}}{{- end -}}
{{- if eq . $upgrade.through -}}{{- $past = true -}}{{- end -}}
{{- end -}}
{{- if and $upgrade.from $waits }}yes{{ end -}}
{{- end }}

{{- define "rescind.imageOf" -}}
{{- if include "rescind.waits" . }}{{ .root.Values.upgrade.from }}{{ else }}{{ include "rescind.image" .root }}{{ end -}}
{{- end }}

{{- define "rescind.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rescind.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Pods of a component. What is scaled keeps as many as run: no number would mean one, until
the scaler looks next. */}}
{{- define "rescind.replicas" -}}
{{- $scaler := ternary .values.hpa .values.keda (dig "hpa" "enabled" false .values) -}}
{{- if dig "enabled" false ($scaler | default dict) -}}
{{- $name := printf "%s-%s" (include "rescind.fullname" .root) .component -}}
{{- $running := lookup "apps/v1" "StatefulSet" .root.Release.Namespace $name -}}
{{- max (int $scaler.minReplicas) (dig "spec" "replicas" 0 ($running | default dict) | int) -}}
{{- else -}}
{{- int .values.replicas -}}
{{- end -}}
{{- end }}

{{/* What makes a component's pods. */}}
{{- define "rescind.kindOf" -}}
{{- .values.kind | default "StatefulSet" -}}
{{- end }}

{{/* Strimzi names a user's Secret after the user. */}}
{{- define "rescind.strimziUser" -}}
{{ .root.Values.kafka.prefix }}-{{ .component }}
{{- end }}

{{/* Whether the release is relays alone, which read the feed of another region. */}}
{{- define "rescind.passesOn" -}}
{{- if and .Values.relay.enabled .Values.relay.upstream.url }}yes{{ end -}}
{{- end }}

{{/* The Service that feeds guards. */}}
{{- define "rescind.feedName" -}}
{{- $relay := or .Values.kafka.bootstrapServers (include "rescind.passesOn" .) -}}
{{ include "rescind.fullname" . }}{{ if $relay }}-relay{{ end }}
{{- end }}

{{/* The components that this release runs: a list in JSON. */}}
{{- define "rescind.components" -}}
{{- $names := list "embedded" -}}
{{- if include "rescind.passesOn" . -}}
{{- $names = list "relay" -}}
{{- else if .Values.kafka.bootstrapServers -}}
{{- $names = list "ingress" "registry" "sentinel" -}}
{{- if .Values.notify.enabled }}{{ $names = append $names "notify" }}{{ end -}}
{{- if .Values.insights.enabled }}{{ $names = append $names "insights" }}{{ end -}}
{{- if .Values.relay.enabled }}{{ $names = append $names "relay" }}{{ end -}}
{{- if .Values.console.enabled }}{{ $names = append $names "console" }}{{ end -}}
{{- end -}}
{{- if .Values.pdp.enabled }}{{ $names = append $names "pdp" }}{{ end -}}
{{- toJson $names -}}
{{- end }}

{{/* What the values have pods call besides names, the release and Kafka; nothing of it is
let out by the network policy: a list in words, empty where something is let out. */}}
{{- define "rescind.cutOff" -}}
{{- $called := list -}}
{{- range $name := list "webhook" "oidc" "polls" "queues" "ssf" "vaults" "global_revocation" "audit_sinks" -}}
{{- if index $.Values.settings $name }}{{ $called = append $called (printf "settings.%s" $name) }}{{ end -}}
{{- end -}}
{{- if dig "alerts" "endpoints" nil .Values.settings }}{{ $called = prepend $called "settings.alerts.endpoints" }}{{ end -}}
{{- if .Values.existingSettingsSecret.name }}{{ $called = append $called "what existingSettingsSecret names" }}{{ end -}}
{{- if and .Values.pdp.enabled .Values.pdp.settings.issuers }}{{ $called = append $called "pdp.settings.issuers" }}{{ end -}}
{{- range .Values.kafka.extraEnv -}}
{{- if eq .name "RESCIND_KAFKA_SCHEMA_REGISTRY__URL" }}{{ $called = append $called "the schema registry" }}{{ end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.extraEgress) }}{{ join ", " $called }}{{ end -}}
{{- end }}

{{/* host:port, several with commas, to the ports: a list in JSON. */}}
{{- define "rescind.kafkaPorts" -}}
{{- $ports := list -}}
{{- if .Values.networkPolicy.kafkaPorts -}}
{{- range .Values.networkPolicy.kafkaPorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- else -}}
{{- range splitList "," .Values.kafka.bootstrapServers -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (trim .) | int) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end }}

{{/* The port of the upstream, which its URL names or means. */}}
{{- define "rescind.upstreamPort" -}}
{{- $url := urlParse .Values.relay.upstream.url -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end }}
