{{/* The settings as ConfigMaps; with `checks`, as hooks of the Jobs that check them. */}}
{{- define "rescind.settings" -}}
{{- $full := printf "%s%s" (include "rescind.fullname" .root) (.checks | default "") }}
{{- with .root.Values }}
{{- if .settings }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $full }}
  labels:
    {{- include "rescind.labels" $ | nindent 4 }}
  {{- include "rescind.checkHook" (dict "checks" $.checks "weight" "-20") | nindent 2 }}
data:
  rescind.yaml: |
    {{- toYaml .settings | nindent 4 }}
{{- end }}
{{- if .pdp.enabled }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $full }}-pdp
  labels:
    {{- include "rescind.labels" $ | nindent 4 }}
  {{- include "rescind.checkHook" (dict "checks" $.checks "weight" "-20") | nindent 2 }}
data:
  pdp.yaml: |
    {{- toYaml .pdp.settings | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Before the Job of the topics, which has no weight. A failed Job stays, for its log. */}}
{{- define "rescind.checkHook" -}}
{{- if .checks -}}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
{{- end }}

{{/* Whose settings are checked: on Kafka ingress, and who has variables of its own. */}}
{{- define "rescind.checked" -}}
{{- $names := list -}}
{{- range $name := include "rescind.components" . | fromJsonArray -}}
{{- $first := ternary "relay" "ingress" (ne (include "rescind.passesOn" $) "") -}}
{{- if or (has $name (list "embedded" $first "pdp")) (index $.Values $name).extraEnv -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}
{{- toJson $names -}}
{{- end }}
