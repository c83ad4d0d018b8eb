{{/* Values that cannot work are refused here, with what to do. */}}
{{- define "rescind.checks" -}}
{{- $kafka := .Values.kafka -}}
{{- if and .Values.settings .Values.existingSettingsSecret.name }}
{{- fail "settings and existingSettingsSecret.name are both set: put everything into one of them" }}
{{- end }}
{{- include "rescind.checks.secrets" (dict "at" "settings" "value" .Values.settings) }}
{{- include "rescind.checks.secrets" (dict "at" "pdp.settings" "value" .Values.pdp.settings) }}
{{- include "rescind.checks.environment" (dict "at" "kafka" "given" $kafka.extraEnv) }}
{{- range $name := list "embedded" "ingress" "registry" "sentinel" "notify" "insights" "relay" "console" "pdp" "agent" }}
{{- include "rescind.checks.environment" (dict "at" $name "given" (index $.Values $name).extraEnv) }}
{{- end }}
{{- include "rescind.checks.access" . }}
{{- if $kafka.bootstrapServers }}
{{- if not (or .Values.settings.tokens .Values.existingSettingsSecret.name) }}
{{- fail "on Kafka nobody could call ingress: set settings.tokens (name, sha256, roles), or existingSettingsSecret.name" }}
{{- end }}
{{- if and .Values.notify.enabled (not (or .Values.existingSettingsSecret.name .Values.settings.webhook (dig "alerts" "endpoints" nil .Values.settings))) }}
{{- fail "notify has nobody to tell: set settings.alerts.endpoints, or notify.enabled to false" }}
{{- end }}
{{- if .Values.strimzi.enabled }}
{{- if not .Values.strimzi.cluster }}
{{- fail "strimzi.enabled makes topics and users of a cluster: name it in strimzi.cluster" }}
{{- end }}
{{- if not (and $kafka.sasl.enabled (eq $kafka.sasl.mechanism "SCRAM-SHA-512")) }}
{{- fail "strimzi.enabled makes users with SCRAM-SHA-512: set kafka.sasl.enabled and its mechanism" }}
{{- end }}
{{- end }}
{{- if gt (int $kafka.minInsyncReplicas) (int $kafka.replicationFactor) }}
{{- fail (printf "kafka.minInsyncReplicas (%d) is above kafka.replicationFactor (%d): no write would ever be acked; lower it" (int $kafka.minInsyncReplicas) (int $kafka.replicationFactor)) }}
{{- end }}
{{- if and (gt (int $kafka.brokers) 0) (gt (int $kafka.replicationFactor) (int $kafka.brokers)) }}
{{- fail (printf "kafka.replicationFactor is %d and there are %d brokers (kafka.brokers): set kafka.replicationFactor and kafka.minInsyncReplicas to at most that" (int $kafka.replicationFactor) (int $kafka.brokers)) }}
{{- end }}
{{- if and $kafka.sasl.enabled (eq $kafka.sasl.mechanism "PLAIN") (not $kafka.tls.enabled) }}
{{- fail "kafka.sasl.mechanism PLAIN would send the password in clear: set kafka.tls.enabled, or use SCRAM-SHA-512" }}
{{- end }}
{{- if and (or $kafka.tls.certKey $kafka.tls.keyKey) (not $kafka.tls.existingSecret) }}
{{- fail "kafka.tls.certKey and kafka.tls.keyKey are keys of a Secret: name it in kafka.tls.existingSecret" }}
{{- end }}
{{- else }}
{{- if .Values.strimzi.enabled }}
{{- fail "strimzi.enabled needs Kafka: set kafka.bootstrapServers" }}
{{- end }}
{{- if and .Values.relay.enabled (not .Values.relay.upstream.url) }}
{{- fail "relay.enabled needs Kafka, or another feed: set kafka.bootstrapServers, or relay.upstream.url; the embedded server feeds guards itself" }}
{{- end }}
{{- if .Values.console.enabled }}
{{- fail "console.enabled needs Kafka: set kafka.bootstrapServers; the embedded server has the console at /console" }}
{{- end }}
{{- if .Values.insights.enabled }}
{{- fail "insights.enabled needs Kafka: set kafka.bootstrapServers; it counts what lies in the topics" }}
{{- end }}
{{- range $name := list "ingress" "registry" "sentinel" }}
{{- range $by := list "hpa" "keda" }}
{{- if (dig $by "enabled" false (index $.Values $name)) }}
{{- fail (printf "%s.%s.enabled needs Kafka: set kafka.bootstrapServers; the embedded server has one pod" $name $by) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.pdp.enabled (not .Values.pdp.existingTokenSecret.name) }}
{{- fail "the decision point needs a guard's token: make a Secret, and name it in pdp.existingTokenSecret.name; its SHA-256 stands in settings.tokens with the role guard" }}
{{- end }}
{{- end }}
{{- range $name := include "rescind.components" . | fromJsonArray }}
{{- $values := index $.Values $name }}
{{- if and (dig "hpa" "enabled" false $values) (dig "keda" "enabled" false $values) }}
{{- fail (printf "%s.hpa and %s.keda are both enabled and would fight over the replicas: turn one off" $name $name) }}
{{- end }}
{{- range $by := list "hpa" "keda" }}
{{- with index $values $by }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail (printf "%s.%s.minReplicas is above maxReplicas: raise maxReplicas" $name $by) }}
{{- end }}
{{- end }}
{{- end }}
{{- $partitions := ternary $kafka.accessPartitions $kafka.partitions (eq $name "sentinel") | int }}
{{- if and (has $name (list "registry" "sentinel")) (dig "keda" "enabled" false $values) (gt (dig "keda" "maxReplicas" 0 $values | int) $partitions) }}
{{- fail (printf "%s.keda.maxReplicas is above the %d partitions: more pods would have nothing to read; lower it" $name $partitions) }}
{{- end }}
{{- if le (int $values.terminationGracePeriodSeconds) (add (int $values.preStopSeconds) 10 | int) }}
{{- fail (printf "%s.terminationGracePeriodSeconds leaves no time to stop: set it to more than preStopSeconds + 10" $name) }}
{{- end }}
{{- if and $kafka.bootstrapServers $kafka.sasl.enabled (not (or $values.kafkaSecret $kafka.sasl.existingSecret $.Values.strimzi.enabled)) }}
{{- fail (printf "kafka.sasl.enabled needs a Secret with user name and password: set kafka.sasl.existingSecret or %s.kafkaSecret" $name) }}
{{- end }}
{{- end }}
{{- with .Values.route }}
{{- if and (or .ingress.enabled .httpRoute.enabled) (not .hosts) }}
{{- fail "route leads any host name of the cluster's door here: name yours in route.hosts" }}
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
{{- fail "route.httpRoute belongs to no Gateway: name it in route.httpRoute.parentRefs" }}
{{- end }}
{{- end }}
{{- with .Values.agent }}
{{- if and .enabled (not .existingTokenSecret.name) }}
{{- fail "the host agent needs a guard's token: make a Secret, and name it in agent.existingTokenSecret.name" }}
{{- end }}
{{- if and .enabled $kafka.bootstrapServers (not $.Values.relay.enabled) }}
{{- fail "on Kafka the relay feeds the host agent: set relay.enabled" }}
{{- end }}
{{- end }}
{{- with .Values.pdp }}
{{- if and (eq .kind "DaemonSet") .hpa.enabled }}
{{- fail "pdp.hpa has nothing to scale: with pdp.kind DaemonSet each node has one pod; turn it off" }}
{{- end }}
{{- range $setting, $value := dict "grpc_listen" "pdp.grpc.enabled" "metrics_listen" "metrics.ownPort" "tls" "pdp.tls.existingSecret" }}
{{- if hasKey $.Values.pdp.settings $setting }}
{{- fail (printf "pdp.settings.%s is not known to Service and probes: use %s" $setting $value) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "rescind.checks.upstream" . }}
{{- include "rescind.checks.kinds" . }}
{{- end }}

