package main

import (
	"net/http"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/bridge/httpmetrics"
	"github.com/metricsbuffer/metricsbuffer/sink/openmetricssink"
)

func withMetricsbuffer(mux *http.ServeMux) (http.Handler, func() error) {
	page := metricsbuffer.Must(openmetricssink.New())
	buffer := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithSink(page)))
	mux.Handle("/metrics", page)
	return httpmetrics.Handler(buffer, mux), buffer.Close
}
