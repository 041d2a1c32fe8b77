{{/* Name of the release's objects; what a layer adds to it has to fit into 63 characters. */}}
{{- define "ordervault.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of a layer's objects. Takes root and layer, as all that speaks of a layer does. */}}
{{- define "ordervault.layerName" -}}
{{- printf "%s-%s" (include "ordervault.fullname" .root) .layer -}}
{{- end -}}

{{/* Takes root and component: a layer, or what else a Pod is for. */}}
{{- define "ordervault.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "ordervault.labels" -}}
{{- $own := include "ordervault.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "ordervault" -}}
{{- $_ := set $own "app.kubernetes.io/version" (.root.Chart.AppVersion | toString) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $own .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Not the chart's version, which must not roll Pods by itself. Takes root, component and values. */}}
{{- define "ordervault.podLabels" -}}
{{- merge (include "ordervault.selector" . | fromYaml) (default dict .values.podLabels) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "ordervault.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "ordervault.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The layers that are deployed, in the order of an order's way, as JSON. */}}
{{- define "ordervault.layers" -}}
{{- $enabled := list -}}
{{- range $layer := list "stg" "dds" "cdm" -}}
{{- if (index $.Values.layers $layer).enabled -}}
{{- $enabled = append $enabled $layer -}}
{{- end -}}
{{- end -}}
{{- $enabled | toJson -}}
{{- end -}}

{{/* A setting as text. Helm reads whole numbers as floating ones, which would show as 2.097152e+06. */}}
{{- define "ordervault.text" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/*
All that is known of one layer, as YAML: the values that hold for each layer under those of the layer itself, and beside
them what follows from both:
  settings  what goes into the ConfigMap
  inline    what goes into the chart's Secret
  port      the container's port
  group, topic
  static    whether the Deployment says how many replicas there are
*/}}
{{- define "ordervault.values" -}}
{{- $own := index .root.Values.layers .layer -}}
{{- $shared := omit .root.Values "layers" "global" -}}
{{- $v := mergeOverwrite (deepCopy $shared) (deepCopy $own) -}}
{{- /* Settings that only one layer knows. */ -}}
{{- $foreign := dict
    "stg" (list "AUDIT_DAILY_AT" "API_READ_CONNECTIONS")
    "dds" (list "AUDIT_DAILY_AT" "API_READ_CONNECTIONS" "REDIS_HOST" "REDIS_PORT" "REDIS_TLS" "REDIS_PASSWORD" "DICTIONARY_TTL_SECONDS")
    "cdm" (list "REDIS_HOST" "REDIS_PORT" "REDIS_TLS" "REDIS_PASSWORD" "DICTIONARY_TTL_SECONDS") -}}
{{- $foreign = index $foreign .layer -}}
{{- $settings := dict -}}
{{- range $name, $value := $v.config -}}
{{- $text := include "ordervault.text" $value -}}
{{- if and (not (kindIs "invalid" $value)) (ne $text "") (not (has $name $foreign)) -}}
{{- $_ := set $settings $name $text -}}
{{- end -}}
{{- end -}}
{{- $inline := dict -}}
{{- range $name, $value := $v.secrets -}}
{{- if and $value (not (has $name $foreign)) -}}
{{- $_ := set $inline $name $value -}}
{{- end -}}
{{- end -}}
{{- if ne .layer "stg" -}}
{{- $_ := set $v.tls "redis" dict -}}
{{- end -}}
{{- range $of, $name := dict "kafka" "KAFKA_SSL_CA_LOCATION" "postgres" "PG_WAREHOUSE_SSLROOTCERT" "redis" "SSL_CERT_FILE" "otlp" "OTEL_EXPORTER_OTLP_CERTIFICATE" -}}
{{- $ca := index $v.tls $of -}}
{{- if or $ca.caSecret $ca.caConfigMap -}}
{{- $_ := set $settings $name (printf "/etc/ordervault/ca/%s/ca.crt" $of) -}}
{{- end -}}
{{- end -}}
{{- with $v.apiTokens -}}
{{- if and .existingSecret .opsKey -}}{{- $_ := set $settings "API_OPS_TOKENS_FILE" "/etc/ordervault/tokens/ops" -}}{{- end -}}
{{- if and .existingSecret .readKey -}}{{- $_ := set $settings "API_READ_TOKENS_FILE" "/etc/ordervault/tokens/read" -}}{{- end -}}
{{- end -}}
{{- $_ := set $v "settings" $settings -}}
{{- $_ := set $v "inline" $inline -}}
{{- $_ := set $v "port" (default "0.0.0.0:5000" $settings.HTTP_ADDR | regexFind "[0-9]+$" | int) -}}
{{- $_ := set $v "group" (default (printf "ordervault-%s" .layer) $settings.KAFKA_CONSUMER_GROUP) -}}
{{- $topics := dict "stg" "order-service_orders" "dds" "stg-service-orders" "cdm" "dds-service-orders" -}}
{{- $_ := set $v "topic" (default (index $topics .layer) $settings.KAFKA_SOURCE_TOPIC) -}}
{{- $_ := set $v "static" (not (or $v.autoscaling.keda.enabled $v.autoscaling.hpa.enabled)) -}}
{{- toYaml $v -}}
{{- end -}}

{{/* Takes root, layer and values. */}}
{{- define "ordervault.image" -}}
{{- $image := .values.image -}}
{{- $path := list -}}
{{- range list $image.registry $image.repository (default (printf "ordervault-%s" .layer) $image.name) -}}
{{- with . -}}{{- $path = append $path (trimAll "/" .) -}}{{- end -}}
{{- end -}}
{{- $path = join "/" $path -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Where a container's settings come from; what stands later wins. */}}
{{- define "ordervault.envFrom" -}}
- configMapRef:
    name: {{ include "ordervault.layerName" . }}
{{- if .values.inline }}
- secretRef:
    name: {{ include "ordervault.layerName" . }}
{{- end }}
{{- with .values.existingSecret }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- with .values.extraEnvFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes values. The files that a layer reads, but for those of the user. */}}
{{- define "ordervault.volumeMounts" -}}
{{- range $of, $ca := .values.tls }}
{{- if or $ca.caSecret $ca.caConfigMap }}
- name: ca-{{ $of }}
  mountPath: /etc/ordervault/ca/{{ $of }}
  readOnly: true
{{- end }}
{{- end }}
{{- if .values.apiTokens.existingSecret }}
- name: tokens
  # As a directory: a file that is mounted by subPath does not change when the Secret does.
  mountPath: /etc/ordervault/tokens
  readOnly: true
{{- end }}
{{- end -}}

{{- define "ordervault.volumes" -}}
{{- range $of, $ca := .values.tls }}
{{- if $ca.caSecret }}
- name: ca-{{ $of }}
  secret:
    secretName: {{ $ca.caSecret }}
    defaultMode: 0440
    items: [{key: {{ $ca.caKey | quote }}, path: ca.crt}]
{{- else if $ca.caConfigMap }}
- name: ca-{{ $of }}
  configMap:
    name: {{ $ca.caConfigMap }}
    items: [{key: {{ $ca.caKey | quote }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- with .values.apiTokens }}
{{- if .existingSecret }}
- name: tokens
  secret:
    secretName: {{ .existingSecret }}
    defaultMode: 0440
    items:
      {{- with .opsKey }}
      - {key: {{ . | quote }}, path: ops}
      {{- end }}
      {{- with .readKey }}
      - {key: {{ . | quote }}, path: read}
      {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* KAFKA_HOST with the ports that its hosts do not bring, as the services read it. */}}
{{- define "ordervault.brokers" -}}
{{- $port := default "9092" .values.settings.KAFKA_PORT -}}
{{- $brokers := list -}}
{{- range splitList "," (default "" .values.settings.KAFKA_HOST) -}}
{{- $host := trim . -}}
{{- if $host -}}
{{- $brokers = append $brokers (ternary $host (printf "%s:%s" $host $port) (regexMatch ":[0-9]+$" $host)) -}}
{{- end -}}
{{- end -}}
{{- join "," $brokers -}}
{{- end -}}

{{/* The protocol that a layer speaks to Kafka; empty where only a Secret knows. */}}
{{- define "ordervault.kafkaProtocol" -}}
{{- $v := .values -}}
{{- if $v.settings.KAFKA_SECURITY_PROTOCOL -}}
{{- $v.settings.KAFKA_SECURITY_PROTOCOL -}}
{{- else if or $v.settings.KAFKA_CONSUMER_USERNAME $v.inline.KAFKA_CONSUMER_USERNAME -}}
SASL_SSL
{{- else if not (or $v.existingSecret $v.extraEnvFrom $v.extraEnv) -}}
PLAINTEXT
{{- end -}}
{{- end -}}

{{/* What comes to docs/runbooks in a text, with the address before it, if there is one. */}}
{{- define "ordervault.base" -}}
{{- with . }}{{ trimSuffix "/" . }}/{{ end -}}
{{- end -}}