{{/* Relays of a region: they read another feed, and nothing else runs beside them. */}}
{{- define "rescind.checks.upstream" -}}
{{- $upstream := .Values.relay.upstream -}}
{{- if $upstream.url }}
{{- if not .Values.relay.enabled }}
{{- fail "relay.upstream.url is what a relay reads: set relay.enabled" }}
{{- end }}
{{- if .Values.kafka.bootstrapServers }}
{{- fail "relay.upstream.url and kafka.bootstrapServers are both set: relays beside Kafka read Kafka; make a region's relays a release of their own, without Kafka" }}
{{- end }}
{{- if not $upstream.existingTokenSecret.name }}
{{- fail "the relay reads its upstream with a guard's token: make a Secret, and name it in relay.upstream.existingTokenSecret.name" }}
{{- end }}
{{- if and $upstream.existingCaSecret.name (not (hasPrefix "https://" $upstream.url)) }}
{{- fail "relay.upstream.existingCaSecret checks a certificate, and relay.upstream.url is not https: change one of them" }}
{{- end }}
{{- if .Values.relay.existingTokenSecret.name }}
{{- fail "relay.existingTokenSecret is for relays that start from one another's tables: with relay.upstream.url each starts from the upstream's; leave it empty" }}
{{- end }}
{{- if not (or .Values.settings.tokens .Values.existingSettingsSecret.name) }}
{{- fail "the relays would feed nobody: set settings.tokens to those of the guards here, as the upstream has them, or existingSettingsSecret.name" }}
{{- end }}
{{- if .Values.canary.existingTokenSecret.name }}
{{- fail "canary revokes, and a relay takes no revocations: test where the upstream's server runs, and leave canary.existingTokenSecret empty" }}
{{- end }}
{{- else if or $upstream.existingTokenSecret.name $upstream.existingCaSecret.name }}
{{- fail "relay.upstream names Secrets and no url: set relay.upstream.url" }}
{{- end }}
{{- end }}

