package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// ways are the ways to have metrics: each adds them to the routes, and returns the server's handler and a function that
// ends the metrics.
var ways = map[string]func(*http.ServeMux) (handler http.Handler, stop func() error){
	"nothing": withNothing, "metricsbuffer": withMetricsbuffer, "client_golang": withClientGolang,
	"VictoriaMetrics": withVictoriaMetrics,
}

func main() {
	names := strings.Join(slices.Sorted(maps.Keys(ways)), ", ")
	with := flag.String("with", "metricsbuffer", "the `way` to have metrics: "+names)
	address := flag.String("listen", "localhost:8080", "the `address` to listen at")
	flag.Parse()
	way := ways[*with]
	if way == nil {
		log.Fatalf("there is no way %q: the ways are %s", *with, names)
	}
	handler, stop := way(routes())
	log.Fatal(errors.Join(http.ListenAndServe(*address, handler), stop()))
}

// routes returns the pages of the server.
func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "lost" {
			http.Error(w, "the order is lost", http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintln(w, "order", r.PathValue("id"))
	})
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", http.NotFound)
	return mux
}
