{{/* Name of what belongs to a model whose pods are apart; of the chart's root and `clip` or `yolo`. */}}
{{- define "image-search.modelName" -}}
{{ include "image-search.name" (index . 0) }}-{{ index . 1 }}
{{- end -}}

{{/* How many pods of a model there may be. */}}
{{- define "image-search.modelMost" -}}
{{- with index (index . 0).Values.models (index . 1) -}}{{- max (int .replicas) (int .maxReplicas) -}}{{- end -}}
{{- end -}}

{{/*
Addresses of a model's pods, one each: behind one address for all of them the API would see one service. Those of pods
that are not there now are called once they answer.
*/}}
{{- define "image-search.modelUrls" -}}
{{- $name := include "image-search.modelName" . -}}
{{- $namespace := (index . 0).Release.Namespace -}}
{{- $urls := list -}}
{{- range $n := until (int (include "image-search.modelMost" .)) -}}
{{- $urls = append $urls (printf "http://%s-%d.%s.%s.svc:3000" $name $n $name $namespace) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{/* The secret that the API and the models share. */}}
{{- define "image-search.modelToken" -}}
- name: IMAGE_SEARCH_MODEL_TOKEN
  valueFrom: {secretKeyRef: {name: {{ .Values.models.tokenSecret }}, key: token}}
{{- end -}}

{{/* The image of the models: their own, or the API's. */}}
{{- define "image-search.modelImage" -}}
{{- if .Values.models.image.repository -}}
{{- include "image-search.reference" (list .Values.models.image .Chart.AppVersion) -}}
{{- else -}}{{- include "image-search.image" . -}}{{- end -}}
{{- end -}}
