{{/* Names and labels. They are akv2k8s': Deployments cannot change their selectors, and federated credentials name ServiceAccounts. */}}

{{- define "akv2k8s.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "akv2k8s.controller" -}}
{{ printf "%s-controller" (include "akv2k8s.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "akv2k8s.envinjector" -}}
{{ printf "%s-envinjector" (include "akv2k8s.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "akv2k8s.selectors" -}}
app.kubernetes.io/name: {{ .Values.name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "akv2k8s.labels" -}}
{{ include "akv2k8s.selectors" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "akv2k8s.controller.selectors" -}}
{{ include "akv2k8s.selectors" . }}
app.kubernetes.io/component: {{ include "akv2k8s.fullname" . }}-controller
{{- end -}}

{{- define "akv2k8s.envinjector.selectors" -}}
{{ include "akv2k8s.selectors" . }}
app.kubernetes.io/component: {{ include "akv2k8s.fullname" . }}-webhook
{{- end -}}

{{- define "akv2k8s.controller.labels" -}}
{{ include "akv2k8s.labels" . }}
app.kubernetes.io/component: {{ include "akv2k8s.fullname" . }}-controller
{{- end -}}

{{- define "akv2k8s.envinjector.labels" -}}
{{ include "akv2k8s.labels" . }}
app.kubernetes.io/component: {{ include "akv2k8s.fullname" . }}-webhook
{{- end -}}

{{/* Of list (component's values, its full name). */}}
{{- define "akv2k8s.serviceAccount" -}}
{{- $account := (index . 0).serviceAccount -}}
{{ $account.name | default (ternary (index . 1) "default" $account.create) }}
{{- end -}}

{{- define "akv2k8s.controller.serviceAccount" -}}
{{ include "akv2k8s.serviceAccount" (list .Values.controller (include "akv2k8s.controller" .)) }}
{{- end -}}

{{- define "akv2k8s.envinjector.serviceAccount" -}}
{{ include "akv2k8s.serviceAccount" (list .Values.env_injector (include "akv2k8s.envinjector" .)) }}
{{- end -}}

{{/* Whether both components are one ServiceAccount: the API server cannot tell them apart then. */}}
{{- define "akv2k8s.oneAccount" -}}
{{ and .Values.controller.enabled .Values.env_injector.enabled (eq (include "akv2k8s.controller.serviceAccount" .) (include "akv2k8s.envinjector.serviceAccount" .)) }}
{{- end -}}

{{/* The users that both components are at the API server, as a list of CEL. Of those that are enabled. */}}
{{- define "akv2k8s.users" -}}
{{- $users := list -}}
{{- if .Values.controller.enabled -}}
{{- $users = append $users (printf "'system:serviceaccount:%s:%s'" .Release.Namespace (include "akv2k8s.controller.serviceAccount" .)) -}}
{{- end -}}
{{- if .Values.env_injector.enabled -}}
{{- $users = append $users (printf "'system:serviceaccount:%s:%s'" .Release.Namespace (include "akv2k8s.envinjector.serviceAccount" .)) -}}
{{- end -}}
[{{ join ", " ($users | uniq) }}]
{{- end -}}
