{{/*
What the schema cannot see because it lies in two places. Every fault is told, not only the first, each with what to do.
*/}}
{{- define "ordervault.validate" -}}
{{- $faults := list -}}
{{- $missing := dict -}}
{{- $layers := include "ordervault.layers" . | fromJsonArray -}}
{{- if not $layers -}}
{{- $faults = append $faults "layers: all are disabled; enable one" -}}
{{- end -}}
{{- range $layer := $layers -}}
{{- $v := include "ordervault.values" (dict "root" $ "layer" $layer) | fromYaml -}}
{{- $at := printf "layers.%s" $layer -}}
{{- $elsewhere := or $v.existingSecret $v.extraEnvFrom -}}
{{- $required := list "KAFKA_HOST" "PG_WAREHOUSE_HOST" "PG_WAREHOUSE_DBNAME" "PG_WAREHOUSE_USER" -}}
{{- if eq $layer "stg" -}}{{- $required = append $required "REDIS_HOST" -}}{{- end -}}
{{- $given := concat (keys $v.settings) (keys $v.inline) -}}
{{- range $v.extraEnv -}}{{- $given = append $given .name -}}{{- end -}}
{{- if not $elsewhere -}}
{{- range $required -}}
{{- if not (has . $given) -}}
{{- $_ := set $missing . (append (default list (index $missing .)) $layer) -}}
{{- end -}}
{{- end -}}
{{- if and (has "KAFKA_CONSUMER_USERNAME" $given) (not (has "KAFKA_CONSUMER_PASSWORD" $given)) -}}
{{- $faults = append $faults (printf "%s needs KAFKA_CONSUMER_PASSWORD with KAFKA_CONSUMER_USERNAME: in existingSecret, or for a try-out in secrets" $layer) -}}
{{- end -}}
{{- end -}}
{{- $protocol := $v.settings.KAFKA_SECURITY_PROTOCOL -}}
{{- if and $protocol (hasPrefix "SASL" $protocol) (not $elsewhere) (not (has "KAFKA_CONSUMER_USERNAME" $given)) -}}
{{- $faults = append $faults (printf "%s needs KAFKA_CONSUMER_USERNAME for KAFKA_SECURITY_PROTOCOL %s" $layer $protocol) -}}
{{- end -}}
{{- range $of := list "kafka" "postgres" "redis" "otlp" -}}
{{- $ca := index $v.tls $of -}}
{{- if and $ca.caSecret $ca.caConfigMap -}}
{{- $faults = append $faults (printf "%s: tls.%s takes caSecret or caConfigMap, not both" $at $of) -}}
{{- end -}}
{{- end -}}
{{- with $v.apiTokens -}}
{{- if and .existingSecret (not .opsKey) (not .readKey) -}}
{{- $faults = append $faults (printf "%s: apiTokens.existingSecret needs opsKey, readKey or both" $at) -}}
{{- end -}}
{{- end -}}
{{- if and $v.autoscaling.keda.enabled $v.autoscaling.hpa.enabled -}}
{{- $faults = append $faults (printf "%s: autoscaling.keda and autoscaling.hpa would each undo what the other does; enable one" $at) -}}
{{- end -}}
{{- range $kind := list "keda" "hpa" -}}
{{- $scaler := index $v.autoscaling $kind -}}
{{- if $scaler.enabled -}}
{{- if not $v.partitions -}}
{{- $faults = append $faults (printf "%s: autoscaling.%s needs partitions, those of the topic %s: more members than that find nothing to do" $at $kind $v.topic) -}}
{{- else if gt (int (default $v.partitions $scaler.maxReplicas)) (int $v.partitions) -}}
{{- $faults = append $faults (printf "%s: autoscaling.%s.maxReplicas is %d, more than the %d partitions of the topic %s" $at $kind (int $scaler.maxReplicas) (int $v.partitions) $v.topic) -}}
{{- else if gt (int $scaler.minReplicas) (int (default $v.partitions $scaler.maxReplicas)) -}}
{{- $faults = append $faults (printf "%s: autoscaling.%s.minReplicas is %d, more than the greatest number, %d" $at $kind (int $scaler.minReplicas) (int (default $v.partitions $scaler.maxReplicas))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.static $v.partitions (gt (int $v.replicas) (int $v.partitions)) -}}
{{- $faults = append $faults (printf "%s: replicas is %d, more than the %d partitions of the topic %s" $at (int $v.replicas) (int $v.partitions) $v.topic) -}}
{{- end -}}
{{- if $v.autoscaling.keda.enabled -}}
{{- $keda := $v.autoscaling.keda -}}
{{- if eq $keda.trigger "prometheus" -}}
{{- if not $keda.prometheus.serverAddress -}}
{{- $faults = append $faults (printf "%s: autoscaling.keda.prometheus.serverAddress is needed for the trigger prometheus" $at) -}}
{{- end -}}
{{- if not (int $keda.minReplicas) -}}
{{- $faults = append $faults (printf "%s: autoscaling.keda.minReplicas has to be 1 at the least for the trigger prometheus: of a layer without a replica it knows no lag, and would never start one" $at) -}}
{{- end -}}
{{- else -}}
{{- if not (or $keda.kafka.bootstrapServers $v.settings.KAFKA_HOST) -}}
{{- $faults = append $faults (printf "%s: autoscaling.keda.kafka.bootstrapServers is needed, since KAFKA_HOST is not in config" $at) -}}
{{- end -}}
{{- if not (include "ordervault.kafkaProtocol" (dict "values" $v)) -}}
{{- $faults = append $faults (printf "%s: say config.KAFKA_SECURITY_PROTOCOL, so that KEDA asks Kafka as the layer does: whether there is a user name only the Secret knows" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if ge (int $v.preStopSleepSeconds) (sub (int $v.terminationGracePeriodSeconds) 10) -}}
{{- $faults = append $faults (printf "%s: terminationGracePeriodSeconds has to be more than preStopSleepSeconds and the 10 s within which the layer ends" $at) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.migrations.job.enabled (not .Values.migrations.job.existingSecret) -}}
{{- $faults = append $faults "migrations.job.existingSecret is needed: the Job runs before the chart's own Secrets are there" -}}
{{- end -}}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled -}}
{{- $faults = append $faults "podMonitor and serviceMonitor would scrape everything twice; enable one" -}}
{{- end -}}
{{- if and (or .Values.reads.ingress.enabled .Values.reads.httpRoute.enabled) (not (has "cdm" $layers)) -}}
{{- $faults = append $faults "reads: CDM answers them, and layers.cdm is disabled" -}}
{{- end -}}
{{- if and .Values.prometheusRule.enabled (not (.Files.Get "files/alerts.yaml")) -}}
{{- $faults = append $faults "prometheusRule: this chart was packed without files/alerts.yaml" -}}
{{- end -}}
{{- if and .Values.dashboards.enabled (not (.Files.Glob "files/dashboards/*.json")) -}}
{{- $faults = append $faults "dashboards: this chart was packed without files/dashboards" -}}
{{- end -}}
{{- range $name, $of := $missing -}}
{{- $faults = append $faults (printf "%s is needed by %s: set config.%s, or name with existingSecret a Secret that has this key" $name (join ", " $of) $name) -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n\nordervault cannot be installed with these values:\n  - %s\n" (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}
