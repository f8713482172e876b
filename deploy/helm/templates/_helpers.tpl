{{- define "image-search.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "image-search.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "image-search.labels" -}}
{{ include "image-search.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "image-search.image" -}}
{{- include "image-search.reference" (list .Values.image .Chart.AppVersion) -}}
{{- end -}}

{{/* An image and the version that it has where none is named, as a reference. */}}
{{- define "image-search.reference" -}}
{{- with index . 0 -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}
{{- else -}}{{ .repository }}:{{ .tag | default (index $ 1) }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "image-search.claim" -}}
{{- .Values.store.pvc.existingClaim | default (include "image-search.name" .) -}}
{{- end -}}

{{/* Seconds that a stop may take: the longest request, 15 for its end, and some more. */}}
{{- define "image-search.stopping" -}}
{{- $request := index .Values.settings "IMAGE_SEARCH_REQUEST_TIMEOUT_S" | default 60 | int -}}
{{- .Values.terminationGracePeriodSeconds | default (add $request 25) -}}
{{- end -}}

{{/* What every pod is held to. */}}
{{- define "image-search.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.podSecurityContext.runAsUser }}
runAsGroup: {{ .Values.podSecurityContext.runAsGroup }}
fsGroup: {{ .Values.podSecurityContext.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "image-search.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What a container asks for: resources, the number of GPUs, and the name of these. */}}
{{- define "image-search.resources" -}}
{{- $resources := deepCopy (index . 0) -}}
{{- $gpus := index . 1 -}}
{{- if $gpus -}}
{{- $gpu := dict (index . 2) $gpus -}}
{{- $resources = merge $resources (dict "requests" dict "limits" dict) -}}
{{- $_ := set $resources "requests" (merge $resources.requests $gpu) -}}
{{- $_ := set $resources "limits" (merge $resources.limits $gpu) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
