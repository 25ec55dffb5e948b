package main

import (
	"net/http"
)

func withNothing(mux *http.ServeMux) (http.Handler, func() error) {
	return mux, func() error { return nil }
}
