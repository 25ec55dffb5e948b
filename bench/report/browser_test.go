package report

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bench/result"
)

// measured is a page that shows another one in a frame and says how wide its content is. The content reports that
// itself, because a page from a file may not look into another.
const measured = `<!doctype html><p id="width"></p>
<script>onmessage = e => document.getElementById("width").textContent = "content " + e.data</script>
<iframe width="%d" height="9000" src="page.html"></iframe>`

const report = `<script>addEventListener("load", () => {
document.querySelectorAll("details").forEach(d => d.open = true)
parent.postMessage(document.documentElement.scrollWidth + " of " + innerWidth, "*") })</script>`

// The page needs no sideways scrolling in a real browser, on a telephone and on a wide screen, with all tables open. It
// needs none either for a run with longer figures and names.
func TestPageFitsItsWindow(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		chromium, err = exec.LookPath("chromium-headless-shell")
	}
	if err != nil {
		t.Skip("Chromium is missing: install it (Debian: apt-get install chromium-headless-shell)")
	}
	for name, change := range map[string]func(*result.Run){"published": func(*result.Run) {}, "longer": lengthen} {
		t.Run(name, func(t *testing.T) {
			r, err := result.Load("../results/results.json")
			require.NoError(t, err)
			change(r)
			page, err := Page(r)
			require.NoError(t, err)
			requireFits(t, chromium, page)
		})
	}
}

// lengthen gives a run figures with one or two digits more, and longer names.
func lengthen(r *result.Run) {
	long := func(name *string) {
		*name = strings.Replace(*name, "metricsbuffer, ", "metricsbuffer, stopping the world, ", 1)
	}
	for i := range r.Contenders {
		long(&r.Contenders[i].Name)
	}
	for i := range r.Measurements {
		m := &r.Measurements[i]
		long(&m.Contender)
		for j := range m.Samples {
			m.Samples[j] *= []float64{10, 50}[j%2]
		}
	}
	for i := range r.Omissions {
		long(&r.Omissions[i].Contender)
	}
	for i := range r.Audit {
		long(&r.Audit[i].Contender)
	}
	r.Summarize(r.Contenders[0].Name)
}

func requireFits(t *testing.T, chromium string, page []byte) {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, "page.html"), append(page, report...), 0o600))
	for _, width := range []int{390, 768, 1280} {
		frame := filepath.Join(directory, "frame.html")
		require.NoError(t, os.WriteFile(frame, fmt.Appendf(nil, measured, width), 0o600))
		dom, err := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu",
			"--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
			"--disable-sync", "--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom",
			"file://"+frame).Output()
		require.NoError(t, err)
		reported := regexp.MustCompile(`content (\d+) of (\d+)<`).FindSubmatch(dom)
		require.NotNil(t, reported, "%s", dom)
		content, err := strconv.Atoi(string(reported[1]))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(width), string(reported[2]))
		require.LessOrEqual(t, content, width)
	}
}
