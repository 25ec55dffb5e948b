package pagesink_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

func get(t *testing.T, method, path string, header ...string) *httptest.ResponseRecorder {
	page, err := pagesink.New()
	require.NoError(t, err)
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	page.ServeHTTP(recorder, request)
	return recorder
}

// Every file that the page refers to is embedded, at any path that the page is served at.
func TestAssets(t *testing.T) {
	for _, prefix := range []string{"/", "/debug/metrics/", "/events/"} {
		page := get(t, http.MethodGet, prefix)
		require.Equal(t, http.StatusOK, page.Code)
		require.Equal(t, "text/html; charset=utf-8", page.Header().Get("Content-Type"))
		missing := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
		require.Len(t, missing, 5)
		seen := make(map[string]bool)
		for len(missing) > 0 {
			name := strings.TrimPrefix(missing[0][1], "./")
			missing = missing[1:]
			if seen[name] {
				continue
			}
			seen[name] = true
			file := get(t, http.MethodGet, prefix+name)
			require.Equal(t, http.StatusOK, file.Code, name)
			require.NotEmpty(t, file.Header().Get("Content-Type"), name)
			if strings.HasSuffix(name, ".js") {
				require.Equal(t, "text/javascript; charset=utf-8", file.Header().Get("Content-Type"))
				imports := regexp.MustCompile(`from "([^"]*)"`).FindAllStringSubmatch(file.Body.String(), -1)
				missing = append(missing, imports...)
			}
			again := get(t, http.MethodGet, prefix+name, "If-None-Match", file.Header().Get("ETag"))
			require.Equal(t, http.StatusNotModified, again.Code)
			require.Empty(t, again.Body.String())
		}
		require.Len(t, seen, 11)
	}
	licence := get(t, http.MethodGet, "/uPlot.LICENSE").Body.String()
	require.Contains(t, licence, "MIT")
}

// The security policy is on every answer, and allows nothing inline and no other host.
func TestSecurityHeaders(t *testing.T) {
	for _, answer := range []*httptest.ResponseRecorder{
		get(t, http.MethodGet, "/"), get(t, http.MethodGet, "/page.js"), get(t, http.MethodGet, "/missing"),
		get(t, http.MethodPost, "/"), get(t, http.MethodHead, "/events"),
	} {
		policy := answer.Header().Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		require.NotRegexp(t, `\*|http`, policy)
		require.Equal(t, "nosniff", answer.Header().Get("X-Content-Type-Options"))
	}
	require.NotRegexp(t, `<style|style=|<script>|onclick|https?:`, get(t, http.MethodGet, "/").Body.String())
}

func TestMethodsAndPaths(t *testing.T) {
	post := get(t, http.MethodPost, "/debug/metrics/")
	require.Equal(t, http.StatusMethodNotAllowed, post.Code)
	require.Equal(t, "GET, HEAD", post.Header().Get("Allow"))
	head := get(t, http.MethodHead, "/debug/metrics/")
	require.Equal(t, http.StatusOK, head.Code)
	require.Empty(t, head.Body.String())
	for _, path := range []string{"/debug/metrics", "/debug/metrics/assets", "/debug/metrics/..", "/x/pagesink.go"} {
		require.Equal(t, http.StatusNotFound, get(t, http.MethodGet, path).Code, path)
	}
	require.Equal(t, "text/event-stream", get(t, http.MethodHead, "/events").Header().Get("Content-Type"))
}

// Text from the server must not be read as HTML, and no other host may be asked. The tests in a browser see the same
// only for the scripts that they run.
func TestScripts(t *testing.T) {
	files, err := os.ReadDir("assets")
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile("assets/" + file.Name())
		require.NoError(t, err)
		if strings.HasPrefix(file.Name(), "uPlot") {
			continue // it has its own licence and address in it
		}
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function`, string(content),
			file.Name())
		require.NotRegexp(t, `(https?:)?//[a-z]+\.`, strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", ""),
			file.Name())
	}
}
