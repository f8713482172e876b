{{/* Values that contradict each other or are not safe: each ends the rendering with one line. */}}
{{- define "image-search.refusals" -}}
{{- with .Values -}}
{{- if and (not .keys.existingSecret) (not .keys.open) -}}
{{- fail "keys.existingSecret is empty: name a Secret with keys, or say keys.open=true where everybody who reaches the pods may do everything" -}}
{{- end -}}
{{- if and .keys.existingSecret .keys.open -}}
{{- fail "keys.open=true and keys.existingSecret contradict each other: take one of both away" -}}
{{- end -}}
{{- if and .keys.open .ingress.enabled -}}
{{- fail "ingress.enabled with keys.open=true would let the internet add and delete: set keys.existingSecret" -}}
{{- end -}}
{{- if and .keys.open (not .networkPolicy.enabled) -}}
{{- fail "keys.open=true with networkPolicy.enabled=false lets every pod of the cluster do everything: set keys.existingSecret" -}}
{{- end -}}
{{- if and .keys.open (ne .service.type "ClusterIP") -}}
{{- fail (printf "service.type=%s with keys.open=true would let other machines do everything: set keys.existingSecret" .service.type) -}}
{{- end -}}
{{- if and .ingress.enabled (not (and .ingress.host .ingress.tlsSecret)) -}}
{{- fail "ingress.enabled needs ingress.host and ingress.tlsSecret: API keys must not go unencrypted" -}}
{{- end -}}
{{- if and (eq .store.kind "pvc") (gt (int .replicas) 1) -}}
{{- fail (printf "replicas=%d on a volume: a volume has one replica; store.kind=s3 may have several" (int .replicas)) -}}
{{- end -}}
{{- if and (eq .store.kind "pvc") .autoscaling.enabled -}}
{{- fail "autoscaling.enabled on a volume: a volume has one replica; store.kind=s3 may have several" -}}
{{- end -}}
{{- if and (eq .store.kind "s3") (not (hasPrefix "s3://" .store.s3.uri)) -}}
{{- fail (printf "store.s3.uri=%q must begin with s3://" .store.s3.uri) -}}
{{- end -}}
{{- if and .autoscaling.enabled (not .autoscaling.prometheus) -}}
{{- fail "autoscaling.enabled needs autoscaling.prometheus, the address of a Prometheus that scrapes the service" -}}
{{- end -}}
{{- if and .autoscaling.enabled (gt (int .autoscaling.min) (int .autoscaling.max)) -}}
{{- fail (printf "autoscaling.min=%d is more than autoscaling.max=%d" (int .autoscaling.min) (int .autoscaling.max)) -}}
{{- end -}}
{{- if and .serviceMonitor.enabled .keys.existingSecret (not .serviceMonitor.keySecret) -}}
{{- fail "serviceMonitor.enabled needs serviceMonitor.keySecret: with keys, /metrics asks for one of the scope read" -}}
{{- end -}}
{{- if and .models.apart (not .models.tokenSecret) -}}
{{- fail "models.apart needs models.tokenSecret: name a Secret whose entry `token` is the secret that the API and the models share" -}}
{{- end -}}
{{- if and .models.apart .gpus -}}
{{- fail "gpus are the API's, which computes nothing with models.apart: set models.clip.gpus and models.yolo.gpus" -}}
{{- end -}}
{{- range $model := list "clip" "yolo" -}}
{{- with index $.Values.models $model -}}
{{- if and .maxReplicas (not $.Values.models.apart) -}}
{{- fail (printf "models.%s.maxReplicas=%d without models.apart: the model is in the API's own pods" $model (int .maxReplicas)) -}}
{{- end -}}
{{- if and .maxReplicas (not $.Values.autoscaling.prometheus) -}}
{{- fail (printf "models.%s.maxReplicas needs autoscaling.prometheus, the address of a Prometheus that scrapes the service" $model) -}}
{{- end -}}
{{- if and .maxReplicas (gt (int .replicas) (int .maxReplicas)) -}}
{{- fail (printf "models.%s.replicas=%d is more than its maxReplicas=%d" $model (int .replicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $.Values.models.apart (hasKey $.Values.settings (printf "IMAGE_SEARCH_%s_URLS" (upper $model))) -}}
{{- fail (printf "settings.IMAGE_SEARCH_%s_URLS is set by the chart itself with models.apart" (upper $model)) -}}
{{- end -}}
{{- end -}}
{{- if eq .models.image.tag "latest" -}}
{{- fail "models.image.tag=latest: name a version, so that all pods of a model run the same code" -}}
{{- end -}}
{{- if eq .image.tag "latest" -}}
{{- fail "image.tag=latest: name a version, so that a pod that starts again runs the same code" -}}
{{- end -}}
{{- range $name := list "IMAGE_SEARCH_API_KEYS" "IMAGE_SEARCH_FETCH_PROXY" "IMAGE_SEARCH_MODEL_TOKEN" -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "settings.%s would stand readable in the pod's description: put it into a Secret (keys.existingSecret, models.tokenSecret, or extraEnv with valueFrom)" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "IMAGE_SEARCH_API_KEYS_FILE" "IMAGE_SEARCH_OPEN" "IMAGE_SEARCH_STORE_URI" "IMAGE_SEARCH_CACHE_DIR" "IMAGE_SEARCH_HOSTS" -}}
{{- if hasKey $.Values.settings $name -}}
{{- fail (printf "settings.%s is set by the chart itself: use keys, store and service" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .terminationGracePeriodSeconds (lt (int .terminationGracePeriodSeconds) (int (add 15 (index .settings "IMAGE_SEARCH_REQUEST_TIMEOUT_S" | default 60 | int)))) -}}
{{- fail (printf "terminationGracePeriodSeconds=%d would kill requests that are answered yet: 15 seconds more than IMAGE_SEARCH_REQUEST_TIMEOUT_S at least" (int .terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
