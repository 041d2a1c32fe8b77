{{/* Takes ports and to; no peers are all peers. */}}
{{- define "ordervault.egress" -}}
- ports:
    {{- range .ports | uniq }}
    - {protocol: TCP, port: {{ int . }}}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Takes networkPolicy. */}}
{{- define "ordervault.egressDns" -}}
# DNS
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
  {{- with .dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Takes a layer's values. */}}
{{- define "ordervault.egressPostgres" -}}
# PostgreSQL
{{ include "ordervault.egress" (dict "ports" (concat (list (default "5432" .settings.PG_WAREHOUSE_PORT)) .networkPolicy.postgres.extraPorts) "to" .networkPolicy.postgres.to) }}
{{- end -}}
