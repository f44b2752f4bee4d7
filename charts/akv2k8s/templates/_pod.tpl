{{/* What both pods have in common. All of these take list (root, component's values) unless they say otherwise. */}}

{{/* Whether the node's azure.json is mounted: "host", "map" (one of our own) or nothing. */}}
{{- define "akv2k8s.cloudConfig" -}}
{{- $root := index . 0 -}}
{{- /* Without the broker nobody reads vaults with it. */ -}}
{{- $needed := get (index . 1) "authService" | toString | ne "false" -}}
{{- if and $needed (eq (include "akv2k8s.authType" .) "azureCloudConfig") -}}
{{ ternary "map" "host" $root.Values.global.userDefinedMSI.enabled }}
{{- end -}}
{{- end -}}

{{/* Whether the chart gives the pod token and variables of workload identity itself. */}}
{{- define "akv2k8s.projectsToken" -}}
{{ and (index . 0).Values.workloadIdentity.enabled (not (index . 0).Values.workloadIdentity.webhook) }}
{{- end -}}

{{/* Variables: list (root, component's values, the chart's own ones as a list, the component's Secret). The user's word counts. */}}
{{- define "akv2k8s.env" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $secret := index . 3 -}}
{{- $env := list -}}
{{- $own := index . 2 -}}
{{- if eq (include "akv2k8s.projectsToken" (list $root $component)) "true" -}}
{{- $own = append $own (dict "name" "AZURE_CLIENT_ID" "value" (include "akv2k8s.clientId" (list $root $component))) -}}
{{- $own = append $own (dict "name" "AZURE_TENANT_ID" "value" (include "akv2k8s.tenantId" (list $root $component))) -}}
{{- $own = append $own (dict "name" "AZURE_FEDERATED_TOKEN_FILE" "value" "/var/run/secrets/azure/tokens/azure-identity-token") -}}
{{- end -}}
{{- range $own -}}
{{- if not (or (hasKey $root.Values.global.env .name) (hasKey $component.env .name)) -}}
{{- $env = append $env . -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $root.Values.global.env -}}
{{- if not (hasKey $component.env $name) -}}
{{- $reference := dict "name" (printf "%s-env" (include "akv2k8s.fullname" $root)) "key" $name -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" $reference)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $component.env -}}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" $secret "key" $name))) -}}
{{- end -}}
{{ toYaml $env }}
{{- end -}}

{{- define "akv2k8s.envFrom" -}}
{{- $sources := list -}}
{{- range concat ((index . 0).Values.global.envFromSecret | default list) ((index . 1).envFromSecret | default list) -}}
{{- $sources = append $sources (dict "secretRef" (dict "name" .name)) -}}
{{- end -}}
{{- if $sources -}}
envFrom:
  {{- toYaml $sources | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Data of a Secret with variables: of a map. Whole numbers as they were written: Helm reads them as floats. */}}
{{- define "akv2k8s.envData" -}}
{{- range $name, $value := . }}
{{- $text := toString $value }}
{{- if kindIs "float64" $value }}
{{- if eq $value (floor $value) }}{{ $text = printf "%.0f" $value }}{{ end }}
{{- end }}
{{ $name }}: {{ $text | b64enc | quote }}
{{- end }}
{{- end -}}

