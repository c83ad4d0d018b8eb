{{- define "rescind.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* How to reach Kafka; of a component, with its own user where it has one. A Job that
only checks (`checks`) does not wait for a Secret that Strimzi has yet to make. */}}
{{- define "rescind.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
- {name: RESCIND_KAFKA_BOOTSTRAP_SERVERS, value: {{ $kafka.bootstrapServers | quote }}}
- {name: RESCIND_KAFKA_PREFIX, value: {{ $kafka.prefix | quote }}}
- {name: RESCIND_KAFKA_PARTITIONS, value: {{ $kafka.partitions | int | quote }}}
- {name: RESCIND_KAFKA_ACCESS_PARTITIONS, value: {{ $kafka.accessPartitions | int | quote }}}
- {name: RESCIND_KAFKA_REPLICATION_FACTOR, value: {{ $kafka.replicationFactor | int | quote }}}
- {name: RESCIND_KAFKA_MIN_INSYNC_REPLICAS, value: {{ $kafka.minInsyncReplicas | int | quote }}}
{{- if $kafka.tls.enabled }}
- {name: RESCIND_KAFKA_TLS, value: "{}"}
{{- range $name, $key := dict "CA_FILE" $kafka.tls.caKey "CERT_FILE" $kafka.tls.certKey "KEY_FILE" $kafka.tls.keyKey }}
{{- if and $kafka.tls.existingSecret $key }}
- {name: RESCIND_KAFKA_TLS__{{ $name }}, value: {{ printf "/etc/rescind/kafka-tls/%s" $key | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- if $kafka.sasl.enabled }}
{{- $own := ternary (include "rescind.strimziUser" .) "" .root.Values.strimzi.enabled }}
{{- $secret := coalesce .kafkaSecret $own $kafka.sasl.existingSecret }}
- {name: RESCIND_KAFKA_SASL__MECHANISM, value: {{ $kafka.sasl.mechanism }}}
{{- if and $own (eq $secret $own) }}
- {name: RESCIND_KAFKA_SASL__USERNAME, value: {{ $own }}}
{{- else }}
- name: RESCIND_KAFKA_SASL__USERNAME
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ $kafka.sasl.usernameKey }}}
{{- end }}
{{- if and .checks $own (eq $secret $own) }}
- {name: RESCIND_KAFKA_SASL__PASSWORD, value: not-there-yet}
{{- else }}
- name: RESCIND_KAFKA_SASL__PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $secret }}, key: {{ $kafka.sasl.passwordKey }}}
{{- end }}
{{- end }}
{{- with $kafka.digestKey.existingSecret }}
- name: RESCIND_KAFKA_DIGEST_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $kafka.digestKey.key }}}
{{- end }}
{{- with $kafka.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "rescind.args" -}}
{{- $listen := printf "%s:8750" .root.Values.listenAddress -}}
{{- $settings := or .root.Values.settings .root.Values.existingSettingsSecret.name -}}
{{- $command := get (dict "embedded" "serve" "registry" "worker" "sentinel" "worker") .component | default .component -}}
- {{ $command }}
- --listen
- {{ $listen | quote }}
{{- if eq .component "pdp" }}
- --config
- /etc/rescind/pdp.yaml
{{- else if $settings }}
- --config
- /etc/rescind/settings/rescind.yaml
{{- end }}
{{- if eq .component "console" }}
- --url
- {{ printf "%s://%s-ingress:%d" (include "rescind.scheme" .root) (include "rescind.fullname" .root) (int .root.Values.service.port) }}
{{- if and .root.Values.tls.existingSecret .root.Values.tls.caKey }}
- --ca
- {{ printf "/etc/rescind/tls/%s" .root.Values.tls.caKey }}
{{- end }}
{{- end }}
{{- if has .component (list "embedded" "registry" "sentinel" "notify") }}
- --data-dir
- /var/lib/rescind
{{- end }}
{{- if has .component (list "ingress" "registry" "sentinel" "notify") }}
- --name
- $(POD_NAME)
{{- end }}
{{- end }}

