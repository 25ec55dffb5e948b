package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

func withVictoriaMetrics(mux *http.ServeMux) (http.Handler, func() error) {
	set := metrics.NewSet()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { set.WritePrometheus(w) })
	timed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, begin := &answer{w, http.StatusOK}, time.Now()
		mux.ServeHTTP(answer, r)
		name := fmt.Sprintf(`http_server_request_duration_seconds{route=%q,code="%d"}`, r.Pattern, answer.status)
		set.GetOrCreateHistogram(name).UpdateDuration(begin)
	})
	return timed, func() error { return nil }
}

// An answer knows its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}