{{/* The restricted pod security standard, except where the node's azure.json is read: that belongs to root. */}}
{{- define "akv2k8s.podSecurityContext" -}}
{{- $context := dict "runAsNonRoot" true "runAsUser" 65532 "runAsGroup" 65532 "fsGroup" 65532 -}}
{{- if eq (include "akv2k8s.cloudConfig" .) "host" -}}
{{- $context = dict "runAsNonRoot" false "runAsUser" 0 "runAsGroup" 0 "fsGroup" 65532 -}}
{{- end -}}
{{- $_ := set $context "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{ toYaml (mergeOverwrite $context (deepCopy ((index . 1).podSecurityContext | default dict))) }}
{{- end -}}

{{/* Of the component's values. */}}
{{- define "akv2k8s.securityContext" -}}
{{- $context := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) -}}
{{ toYaml (mergeOverwrite $context (deepCopy (.securityContext | default dict))) }}
{{- end -}}

{{- define "akv2k8s.volumeMounts" -}}
{{- $root := index . 0 -}}
{{- $mounts := list -}}
{{- $config := include "akv2k8s.cloudConfig" . -}}
{{- if eq $config "host" -}}
{{- $mounts = append $mounts (dict "name" "azure-config" "mountPath" $root.Values.cloudConfig "readOnly" true) -}}
{{- else if eq $config "map" -}}
{{- $mounts = append $mounts (dict "name" "azure-config" "mountPath" (dir $root.Values.cloudConfig) "readOnly" true) -}}
{{- end -}}
{{- if eq (include "akv2k8s.projectsToken" .) "true" -}}
{{- $mounts = append $mounts (dict "name" "azure-identity-token" "mountPath" "/var/run/secrets/azure/tokens" "readOnly" true) -}}
{{- end -}}
{{- if $root.Values.vaultGrants -}}
{{- $mounts = append $mounts (dict "name" "vault-grants" "mountPath" "/etc/akv2k8s" "readOnly" true) -}}
{{- end -}}
{{ toYaml (concat $mounts ((index . 1).extraVolumeMounts | default list)) }}
{{- end -}}

{{- define "akv2k8s.volumes" -}}
{{- $root := index . 0 -}}
{{- $volumes := list -}}
{{- $config := include "akv2k8s.cloudConfig" . -}}
{{- if eq $config "host" -}}
{{- $volumes = append $volumes (dict "name" "azure-config" "hostPath" (dict "path" $root.Values.cloudConfig "type" "File")) -}}
{{- else if eq $config "map" -}}
{{- $items := list (dict "key" "azure.json" "path" (base $root.Values.cloudConfig)) -}}
{{- $volumes = append $volumes (dict "name" "azure-config" "configMap" (dict "name" (printf "%s-azureconfig" $root.Values.name) "items" $items)) -}}
{{- end -}}
{{- if eq (include "akv2k8s.projectsToken" .) "true" -}}
{{- $token := dict "audience" "api://AzureADTokenExchange" "expirationSeconds" 3600 "path" "azure-identity-token" -}}
{{- $volumes = append $volumes (dict "name" "azure-identity-token" "projected" (dict "sources" (list (dict "serviceAccountToken" $token)))) -}}
{{- end -}}
{{- if $root.Values.vaultGrants -}}
{{- $volumes = append $volumes (dict "name" "vault-grants" "configMap" (dict "name" (printf "%s-vault-grants" (include "akv2k8s.fullname" $root)))) -}}
{{- end -}}
{{ toYaml (concat $volumes ((index . 1).extraVolumes | default list)) }}
{{- end -}}

{{- define "akv2k8s.podLabels" -}}
{{- $labels := dict -}}
{{- if (index . 0).Values.workloadIdentity.enabled -}}
{{- $_ := set $labels "azure.workload.identity/use" "true" -}}
{{- end -}}
{{- with mergeOverwrite $labels (deepCopy ((index . 1).podLabels | default dict)) -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* Everything of the pod but its containers and volumes: list (root, component's values, its selectors). */}}
{{- define "akv2k8s.scheduling" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $secrets := $root.Values.imagePullSecrets | default list -}}
{{- if $component.image.pullSecret -}}
{{- $secrets = append $secrets (dict "name" $component.image.pullSecret) -}}
{{- end -}}
{{- with $secrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- if $component.topologySpreadConstraints }}
  {{- toYaml $component.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- index . 2 | nindent 8 }}
{{- end }}
{{- with $component.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $component.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of the component's values. */}}
{{- define "akv2k8s.strategy" -}}
{{- if eq (.strategy.type | default "RollingUpdate") "Recreate" -}}
type: Recreate
{{- else -}}
type: RollingUpdate
rollingUpdate:
  {{- toYaml .strategy.rollingUpdate | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Annotations of a ServiceAccount. */}}
{{- define "akv2k8s.accountAnnotations" -}}
{{- $annotations := dict -}}
{{- if (index . 0).Values.workloadIdentity.enabled -}}
{{- with include "akv2k8s.clientId" . -}}{{- $_ := set $annotations "azure.workload.identity/client-id" . -}}{{- end -}}
{{- with include "akv2k8s.tenantId" . -}}{{- $_ := set $annotations "azure.workload.identity/tenant-id" . -}}{{- end -}}
{{- end -}}
{{- with mergeOverwrite $annotations (deepCopy ((index . 1).serviceAccount.annotations | default dict)) -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}
