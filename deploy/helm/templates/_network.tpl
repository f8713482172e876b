{{/* Egress to the cluster's name servers. */}}
{{- define "image-search.dns" -}}
- to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end -}}

{{/*
Egress of the downloads: the ports that IMAGE_SEARCH_FETCH_PORTS has by default, at what is public. The
service judges each address itself; this holds where it should ever be wrong.
*/}}
{{- define "image-search.internet" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except: {{- concat (list "0.0.0.0/8" "10.0.0.0/8" "100.64.0.0/10" "127.0.0.0/8" "169.254.0.0/16" "172.16.0.0/12" "192.0.0.0/24" "192.0.2.0/24" "192.168.0.0/16" "198.18.0.0/15" "198.51.100.0/24" "203.0.113.0/24" "224.0.0.0/4" "240.0.0.0/4") (include "image-search.denied4" . | fromYamlArray) | toYaml | nindent 10 }}
    - ipBlock:
        cidr: 2000::/3
        except: {{- concat (list "2001::/32" "2001:db8::/32" "2002::/16") (include "image-search.denied6" . | fromYamlArray) | toYaml | nindent 10 }}
  ports: [{protocol: TCP, port: 80}, {protocol: TCP, port: 443}, {protocol: TCP, port: 1024, endPort: 65535}]
{{- end -}}

{{- define "image-search.denied4" -}}
{{- $list := list -}}
{{- range .Values.networkPolicy.denied -}}{{- if not (contains ":" .) -}}{{- $list = append $list . -}}{{- end -}}{{- end -}}
{{- toYaml $list -}}
{{- end -}}

{{- define "image-search.denied6" -}}
{{- $list := list -}}
{{- range .Values.networkPolicy.denied -}}{{- if contains ":" . -}}{{- $list = append $list . -}}{{- end -}}{{- end -}}
{{- toYaml $list -}}
{{- end -}}