{{- define "rescind.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
{{- if and .root.Values.kafka.bootstrapServers (ne .component "console") }}
{{ include "rescind.kafkaEnv" (dict "root" .root "component" .component "kafkaSecret" .values.kafkaSecret "checks" .checks) }}
{{- end }}
{{- if eq .component "embedded" }}
- {name: RESCIND_DATA_DIR, value: /var/lib/rescind}
{{- if .root.Values.tls.existingSecret }}
{{- /* Of commands within the pod: 0.0.0.0 is in no certificate. */}}
- {name: RESCIND_URL, value: {{ include "rescind.url" .root }}}
{{- with .root.Values.tls.caKey }}
- {name: RESCIND_CA_FILE, value: {{ printf "/etc/rescind/tls/%s" . | quote }}}
{{- end }}
{{- end }}
{{- else if eq .component "registry" }}
{{- /* The image before need not know the stage audit, and would not start. */}}
- {name: RESCIND_WORKER_STAGES, value: '{{ include "rescind.waits" . | empty | ternary `["registry","closure","audit"]` `["registry","closure"]` }}'}
- {name: RESCIND_WORKER_STANDBY, value: {{ .values.standby | quote }}}
{{- else if eq .component "sentinel" }}
- {name: RESCIND_WORKER_STAGES, value: '["sentinel"]'}
- {name: RESCIND_WORKER_STANDBY, value: {{ .values.standby | quote }}}
{{- else if eq .component "relay" }}
{{- with .values.upstream }}
{{- if .url }}
- {name: RESCIND_RELAY_UPSTREAM, value: {{ .url | quote }}}
- {name: RESCIND_RELAY_UPSTREAM_TOKEN, value: {{ printf "/etc/rescind/upstream/%s" .existingTokenSecret.key | quote }}}
{{- if .existingCaSecret.name }}
- {name: RESCIND_RELAY_UPSTREAM_CA, value: {{ printf "/etc/rescind/upstream-ca/%s" .existingCaSecret.key | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- if include "rescind.startsFromPeers" . }}
- {name: RESCIND_RELAY_PEERS, value: {{ list (printf "%s://%s-relay:%d" (include "rescind.scheme" .root) (include "rescind.fullname" .root) (int .root.Values.service.port)) | toJson | squote }}}
- {name: RESCIND_RELAY_PEERS_TOKEN, value: {{ printf "/etc/rescind/guard/%s" .values.existingTokenSecret.key }}}
{{- if and .root.Values.tls.existingSecret .root.Values.tls.caKey }}
- {name: RESCIND_RELAY_PEERS_CA, value: {{ printf "/etc/rescind/tls/%s" .root.Values.tls.caKey | quote }}}
{{- end }}
{{- end }}
{{- else if eq .component "insights" }}
- {name: RESCIND_INSIGHTS_DAYS, value: {{ .values.days | int | quote }}}
{{- else if eq .component "pdp" }}
{{- if eq (include "rescind.kindOf" .) "DaemonSet" }}
- name: NODE_NAME
  valueFrom:
    fieldRef: {fieldPath: spec.nodeName}
- {name: RESCIND_PDP_NAME, value: {{ include "rescind.fullname" .root }}-pdp-$(NODE_NAME)}
{{- else }}
- {name: RESCIND_PDP_NAME, value: $(POD_NAME)}
{{- end }}
{{- if .values.grpc.enabled }}
- {name: RESCIND_PDP_GRPC_LISTEN__HOST, value: {{ trimAll "[]" .root.Values.listenAddress | quote }}}
- {name: RESCIND_PDP_GRPC_LISTEN__PORT, value: "8751"}
{{- end }}
{{- if .values.tls.existingSecret }}
- {name: RESCIND_PDP_TLS__CERTIFICATE, value: {{ printf "/etc/rescind/pdp-tls/%s" .values.tls.certKey | quote }}}
- {name: RESCIND_PDP_TLS__KEY, value: {{ printf "/etc/rescind/pdp-tls/%s" .values.tls.keyKey | quote }}}
{{- end }}
{{- if .root.Values.kafka.bootstrapServers }}
- {name: RESCIND_PDP_FEED, value: kafka}
{{- else }}
- {name: RESCIND_PDP_URL, value: {{ include "rescind.url" .root }}}
- {name: RESCIND_PDP_CREDENTIAL_FILE, value: {{ printf "/etc/rescind/guard/%s" .root.Values.pdp.existingTokenSecret.key }}}
{{- end }}
{{- end }}
{{- if eq .component "pdp" }}
{{- with include "rescind.trustEnv" .root }}
{{ . }}
{{- end }}
{{- else }}
{{- include "rescind.servedTlsEnv" .root }}
{{- /* The image before has no such setting, and would not start. */}}
{{- if and (include "rescind.waits" . | empty) (ne .component "console") }}
{{- include "rescind.peersEnv" .root }}
{{- end }}
{{- end }}
{{- if include "rescind.tellsApart" . }}
{{- $prefix := printf "RESCIND_%sMETRICS_LISTEN__" (ternary "PDP_" "" (eq .component "pdp")) }}
- {name: {{ $prefix }}HOST, value: {{ trimAll "[]" .root.Values.listenAddress | quote }}}
- {name: {{ $prefix }}PORT, value: "8752"}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Whether a component has /metrics at a port of its own; the image before knows none. */}}
{{- define "rescind.tellsApart" -}}
{{- if and .root.Values.metrics.ownPort (include "rescind.waits" . | empty) }}yes{{ end -}}
{{- end }}

{{/* The image before has no such settings, and would not start. */}}
{{- define "rescind.startsFromPeers" -}}
{{- if and (eq .component "relay") .root.Values.relay.existingTokenSecret.name (include "rescind.waits" . | empty) }}yes{{ end -}}
{{- end }}

{{- define "rescind.scheme" -}}
{{ ternary "https" "http" (ne .Values.tls.existingSecret "") }}
{{- end }}

{{/* The Secret with the certificate that a component's port has; empty: plain HTTP. */}}
{{- define "rescind.certificateOf" -}}
{{ ternary .root.Values.pdp.tls.existingSecret .root.Values.tls.existingSecret (eq .component "pdp") }}
{{- end }}

{{/* The decision point's port for Envoy. */}}
{{- define "rescind.hasGrpc" -}}
{{- if and (eq .component "pdp") .root.Values.pdp.grpc.enabled }}yes{{ end -}}
{{- end }}

{{- define "rescind.grpcServicePort" -}}
{{- if include "rescind.hasGrpc" . -}}
- {name: grpc, port: 8751, targetPort: grpc, protocol: TCP}
{{- end }}
{{- end }}

{{/* Where the one server is called, or the relays of a region. */}}
{{- define "rescind.url" -}}
{{ printf "%s://%s:%d" (include "rescind.scheme" .) (include "rescind.feedName" .) (int .Values.service.port) }}
{{- end }}

{{/* Where the processes are that answer what one of them does not: all pods of a role. */}}
{{- define "rescind.peersEnv" -}}
{{- if .Values.kafka.bootstrapServers }}
{{- $at := printf "%s://%s-%%s-pods:8750" (include "rescind.scheme" .) (include "rescind.fullname" .) }}
{{- $notify := ternary (list (printf $at "notify")) list .Values.notify.enabled }}
- {name: RESCIND_PEERS__INGRESS, value: {{ list (printf $at "ingress") | toJson | squote }}}
- {name: RESCIND_PEERS__WORKERS, value: {{ list (printf $at "registry") (printf $at "sentinel") | toJson | squote }}}
- {name: RESCIND_PEERS__NOTIFY, value: {{ $notify | toJson | squote }}}
{{- if .Values.insights.enabled }}
- {name: RESCIND_PEERS__INSIGHTS, value: {{ list (printf $at "insights") | toJson | squote }}}
{{- end }}
{{- if and .Values.tls.existingSecret .Values.tls.caKey }}
- {name: RESCIND_PEERS__CA_FILE, value: {{ printf "/etc/rescind/tls/%s" .Values.tls.caKey | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the certificate of the server lies; the files are read again when they change. */}}
{{- define "rescind.servedTlsEnv" -}}
{{- if .Values.tls.existingSecret }}
- {name: RESCIND_TLS__CERTIFICATE, value: {{ printf "/etc/rescind/tls/%s" .Values.tls.certKey | quote }}}
- {name: RESCIND_TLS__KEY, value: {{ printf "/etc/rescind/tls/%s" .Values.tls.keyKey | quote }}}
- {name: RESCIND_TLS__MINIMUM, value: {{ .Values.tls.minimum | quote }}}
{{- with .Values.tls.clientCaKey }}
- {name: RESCIND_TLS__CLIENT_CA, value: {{ printf "/etc/rescind/tls/%s" . | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{/* What the chart's own pods need to call the server: its CA, never its key. */}}
{{- define "rescind.trusts" -}}
{{- if and .Values.tls.existingSecret .Values.tls.caKey }}yes{{ end }}
{{- end }}

{{- define "rescind.trustEnv" -}}
{{- if include "rescind.trusts" . -}}
- {name: SSL_CERT_FILE, value: {{ printf "/etc/rescind/server-ca/%s" .Values.tls.caKey | quote }}}
{{- end }}
{{- end }}

{{- define "rescind.trustMount" -}}
{{- if include "rescind.trusts" . -}}
- {name: server-ca, mountPath: /etc/rescind/server-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "rescind.trustVolume" -}}
{{- if include "rescind.trusts" . -}}
- name: server-ca
  secret:
    secretName: {{ .Values.tls.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .Values.tls.caKey }}, path: {{ .Values.tls.caKey }}}]
{{- end }}
{{- end }}

{{/* What a relay needs for its upstream, by the volume: name and key, in JSON. */}}
{{- define "rescind.upstreamSecrets" -}}
{{- $secrets := dict -}}
{{- with .Values.relay.upstream }}
{{- if .url }}{{ $_ := set $secrets "upstream" .existingTokenSecret }}{{ end }}
{{- if and .url .existingCaSecret.name }}{{ $_ := set $secrets "upstream-ca" .existingCaSecret }}{{ end }}
{{- end }}
{{- toJson $secrets }}
{{- end }}

{{/* Of a component; `checks` is what the names of its settings end with besides. */}}
{{- define "rescind.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if eq .component "pdp" }}
- name: pdp-settings
  configMap: {name: {{ include "rescind.fullname" .root }}{{ .checks | default "" }}-pdp}
{{- with .root.Values.pdp.tls.existingSecret }}
- name: pdp-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if not .root.Values.kafka.bootstrapServers }}
- name: guard
  secret: {secretName: {{ .root.Values.pdp.existingTokenSecret.name }}, defaultMode: 0440}
{{- end }}
{{- else if .root.Values.existingSettingsSecret.name }}
- name: settings
  secret:
    secretName: {{ .root.Values.existingSettingsSecret.name }}
    defaultMode: 0440
    items: [{key: {{ .root.Values.existingSettingsSecret.key }}, path: rescind.yaml}]
{{- else if .root.Values.settings }}
- name: settings
  configMap: {name: {{ include "rescind.fullname" .root }}{{ .checks | default "" }}}
{{- end }}
{{- if include "rescind.startsFromPeers" . }}
- name: guard
  secret: {secretName: {{ .root.Values.relay.existingTokenSecret.name }}, defaultMode: 0440}
{{- end }}
{{- if eq .component "relay" }}
{{- range $name, $of := include "rescind.upstreamSecrets" .root | fromJson }}
- name: {{ $name }}
  secret:
    secretName: {{ $of.name }}
    defaultMode: 0440
    items: [{key: {{ $of.key }}, path: {{ $of.key }}}]
{{- end }}
{{- end }}
{{- range .root.Values.secretMounts }}
- name: secret-{{ . }}
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if eq .component "pdp" }}
{{- with include "rescind.trustVolume" .root }}
{{ . }}
{{- end }}
{{- else if .root.Values.tls.existingSecret }}
- name: tls
  secret: {secretName: {{ .root.Values.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- if ne .component "console" }}
{{- include "rescind.tlsVolume" .root }}
{{- end }}
{{- end }}

{{- define "rescind.tlsVolume" -}}
{{- if and .Values.kafka.bootstrapServers .Values.kafka.tls.enabled .Values.kafka.tls.existingSecret }}
- name: kafka-tls
  secret: {secretName: {{ .Values.kafka.tls.existingSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "rescind.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if hasKey .values "persistence" }}
- {name: data, mountPath: /var/lib/rescind}
{{- end }}
{{- if eq .component "pdp" }}
- {name: pdp-settings, mountPath: /etc/rescind/pdp.yaml, subPath: pdp.yaml, readOnly: true}
{{- if .root.Values.pdp.tls.existingSecret }}
- {name: pdp-tls, mountPath: /etc/rescind/pdp-tls, readOnly: true}
{{- end }}
{{- if not .root.Values.kafka.bootstrapServers }}
- {name: guard, mountPath: /etc/rescind/guard, readOnly: true}
{{- end }}
{{- else if or .root.Values.settings .root.Values.existingSettingsSecret.name }}
- {name: settings, mountPath: /etc/rescind/settings, readOnly: true}
{{- end }}
{{- if include "rescind.startsFromPeers" . }}
- {name: guard, mountPath: /etc/rescind/guard, readOnly: true}
{{- end }}
{{- if eq .component "relay" }}
{{- range $name, $of := include "rescind.upstreamSecrets" .root | fromJson }}
- {name: {{ $name }}, mountPath: /etc/rescind/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- range .root.Values.secretMounts }}
- {name: secret-{{ . }}, mountPath: /etc/rescind/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- if eq .component "pdp" }}
{{- with include "rescind.trustMount" .root }}
{{ . }}
{{- end }}
{{- else if .root.Values.tls.existingSecret }}
- {name: tls, mountPath: /etc/rescind/tls, readOnly: true}
{{- end }}
{{- if ne .component "console" }}
{{- include "rescind.tlsMount" .root }}
{{- end }}
{{- end }}

{{- define "rescind.tlsMount" -}}
{{- if and .Values.kafka.bootstrapServers .Values.kafka.tls.enabled .Values.kafka.tls.existingSecret }}
- {name: kafka-tls, mountPath: /etc/rescind/kafka-tls, readOnly: true}
{{- end }}
{{- end }}

{{/* What pods have before their containers. */}}
{{- define "rescind.podHead" -}}
serviceAccountName: {{ include "rescind.serviceAccount" .root }}
automountServiceAccountToken: false
# A Service called rescind-pdp would else set RESCIND_PDP_PORT, which is a setting.
enableServiceLinks: false
terminationGracePeriodSeconds: {{ int .values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName | default .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- range $field := list "nodeSelector" "tolerations" "affinity" }}
{{- with index $.values $field }}
{{ $field }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rescind.podSpec" -}}
{{ include "rescind.podHead" . }}
{{- if ne (include "rescind.kindOf" .) "DaemonSet" }}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "rescind.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
containers:
  - name: rescind
    image: {{ include "rescind.imageOf" . | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args:
      {{- include "rescind.args" . | nindent 6 }}
    env:
      {{- include "rescind.env" . | nindent 6 }}
    ports:
      - {name: http, containerPort: 8750, protocol: TCP}
      {{- if include "rescind.tellsApart" . }}
      - {name: metrics, containerPort: 8752, protocol: TCP}
      {{- end }}
      {{- if include "rescind.hasGrpc" . }}
      - {name: grpc, containerPort: 8751, protocol: TCP}
      {{- end }}
    securityContext:
      {{- include "rescind.containerSecurity" . | nindent 6 }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
{{- if gt (int .values.preStopSeconds) 0 }}
    lifecycle:
      preStop:
        sleep: {seconds: {{ int .values.preStopSeconds }}}
{{- end }}
{{- range $probe, $path := dict "startupProbe" "startup" "livenessProbe" "live" "readinessProbe" "ready" }}
    {{ $probe }}:
      httpGet: {path: /healthz/{{ $path }}, port: http{{ if include "rescind.certificateOf" $ }}, scheme: HTTPS{{ end }}}
      {{- toYaml (index $.root.Values $probe) | nindent 6 }}
{{- end }}
    volumeMounts:
      {{- include "rescind.mounts" . | nindent 6 }}
      {{- with .values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  {{- with .values.extraContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumes:
  {{- include "rescind.volumes" . | nindent 2 }}
{{- with .values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.persistence }}
{{- if .existingClaim }}
  - name: data
    persistentVolumeClaim: {claimName: {{ .existingClaim }}}
{{- else if not .enabled }}
  - name: data
    emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}
{{- end }}
