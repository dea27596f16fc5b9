{{- define "vmservice.name" -}}
{{- .Values.fullnameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Of objects that belong to no namespace: another namespace may have a Velero and this chart too. */ -}}
{{- define "vmservice.clusterWideName" -}}
{{- printf "%s-%s" (include "vmservice.name" .) .Release.Namespace -}}
{{- end -}}

{{- define "vmservice.account" -}}
{{- .Values.serviceAccount.name | default (include "vmservice.name" .) -}}
{{- end -}}

{{- define "vmservice.labels" -}}
{{- include "vmservice.labelsAnd" (list . dict) -}}
{{- end -}}

{{- /* Those of one object beside those of all; each label once, the chart's own first. */ -}}
{{- define "vmservice.labelsAnd" -}}
{{- $root := index . 0 -}}
{{- $own := dict
  "app.kubernetes.io/name" $root.Chart.Name
  "app.kubernetes.io/instance" $root.Release.Name
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
-}}
{{- toYaml (merge $own (index . 1 | default dict) ($root.Values.commonLabels | default dict)) -}}
{{- end -}}

{{- define "vmservice.subject" -}}
- kind: ServiceAccount
  name: {{ include "vmservice.account" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{- /* "true" where RegisterVM may be called. */ -}}
{{- define "vmservice.registersVms" -}}
{{- $registration := (.Values.settings | default dict).registration | default dict -}}
{{- if or .Values.rbac.registerVm (eq ($registration.mode | default "observe") "trigger") -}}true{{- end -}}
{{- end -}}
