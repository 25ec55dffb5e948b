module github.com/metricsbuffer/metricsbuffer/bridge/gometricsbridge

go 1.25.0

require (
	github.com/armon/go-metrics v0.4.1
	github.com/hashicorp/go-metrics v0.5.4
	github.com/metricsbuffer/metricsbuffer v0.1.0
	github.com/puzpuzpuz/xsync/v3 v3.5.1
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/hashicorp/go-immutable-radix v1.0.0 // indirect
	github.com/hashicorp/golang-lru v0.5.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
