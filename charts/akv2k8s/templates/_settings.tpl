{{/* What was asked for: the component's word, else the global one. */}}

{{/* The first of a list that says something (is neither null nor ""), as JSON; nothing when none does. */}}
{{- define "akv2k8s.first" -}}
{{- $said := false -}}
{{- range . -}}
{{- if not (or $said (kindIs "invalid" .) (and (kindIs "string" .) (eq . ""))) -}}
{{- $said = true -}}
{{ toJson . }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* All of these take list (root, component's values). */}}

{{- define "akv2k8s.verbosity" -}}
{{- $level := include "akv2k8s.first" (list (index . 1).logLevel (index . 0).Values.global.logLevel) | trimAll "\"" | lower -}}
{{- get (dict "info" "2" "debug" "4" "trace" "6") $level | default "2" -}}
{{- end -}}

{{- define "akv2k8s.logFormat" -}}
{{ include "akv2k8s.first" (list (index . 1).logFormat (index . 0).Values.global.logFormat) | trimAll "\"" }}
{{- end -}}

{{- define "akv2k8s.metrics" -}}
{{ include "akv2k8s.first" (list (index . 1).metrics.enabled (index . 0).Values.global.metrics.enabled false) }}
{{- end -}}

{{- define "akv2k8s.rbac" -}}
{{ include "akv2k8s.first" (list (index . 1).rbac.create (index . 0).Values.global.rbac.create true) }}
{{- end -}}

{{/* AUTH_TYPE. akv2k8s' default means workload identity where that is switched on: nobody means the node's file then. */}}
{{- define "akv2k8s.authType" -}}
{{- $root := index . 0 -}}
{{- $type := include "akv2k8s.first" (list (index . 1).keyVaultAuth $root.Values.global.keyVaultAuth) | trimAll "\"" -}}
{{ ternary "workloadIdentity" $type (and $root.Values.workloadIdentity.enabled (eq $type "azureCloudConfig")) }}
{{- end -}}

{{- define "akv2k8s.clientId" -}}
{{ include "akv2k8s.first" (list (index . 1).workloadIdentity.clientId (index . 0).Values.workloadIdentity.clientId) | trimAll "\"" }}
{{- end -}}

{{- define "akv2k8s.tenantId" -}}
{{ include "akv2k8s.first" (list (index . 1).workloadIdentity.tenantId (index . 0).Values.workloadIdentity.tenantId) | trimAll "\"" }}
{{- end -}}

{{/* Of list (root, image's values). */}}
{{- define "akv2k8s.image" -}}
{{- $image := index . 1 -}}
{{- $tag := $image.tag | default (index . 0).Chart.AppVersion -}}
{{ $image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" (toString $tag)) }}{{ $tag }}
{{- end -}}

{{/* The namespaces that are served, as JSON; [] = all. */}}
{{- define "akv2k8s.namespaces" -}}
{{- if .Values.watchNamespaces -}}
{{ toJson .Values.watchNamespaces }}
{{- else if .Values.watchAllNamespaces -}}
[]
{{- else -}}
{{ toJson (list .Release.Namespace) }}
{{- end -}}
{{- end -}}

{{- define "akv2k8s.watchOutputs" -}}
{{ include "akv2k8s.first" (list .Values.controller.watchOutputs (ne .Values.profile "hardened")) }}
{{- end -}}

{{- define "akv2k8s.pullSecrets" -}}
{{- if .Values.env_injector.imageLookup.enabled -}}
{{ include "akv2k8s.first" (list .Values.env_injector.imageLookup.pullSecrets (ne .Values.profile "hardened")) }}
{{- else -}}
false
{{- end -}}
{{- end -}}

{{/* Whether a rule of the grants asks for the labels of namespaces. */}}
{{- define "akv2k8s.grantsByLabel" -}}
{{- $found := false -}}
{{- range .Values.vaultGrants -}}
{{- if hasKey . "namespaceSelector" -}}{{- $found = true -}}{{- end -}}
{{- end -}}
{{ $found }}
{{- end -}}

{{/* Folder of the webhook's certificate, when it is somebody else's. */}}
{{- define "akv2k8s.ownCertificates" -}}
{{ not (or .Values.env_injector.certificate.useCertManager .Values.env_injector.certificate.custom.enabled) }}
{{- end -}}
