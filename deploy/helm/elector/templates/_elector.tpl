{{/*
The container, for the end of a pod's initContainers: so that no pod leads while others of them still run.

  initContainers:
  {{- include "elector.sidecar" . | nindent 6 }}
*/}}
{{- define "elector.sidecar" -}}
{{- $settings := .Values.elector.settings -}}
{{- range $name, $example := dict "ELECTOR_ELECTION" "mail" "ELECTOR_ETCD_ENDPOINTS" "https://etcd.example.com:2379" -}}
{{- if not (get $settings $name) -}}
{{- fail (printf "elector.settings.%s is not set: set it, as in %s" $name $example) -}}
{{- end -}}
{{- end -}}
- name: elector
  image: {{ .Values.elector.image | quote }}
  restartPolicy: Always
  args:
  # SIGTERM comes when the main containers have ended, and from a failed liveness or startup probe: so neither, ever.
  - --shutdown-release=now
  - --probe-http=:4041
  - --state-dir=/var/lib/elector/state
  env:
  - name: POD_NAME # the identity
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - name: POD_NAMESPACE # the election's namespace
    valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  - name: GOMEMLIMIT # below the limit, so that the collector works harder before the kernel kills
    value: 96MiB
  {{- range $name, $value := $settings }}
  - name: {{ $name }}
    value: {{ $value | toString | quote }}
  {{- end }}
  ports:
  - name: elector-probe # probes and metrics; the main listener stays on 127.0.0.1:4040
    containerPort: 4041
  readinessProbe: # standbys are ready as well: from when they first stand in the queue
    httpGet: {path: /readyz, port: elector-probe}
    periodSeconds: 5
    timeoutSeconds: 2
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 128Mi}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532 # whatever the pod runs as
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
  - {name: elector-etcd, mountPath: /etc/elector/etcd, readOnly: true}
  - {name: elector-state, mountPath: /var/lib/elector}
{{- end }}

{{/*
The volumes of that container, for a pod's volumes.
*/}}
{{- define "elector.volumes" -}}
- name: elector-etcd
  secret:
    secretName: {{ .Values.elector.secret | quote }}
- name: elector-state # outlasts the container and not the pod: a sidecar that starts again takes up what it left
  emptyDir: {}
{{- end }}
