package browsertest

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

var screenshots = flag.String("screenshots", "", "the folder to write screenshots to; none are written if it is empty")

// patience limits how long a test waits for the page.
const patience = 30 * time.Second

// A live is a page in a browser, with its buffer.
type live struct {
	*testing.T
	buffer *metricsbuffer.Buffer
	server *httptest.Server
	mux    *http.ServeMux
	page   *pagesink.Sink // which mux has
	url    string
	tab    context.Context

	mu       sync.Mutex
	requests []string // addresses
	problems []string // exceptions, and messages of the console and of the security policy
}

// chromium returns the browser's path, or skips the test.
func chromium(t *testing.T) string {
	for _, name := range []string{
		"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chromium-headless-shell",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: Chromium is missing; on Debian install it with: apt-get install chromium-headless-shell")
	return ""
}

// open serves a buffer at /debug/metrics/ and opens its page, in a window of that size.
func open(t *testing.T, width, height int64, opts ...metricsbuffer.Option) *live {
	sink, err := pagesink.New()
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(append(opts, metricsbuffer.WithSink(sink))...)
	require.NoError(t, err)
	sink.Watch(buffer)
	mux := http.NewServeMux()
	mux.Handle("/debug/metrics/", sink)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = buffer.Close() })

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	l := &live{T: t, buffer: buffer, server: server, mux: mux, page: sink, url: server.URL + "/debug/metrics/", tab: tab}
	l.do(chromedp.EmulateViewport(width, height))
	require.NoError(t, chromedp.Listen(tab, l.listen))
	call(l, network.Enable, network.EnableParams{})
	call(l, log.Enable, cdp.Empty{})
	call(l, runtime.Enable, cdp.Empty{})
	call(l, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: observeLongTasks})
	return l
}

// call sends a command of the browser's protocol.
func call[P, R any](l *live, command cdp.Command[P, R], params P) {
	l.Helper()
	l.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	}))
}

const observeLongTasks = `window.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((e) => [e.startTime, e.duration])))
	.observe({ type: "longtask", buffered: true });`

func (l *live) listen(event any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		l.requests = append(l.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		d := e.ExceptionDetails
		l.problems = append(l.problems, fmt.Sprintf("exception: %s %+v", d.Text, d.Exception))
	case *runtime.EventConsoleAPICalled:
		l.problems = append(l.problems, fmt.Sprint("console: ", e.Type, e.Args))
	case *log.EventEntryAdded:
		l.problems = append(l.problems, e.Entry.Text+" "+e.Entry.URL)
	case *page.EventJavascriptDialogOpening:
		l.problems = append(l.problems, "dialog: "+e.Message)
	}
}

func (l *live) do(actions ...chromedp.Action[chromedp.Void]) {
	l.Helper()
	require.NoError(l, chromedp.Do(l.tab, actions...))
}

// start loads the page and waits for the first values.
func (l *live) start() {
	l.Helper()
	l.do(chromedp.Navigate(l.url))
	l.until(`document.getElementById("state").textContent === "live"`)
}

// until waits for a condition of the page.
func (l *live) until(condition string) {
	l.Helper()
	deadline := time.Now().Add(patience)
	for !read[bool](l, condition) {
		if time.Now().After(deadline) {
			l.shoot("failed")
			l.mu.Lock()
			defer l.mu.Unlock()
			l.Fatalf("not reached within %v: %s\nproblems: %q", patience, condition, l.problems)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// read evaluates an expression in the page.
func read[V any](l *live, expression string) V {
	l.Helper()
	v, err := chromedp.Run(l.tab, chromedp.Evaluate[V](expression))
	require.NoError(l, err, expression)
	return v
}

// await evaluates an expression that is a promise.
func await[V any](l *live, expression string) V {
	l.Helper()
	v, err := chromedp.Run(l.tab, chromedp.Evaluate[V](expression, chromedp.EvalAwaitPromise))
	require.NoError(l, err, expression)
	return v
}

// eval runs a script in the page.
func (l *live) eval(script string) {
	l.Helper()
	l.do(chromedp.Evaluate[chromedp.Void](script))
}

// click clicks on an element.
func (l *live) click(selector string) {
	l.Helper()
	l.do(chromedp.Click(chromedp.CSS(selector)))
}

// openCharts clicks on the row with the name.
func (l *live) openCharts(name string) {
	l.Helper()
	l.eval(fmt.Sprintf(`[...document.querySelectorAll(".row:not([hidden])")]
		.find((r) => r.querySelector("b").textContent === %q).click()`, name))
}

// shown returns the text that counts the series.
func (l *live) shown() string {
	l.Helper()
	return read[string](l, `document.getElementById("shown").textContent`)
}

// key presses keys on the focused element.
func (l *live) key(keys string) {
	l.Helper()
	l.do(chromedp.KeyEvent(keys))
}

// shoot writes a screenshot, if there is a folder for it.
func (l *live) shoot(name string) {
	l.Helper()
	if *screenshots == "" {
		return
	}
	picture, err := chromedp.Run(l.tab, chromedp.CaptureScreenshot())
	require.NoError(l, err)
	require.NoError(l, os.WriteFile(filepath.Join(*screenshots, name+".png"), small(l.T, picture), 0o644))
}

// row returns the texts of the first row in sight that has the name.
func (l *live) row(name string) map[string]string {
	l.Helper()
	return read[map[string]string](l, fmt.Sprintf(`(() => {
		const row = [...document.querySelectorAll(".row:not([hidden])")].find((r) => r.querySelector("b").textContent === %q);
		return row ? Object.fromEntries([...row.children].map((c) => [c.classList[1], c.innerText])) : {};
	})()`, name))
}

// names returns the names of the rows in sight, from top to bottom.
func (l *live) names() []string {
	l.Helper()
	return read[[]string](l, `[...document.querySelectorAll(".row:not([hidden])")]
		.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((r) => r.querySelector("b").textContent)`)
}

// clean checks that nothing went wrong in the browser, and that no other host was asked.
func (l *live) clean() {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(l, l.problems)
	require.NotEmpty(l, l.requests)
	for _, address := range l.requests {
		require.True(l, strings.HasPrefix(address, l.url), "a request to %s", address)
	}
}
