package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func withClientGolang(mux *http.ServeMux) (http.Handler, func() error) {
	registry := prometheus.NewRegistry()
	durations := promauto.With(registry).NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_server_request_duration_seconds",
		Help: "How long requests took.",
	}, []string{"route", "code"})
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	timed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, route := mux.Handler(r)
		of := durations.MustCurryWith(prometheus.Labels{"route": route})
		promhttp.InstrumentHandlerDuration(of, mux).ServeHTTP(w, r)
	})
	return timed, func() error { return nil }
}
