// Httpserver has one HTTP server with metrics in four ways: without, with metricsbuffer, with client_golang and with
// VictoriaMetrics' client. It counts and times requests by route and status, for Prometheus to fetch at /metrics:
//
//	go -C bench run ./httpserver -with metricsbuffer
//	curl localhost:8080/orders/1 localhost:8080/metrics
//
// Each way is a file of its own with one function, which adds the metrics to the server's routes. A test asks all of
// them the same, compares their pages, and counts their lines beyond those of the file plain.go.
package main
