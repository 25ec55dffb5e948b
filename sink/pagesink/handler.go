package pagesink

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

// uPlot draws the charts. ./renew-uplot renews it.
//
//go:embed assets
var embedded embed.FS

// An asset is a file of the page.
type asset struct {
	content     []byte
	contentType string
	tag         string // ETag
}

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".LICENSE": "text/plain; charset=utf-8",
}

// assets are the embedded files by name.
var assets = func() map[string]asset {
	all := make(map[string]asset)
	files, err := embedded.ReadDir("assets")
	if err != nil {
		panic("pagesink: the assets are not embedded: " + err.Error())
	}
	for _, file := range files {
		content, err := embedded.ReadFile("assets/" + file.Name())
		if err != nil {
			panic("pagesink: the assets are not embedded: " + err.Error())
		}
		sum := sha256.Sum256(content)
		all[file.Name()] = asset{content, contentTypes[path.Ext(file.Name())], `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return all
}()

// policy allows the page's own files and its own events, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// ServeHTTP serves the page at a path that ends with a slash, and its files and events below it. The path may be any:
//
//	http.Handle("/debug/metrics/", page)
//
// The response to a viewer has no end until the viewer leaves, so a handler around the page must not limit its time or
// its size, and must let it flush: its own [http.ResponseWriter] has the method Unwrap, see [http.ResponseController].
// The page overrides [net/http.Server.WriteTimeout].
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "pagesink: the page can only be read; use GET", http.StatusMethodNotAllowed)
		return
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	if name == "events" {
		s.serveEvents(w, r)
		return
	}
	if name == "" {
		name = "index.html"
	}
	file, ok := assets[name]
	if !ok {
		http.Error(w, "pagesink: there is no such file; the address of the page ends with a slash", http.StatusNotFound)
		return
	}
	header.Set("Cache-Control", "no-cache") // a browser asks whether its copy is still the same
	header.Set("ETag", file.tag)
	if r.Header.Get("If-None-Match") == file.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", file.contentType)
	if r.Method == http.MethodGet {
		_, _ = w.Write(file.content) // the viewer has left, if this fails
	}
}
