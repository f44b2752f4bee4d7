{{/* Theirs is made anew by Helm each time. It is no value of theirs: a file of this folder, or the value `certificate` of a test. */}}
{{- define "upstream.certificate" -}}
{{ .Values.certificate | default (.Files.Get "certificate") }}
{{- end -}}

{{- define "upstream.selectors" -}}
app.kubernetes.io/name: {{ .Values.name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "upstream.labels" -}}
{{ include "upstream.selectors" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* All of these take list (root, component's values). The component's word counts, unless it is `false`. */}}

{{- define "upstream.auth" -}}
{{ (index . 1).keyVaultAuth | default (index . 0).Values.global.keyVaultAuth }}
{{- end -}}

{{- define "upstream.metrics" -}}
{{ (index . 1).metrics.enabled | default (index . 0).Values.global.metrics.enabled }}
{{- end -}}

{{- define "upstream.rbac" -}}
{{ or (index . 0).Values.global.rbac.create (index . 1).rbac.create }}
{{- end -}}

{{- define "upstream.args" -}}
- --cloudconfig={{ (index . 0).Values.cloudConfig }}
- --version={{ (index . 1).image.tag }}
- --v={{ get (dict "info" "2" "debug" "4" "trace" "6") ((index . 1).logLevel | default (index . 0).Values.global.logLevel | lower) }}
- --logging-format={{ (index . 1).logFormat | default (index . 0).Values.global.logFormat }}
{{- end -}}

{{/* Variables of the user's: list (root, component's values, name of the component's Secret). */}}
{{- define "upstream.env" -}}
{{- range $name, $_ := (index . 0).Values.global.env }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: akv2k8s-env
      key: {{ $name }}
{{- end }}
{{- $secret := index . 2 }}
{{- range $name, $_ := (index . 1).env }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $name }}
{{- end }}
{{- end -}}

{{- define "upstream.envFrom" -}}
{{- with concat (index . 1).envFromSecret (index . 0).Values.global.envFromSecret }}
envFrom:
  {{- range . }}
  - secretRef:
      name: {{ .name }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where the credentials are: the node's file, or a ConfigMap; list (root, component's values, name of the volume). */}}
{{- define "upstream.cloudConfig" -}}
{{- if eq (include "upstream.auth" .) "azureCloudConfig" }}
- name: {{ index . 2 }}
  {{- if (index . 0).Values.global.userDefinedMSI.enabled }}
  configMap:
    name: {{ (index . 0).Values.name }}-azureconfig
    items:
      - key: azure.json
        path: azure.json
  {{- else }}
  hostPath:
    path: {{ (index . 0).Values.cloudConfig }}
    type: File
  {{- end }}
{{- end }}
{{- end -}}

{{- define "upstream.cloudConfigMount" -}}
{{- if eq (include "upstream.auth" .) "azureCloudConfig" }}
- name: {{ index . 2 }}
  mountPath: {{ (index . 0).Values.cloudConfig }}
  readOnly: true
{{- end }}
{{- end -}}

{{/* Of the component's values. With `type: Recreate` the lines were indented wrongly, and what came of them is not known: nothing here. */}}
{{- define "upstream.strategy" -}}
{{- if ne (.strategy.type | default "") "Recreate" }}
strategy:
  type: RollingUpdate
  rollingUpdate:
    {{- toYaml .strategy.rollingUpdate | nindent 4 }}
{{- end }}
{{- end -}}

{{/* What the rest of a pod is, of the component's values. */}}
{{- define "upstream.pod" -}}
automountServiceAccountToken: {{ .automountServiceAccountToken }}
{{- with .podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A Secret of variables: list (root, name, variables). */}}
{{- define "upstream.envSecret" -}}
{{- if index . 2 }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ index . 1 }}
  labels:
    {{- include "upstream.labels" (index . 0) | nindent 4 }}
data:
  {{- range $name, $value := index . 2 }}
  {{ $name }}: {{ $value | b64enc }}
  {{- end }}
{{- end }}
{{- end -}}
