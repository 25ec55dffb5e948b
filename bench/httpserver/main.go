package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
)

// ways are the ways to have metrics: each adds them to the routes, and returns the server's handler and a function that
// ends the metrics.
var ways = map[string]func(*http.ServeMux) (handler http.Handler, stop func() error){
	"nothing": withNothing, "metricsbuffer": withMetricsbuffer, "client_golang": withClientGolang,
	"VictoriaMetrics": withVictoriaMetrics,
}

func main() { log.Fatal(serve(os.Args[1:])) }

// serve does as the command line says, and ends with an error only.
func serve(args []string) error {
	flags := flag.NewFlagSet("httpserver", flag.ExitOnError)
	names := strings.Join(slices.Sorted(maps.Keys(ways)), ", ")
	with := flags.String("with", "metricsbuffer", "the `way` to have metrics: "+names)
	address := flags.String("listen", "localhost:8080", "the `address` to listen at")
	_ = flags.Parse(args) // it exits instead of returning an error
	way := ways[*with]
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: -h shows the options", flags.Arg(0))
	case way == nil:
		return fmt.Errorf("there is no way %q: the ways are %s", *with, names)
	}
	handler, stop := way(routes())
	return errors.Join(http.ListenAndServe(*address, handler), stop())
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