{{/* Kinds of others' operators; rendered without a cluster there are none. */}}
{{- define "rescind.checks.kinds" -}}
{{- $prometheus := dict "from" "the Prometheus operator" "version" "monitoring.coreos.com/v1" "else" "skip" -}}
{{- $wanted := list
  (merge (dict "kind" "ServiceMonitor" "at" "metrics.serviceMonitor" "values" .Values.metrics.serviceMonitor) $prometheus)
  (merge (dict "kind" "PrometheusRule" "at" "metrics.prometheusRule" "values" .Values.metrics.prometheusRule) $prometheus)
-}}
{{- range $name := without (include "rescind.components" . | fromJsonArray) "embedded" }}
{{- with (index $.Values $name).keda }}
{{- $wanted = append $wanted (dict "kind" "ScaledObject" "at" (printf "%s.keda" $name) "values" . "from" "KEDA" "version" "keda.sh/v1alpha1" "else" "render") }}
{{- end }}
{{- end }}
{{- with .Values.strimzi }}
{{- $wanted = append $wanted (dict "kind" "KafkaTopic" "at" "strimzi" "values" . "from" "the Strimzi operator" "version" .apiVersion "else" "render") }}
{{- end }}
{{- with .Values.route.httpRoute }}
{{- $wanted = append $wanted (dict "kind" "HTTPRoute" "at" "route.httpRoute" "values" . "from" "the Gateway API" "version" "gateway.networking.k8s.io/v1" "else" "render") }}
{{- end }}
{{- range $wanted }}
{{- if and .values.enabled (eq .values.whenMissing "fail") (not ($.Capabilities.APIVersions.Has .version)) }}
{{- fail (printf "the cluster has no %s (%s): install %s, or set %s.whenMissing to %s" .kind .version .from .at .else) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Who may do what: settings that would let nobody in, or nobody approve. */}}
{{- define "rescind.checks.access" -}}
{{- $settings := .Values.settings -}}
{{- $clients := dig "tls" "clients" list $settings -}}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) }}
{{- fail "tls.clientCaKey is a key of a Secret: name it in tls.existingSecret" }}
{{- end }}
{{- if and .Values.tls.caKey (not .Values.tls.existingSecret) }}
{{- fail "tls.caKey is a key of a Secret: name it in tls.existingSecret" }}
{{- end }}
{{- if and (dig "tls" "certificate" "" $settings) (not .Values.tls.existingSecret) }}
{{- fail "settings.tls.certificate would have probes and the chart's own pods speak plain HTTP to a server of HTTPS: set tls.existingSecret instead" }}
{{- end }}
{{- if and $clients (not (or .Values.tls.clientCaKey (dig "tls" "client_ca" "" $settings))) }}
{{- fail "settings.tls.clients: nobody vouches for client certificates: set tls.existingSecret and tls.clientCaKey" }}
{{- end }}
{{- range $name, $issuer := dig "oidc" dict $settings }}
{{- if not (dig "roles" list $issuer) }}
{{- fail (printf "settings.oidc.%s.roles is empty: say which group has which roles, or nobody gets in by it" $name) }}
{{- end }}
{{- if not (dig "audience" list $issuer) }}
{{- fail (printf "settings.oidc.%s.audience is empty: name who the tokens are for, or any token of the issuer would do" $name) }}
{{- end }}
{{- end }}
{{- $persons := dict -}}
{{- range concat (dig "tokens" list $settings) $clients }}
{{- if or (has "restorer" .roles) (has "admin" .roles) }}
{{- $_ := set $persons (.person | default .name | trim | lower) true }}
{{- end }}
{{- end }}
{{- $approvers := len $persons -}}
{{- $many := dig "oidc" dict $settings }}
{{- if and (dig "approvals" "acts" list $settings) (not $many) (lt (int $approvers) 2) }}
{{- fail "settings.approvals.acts needs two persons who may approve: give two tokens or client certificates, each of another person, or a settings.oidc group the role restorer" }}
{{- end }}
{{- range $name, $authority := dig "authorities" dict $settings }}
{{- if and (eq (dig "over_limit" "page" $authority) "hold") (not (dig "blast_limit" nil $authority)) }}
{{- fail (printf "settings.authorities.%s.over_limit is hold and there is no blast_limit: set it, or nothing is ever held" $name) }}
{{- end }}
{{- if and (eq (dig "over_limit" "page" $authority) "hold") (not $many) (lt (int $approvers) 1) }}
{{- fail (printf "settings.authorities.%s.over_limit is hold and nobody could approve: give a token, a client certificate or a settings.oidc group the role restorer" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A literal is for everybody to read who may look at a pod, or at the release. */}}
{{- define "rescind.checks.environment" -}}
{{- range .given }}
{{- if .value }}
{{- if regexMatch "(?i)(PASSWORD|CREDENTIAL|SECRETS?|TOKEN|ROUTING_KEY|DIGEST_KEY|ACCESS_KEY|HEADERS|PEPPERS(__[A-Z0-9]+(_[A-Z0-9]+)*)?|__VALUE)$" .name }}
{{- fail (printf "%s.extraEnv: %s is a secret in plain text: use valueFrom.secretKeyRef, with its Secret's name and key" $.at .name) }}
{{- end }}
{{- $at := printf "%s.extraEnv.%s" $.at .name }}
{{- if hasPrefix "{" (trim .value) }}
{{- include "rescind.checks.secrets" (dict "at" $at "value" (fromJson .value)) }}
{{- else if hasPrefix "[" (trim .value) }}
{{- include "rescind.checks.secrets" (dict "at" $at "value" (fromJsonArray .value)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Secrets do not belong into a ConfigMap: {value: ...} and secrets: ["..."]. */}}
{{- define "rescind.checks.secrets" -}}
{{- $at := .at -}}
{{- if kindIs "map" .value }}
{{- range $key, $value := .value }}
{{- if and (kindIs "string" $value) (has $key (list "value" "secret" "password" "credential" "routing_key" "token")) }}
{{- fail (printf "%s.%s is a secret in plain text, and values and ConfigMaps are no place for it: name its Secret in secretMounts and write {file: /etc/rescind/secrets/NAME/KEY}, or use existingSettingsSecret" $at $key) }}
{{- end }}
{{- if and (has $key (list "secrets" "peppers")) (kindIs "slice" $value) }}
{{- range $value }}
{{- if kindIs "string" . }}
{{- fail (printf "%s.%s holds a secret in plain text: use alerts.endpoints with {file: /etc/rescind/secrets/NAME/KEY}, or existingSettingsSecret" $at $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $key "peppers") (kindIs "map" $value) }}
{{- range $value }}
{{- if kindIs "string" . }}
{{- fail (printf "%s.peppers holds a key in plain text: write {file: ...}, or use existingSettingsSecret" $at) }}
{{- end }}
{{- end }}
{{- end }}
{{- include "rescind.checks.secrets" (dict "at" (printf "%s.%s" $at $key) "value" $value) }}
{{- end }}
{{- else if kindIs "slice" .value }}
{{- range .value }}
{{- include "rescind.checks.secrets" (dict "at" $at "value" .) }}
{{- end }}
{{- end }}
{{- end }}
