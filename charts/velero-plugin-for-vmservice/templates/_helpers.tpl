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
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "vmservice.subject" -}}
- kind: ServiceAccount
  name: {{ include "vmservice.account" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{- /* "true" where RegisterVM may be called. */ -}}
{{- define "vmservice.registersVms" -}}
{{- $registration := .Values.settings.registration | default dict -}}
{{- if or .Values.rbac.registerVm (eq ($registration.mode | default "observe") "trigger") -}}true{{- end -}}
{{- end -}}
