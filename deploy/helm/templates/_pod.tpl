{{/* The environment of the API's container, the chart's own variables last. */}}
{{- define "image-search.environment" -}}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{- end }}
{{- with .Values.extraEnv }}{{ toYaml . | nindent 0 }}{{ end }}
{{- if .Values.keys.existingSecret }}
- {name: IMAGE_SEARCH_API_KEYS_FILE, value: /keys/keys}
{{- else }}
- {name: IMAGE_SEARCH_OPEN, value: "true"}
- name: IMAGE_SEARCH_HOSTS
  value: {{ include "image-search.hosts" . }}
{{- end }}
{{- if .Values.models.apart }}
{{- range $model := list "clip" "yolo" }}
- name: IMAGE_SEARCH_{{ upper $model }}_URLS
  value: {{ include "image-search.modelUrls" (list $ $model) }}
{{- end }}
{{ include "image-search.modelToken" . }}
{{- end }}
- {name: IMAGE_SEARCH_CACHE_DIR, value: /data/cache}
- name: IMAGE_SEARCH_STORE_URI
  value: {{ if eq .Values.store.kind "s3" }}{{ .Values.store.s3.uri }}{{ else }}/data/index{{ end }}
{{- end -}}

{{/* Probes of the API: alive, and ready once the models and the table are. */}}
{{- define "image-search.probes" -}}
startupProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 180
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end -}}

{{/* Names under which other pods reach the API. */}}
{{- define "image-search.hosts" -}}
{{- $name := include "image-search.name" . -}}
{{- $inside := printf "%s.%s" $name .Release.Namespace -}}
{{- join "," (list $name $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside)) -}}
{{- end -}}
