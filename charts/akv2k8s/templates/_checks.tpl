{{/* What cannot work, said before anything is installed: what is wrong, and the edit that makes it right. */}}

{{- define "akv2k8s.checks" -}}
{{- /* Defaults that nobody sets in part: the first that akv2k8s' chart lacks, and the newest of ours whose absence would mean something. */ -}}
{{- if not (and (hasKey .Values.controller "leaderElection") (hasKey (.Values.policies | default dict) "adoption")) -}}
{{- fail "the defaults of this chart are missing, as with --reuse-values, by which Helm takes those of the chart before: upgrade with --values FILE, or with --reset-then-reuse-values" -}}
{{- end -}}
{{- $components := dict -}}
{{- if .Values.controller.enabled -}}{{- $_ := set $components "controller" .Values.controller -}}{{- end -}}
{{- if .Values.env_injector.enabled -}}{{- $_ := set $components "env_injector" .Values.env_injector -}}{{- end -}}
{{- range $name, $component := $components -}}
{{- include "akv2k8s.checkImage" (list (printf "%s.image" $name) $component.image) -}}
{{- include "akv2k8s.checkIdentity" (list $ $name $component) -}}
{{- end -}}
{{- if .Values.env_injector.enabled -}}
{{- include "akv2k8s.checkImage" (list "env_injector.envImage" .Values.env_injector.envImage) -}}
{{- include "akv2k8s.checkCertificate" .Values.env_injector.certificate -}}
{{- end -}}
{{- include "akv2k8s.checkController" . -}}
{{- include "akv2k8s.checkAccounts" . -}}
{{- include "akv2k8s.checkCloudConfig" . -}}
{{- $workload := .Values.workloadIdentity -}}
{{- if and (not $workload.enabled) (or $workload.clientId $workload.tenantId) -}}
{{- fail "workloadIdentity.clientId or workloadIdentity.tenantId is set, and workloadIdentity.enabled is not: add workloadIdentity.enabled=true, or take both out" -}}
{{- end -}}
{{- end -}}

{{/* list (key, image's values). */}}
{{- define "akv2k8s.checkImage" -}}
{{- $key := index . 0 -}}
{{- $image := index . 1 -}}
{{- if regexMatch "(^|/)(spvest/|azure-keyvault-(controller|webhook|env)$)" $image.repository -}}
{{- fail (printf "%s.repository is %q: that image is akv2k8s in Go, which does not understand this chart. Take %s out of your values, or write the repository of your copy of this project's image" $key $image.repository $key) -}}
{{- end -}}
{{- if regexMatch "^v?1\\.[0-9]" (toString ($image.tag | default "")) -}}
{{- fail (printf "%s.tag is %q: that is a version of akv2k8s in Go. Take %s.tag out of your values: the chart knows the version that it belongs to" $key (toString $image.tag) $key) -}}
{{- end -}}
{{- end -}}

{{/* list (root, key, component's values). */}}
{{- define "akv2k8s.checkIdentity" -}}
{{- $root := index . 0 -}}
{{- $key := index . 1 -}}
{{- $component := index . 2 -}}
{{- $of := list $root $component -}}
{{- if $root.Values.workloadIdentity.enabled -}}
{{- $annotated := get ($component.serviceAccount.annotations | default dict) "azure.workload.identity/client-id" -}}
{{- $set := or (hasKey $component.env "AZURE_CLIENT_ID") (hasKey $root.Values.global.env "AZURE_CLIENT_ID") -}}
{{- /* What is in a Secret that is the user's, nobody knows here. */ -}}
{{- $elsewhere := or (not $component.serviceAccount.create) $component.envFromSecret $root.Values.global.envFromSecret -}}
{{- $known := or (include "akv2k8s.clientId" $of) $annotated $set $elsewhere -}}
{{- if not $known -}}
{{- fail (printf "workloadIdentity.enabled is true, and nothing says as whom: set workloadIdentity.clientId (or %s.workloadIdentity.clientId) to the client id of the managed identity or application" $key) -}}
{{- end -}}
{{- if not (or $root.Values.workloadIdentity.webhook (and (include "akv2k8s.clientId" $of) (include "akv2k8s.tenantId" $of))) -}}
{{- fail "workloadIdentity.webhook is false, so the chart itself says who the pods are: set both workloadIdentity.clientId and workloadIdentity.tenantId" -}}
{{- end -}}
{{- else if or $component.workloadIdentity.clientId $component.workloadIdentity.tenantId -}}
{{- fail (printf "%s.workloadIdentity is set, and workloadIdentity.enabled is not: add workloadIdentity.enabled=true, or take it out" $key) -}}
{{- end -}}
{{- end -}}

{{- define "akv2k8s.checkController" -}}
{{- if .Values.controller.enabled -}}
{{- if and (not .Values.controller.leaderElection.enabled) (gt (int .Values.controller.replicaCount) 1) -}}
{{- fail "controller.leaderElection.enabled is false, and controller.replicaCount is more than 1: they would all work at once. Set controller.replicaCount=1" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "akv2k8s.checkAccounts" -}}
{{- if and (eq (include "akv2k8s.oneAccount" .) "true") .Values.controller.serviceAccount.create .Values.env_injector.serviceAccount.create -}}
{{- fail (printf "controller.serviceAccount.name and env_injector.serviceAccount.name are both %q, and the chart would make two ServiceAccounts of that name: take both names out, so that each program has its own rights" .Values.controller.serviceAccount.name) -}}
{{- end -}}
{{- end -}}

{{/* The folder of the file is mounted. The container runtime has files of its own in /etc. */}}
{{- define "akv2k8s.checkCloudConfig" -}}
{{- if and .Values.global.userDefinedMSI.enabled (has (dir .Values.cloudConfig) (list "/" "/etc")) -}}
{{- fail (printf "cloudConfig is %q, and with global.userDefinedMSI.enabled its folder %s is mounted, which hides all else there: write a folder of its own, such as /etc/kubernetes/azure.json, or take cloudConfig out" .Values.cloudConfig (dir .Values.cloudConfig)) -}}
{{- end -}}
{{- end -}}

{{/* Of the certificate's values. */}}
{{- define "akv2k8s.checkCertificate" -}}
{{- if .custom.enabled -}}
{{- if .useCertManager -}}
{{- fail "env_injector.certificate.useCertManager and env_injector.certificate.custom.enabled exclude each other: set one of them to false" -}}
{{- end -}}
{{- if not (and .custom.server.tls.crt .custom.server.tls.key .custom.ca.crt) -}}
{{- fail "env_injector.certificate.custom.enabled is true: set custom.server.tls.crt, custom.server.tls.key and custom.ca.crt beside it (PEM in base64), or take custom out: the env injector makes certificates itself" -}}
{{- end -}}
{{- end -}}
{{- end -}}
