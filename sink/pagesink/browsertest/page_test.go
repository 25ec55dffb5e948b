package browsertest

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

// fill records a little of everything.
func fill(b *metricsbuffer.Buffer) {
	tag := func(key, value string) metricsbuffer.Tag { return metricsbuffer.Tag{Key: key, Value: value} }
	b.IncrCounter("requests", 1_234_567, tag("route", "/orders"), tag("status", "200"))
	b.IncrCounter("requests", 12, tag("route", "/orders"), tag("status", "500"))
	b.IncrCounter("balance", -42)
	b.IncrCounter("largest", math.MaxInt64)
	b.SetGauge("queue.depth", 17.5)
	b.SetGauge("not.a.number", math.NaN())
	for i := range 1000 {
		b.IncrTimer("latency", time.Duration(i+1)*time.Millisecond, tag("route", "/orders"))
		b.Histogram("size", "bytes").Observe(int64(i) * 100)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	l.start()
	require.Equal(t, "-42", l.row("balance")["total"])
	require.Equal(t, "9,223,372,036,854,775,807", l.row("largest")["total"])
	require.Equal(t, "17.5", l.row("queue.depth")["total"])
	require.Equal(t, "NaN", l.row("not.a.number")["total"])
	require.Equal(t, "1,234,567", l.row("requests")["total"])
	latency := l.row("latency")
	require.Equal(t, "1,000", latency["total"])
	require.Equal(t, "latency route=/orders", latency["name"])
	for key, want := range map[string]float64{"p50": 500, "p90": 900, "p99": 990} {
		shown, err := time.ParseDuration(strings.ReplaceAll(latency[key], " ", ""))
		require.NoError(t, err)
		require.InEpsilon(t, want, shown.Seconds()*1000, 0.03, key)
	}

	// The account adds up, and has all that was recorded.
	l.click("summary")
	l.until(`document.querySelectorAll("#sinks tr").length === 2`)
	stats := l.buffer.Stats()
	require.EqualValues(t, 2000, stats.Recorded.Observations)
	account := read[string](l, `document.getElementById("sinks").innerText`)
	require.Contains(t, account, "page")
	require.Contains(t, account, "2,000 observed")
	require.Contains(t, account, "✓")

	// Further updates arrive.
	l.buffer.IncrCounter("balance", 1000)
	l.until(`[...document.querySelectorAll(".row b")].some((b) => b.textContent === "balance" &&
		b.closest(".row").querySelector(".total").textContent === "958")`)
	l.buffer.SetGauge("queue.depth", -3)
	l.buffer.IncrCounter("new", 7)
	l.until(`[...document.querySelectorAll(".row b")].some((b) => b.textContent === "new")`)
	require.Equal(t, "7", l.row("new")["total"])
	require.Equal(t, "-3", l.row("queue.depth")["total"])

	// The charts of a timer have exact figures.
	l.openCharts("latency")
	facts := read[map[string]string](l, `Object.fromEntries([...document.querySelectorAll("#detail dl div")]
		.map((d) => [d.children[0].textContent, d.children[1].textContent]))`)
	require.Equal(t, "1,000", facts["total"])
	require.Equal(t, "1 ms", facts["min"])
	require.Equal(t, "1 s", facts["max"])
	require.Equal(t, "501 ms", facts["mean"])
	require.Equal(t, 3, read[int](l, `document.querySelectorAll("#detail canvas").length`))

	// A description that comes later is shown in open charts, and its unit is found by the search.
	l.openCharts("new")
	l.until(`document.querySelector("#detail .tags").textContent === "counter"`)
	l.buffer.Describe("new", "Jobs that are new.", "jobs")
	l.until(`document.querySelector("#detail .help").textContent === "Jobs that are new." &&
		document.querySelector("#detail .tags").textContent === "counter in jobs"`)

	// The page keeps the last values of a closed buffer.
	l.buffer.IncrCounter("balance", 1)
	require.NoError(t, l.buffer.Close())
	l.until(`document.getElementById("state").textContent.startsWith("ended")`)
	require.Equal(t, "959", l.row("balance")["total"])
	l.clean()
}

// The heat map has the cells of the observations.
func TestHeatmap(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	latency := l.buffer.Timer("latency")
	latency.Observe(time.Millisecond)
	l.start()
	l.click(".row")
	l.until(`document.querySelectorAll("#detail canvas").length === 3`)
	empty := inked(l)
	for range 3 {
		latency.Observe(time.Millisecond)
		latency.Observe(time.Second)
		require.NoError(t, l.buffer.Flush(context.Background()))
		l.until(`window.seen = (window.seen ?? 0) + 1, true`)
		time.Sleep(1100 * time.Millisecond)
	}
	require.Greater(t, inked(l), empty+50)
	l.clean()
}

// inked counts the points of the heat map that have the colour of a cell.
func inked(l *live) int {
	return read[int](l, `(() => {
		const canvas = [...document.querySelectorAll("#detail canvas")].at(-1);
		const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
		copy.drawImage(canvas, 0, 0);
		const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
		let n = 0;
		for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i] > data[i + 2] + 60) n++;
		return n;
	})()`)
}

func TestSearchAndSort(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	for i := range 100 {
		half := metricsbuffer.Tag{Key: "half", Value: fmt.Sprint(i % 2)}
		l.buffer.IncrCounter(fmt.Sprintf("job%02d", i), int64(i*7%100+1), half)
	}
	l.buffer.SetGauge("depth", 5)
	l.start()
	require.Equal(t, "depth", l.names()[0])
	require.Equal(t, "101 series", l.shown())
	click := func(column string) {
		l.click("#head ." + column + " button")
	}
	click("total")
	require.Equal(t, []string{"job57", "job14"}, l.names()[:2], "100 and 99")
	require.Equal(t, "descending", read[string](l, `document.querySelector("#head .total").ariaSort`))
	click("total")
	require.Equal(t, "job00", l.names()[0])
	click("name")
	require.Equal(t, "depth", l.names()[0])
	click("name")
	require.Equal(t, "job99", l.names()[0])

	l.do(chromedp.SendKeys(chromedp.CSS("#search"), "HALF=1 job0"))
	require.Equal(t, []string{"job09", "job07", "job05", "job03", "job01"}, l.names())
	require.Equal(t, "5 of 101 series", l.shown())
	l.do(chromedp.SendKeys(chromedp.CSS("#search"), "nothing"))
	require.Empty(t, l.names())
	require.Equal(t, "No series matches the search.", read[string](l, `document.getElementById("empty").textContent`))
	l.eval(`search.value = ""; kind.value = "gauge"; kind.dispatchEvent(new Event("change"))`)
	require.Equal(t, []string{"depth"}, l.names())
	l.clean()
}

// Everything can be done without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	for i := range 200 {
		l.buffer.IncrCounter(fmt.Sprintf("job%03d", i), 1)
	}
	l.start()
	active := func() string { return read[string](l, `document.querySelector(".row.active b")?.textContent ?? ""`) }
	focused := func() string { return read[string](l, `document.activeElement.id`) }
	l.key("/")
	require.Equal(t, "search", focused())
	l.eval(`search.select()`) // the driver sends a / to the field, which a keyboard does not
	l.key("job1" + kb.Enter)
	require.Equal(t, "grid", focused())
	require.Equal(t, "job100", active())
	require.Equal(t, active(), read[string](l,
		`document.getElementById(grid.getAttribute("aria-activedescendant")).querySelector("b").textContent`))
	l.key(kb.ArrowDown + kb.ArrowDown + kb.ArrowUp)
	require.Equal(t, "job101", active())
	l.key(kb.End)
	require.Equal(t, "job199", active())
	l.key(kb.PageUp)
	require.NotEqual(t, "job199", active())
	l.key(kb.Home + kb.Enter)
	require.Equal(t, "job100", read[string](l, `document.querySelector("#detail h2").textContent`))
	l.key(kb.Escape)
	require.True(t, read[bool](l, `document.getElementById("detail").hidden`))
	require.Equal(t, "grid", focused())
	l.key(kb.Escape)
	require.Equal(t, "200 series", l.shown())
	// A column is sorted by its button, which Tab reaches.
	l.key(kb.Tab)
	require.Equal(t, "Series", read[string](l, `document.activeElement.textContent`))
	l.key(kb.Enter)
	require.Equal(t, "job199", l.names()[0])
	l.clean()
}

// Names, tags and units are text, even if they look like HTML.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	hostile := []string{
		`<img src=x onerror="document.title='owned'">`, `"><script>document.title="owned"</script>`, "{{7*7}}",
		"javascript:alert(1)", "__proto__", "constructor", "line\nbreak", "\u202egnp.exe", "a\xff", "a\ufffd", "", " ",
		"</textarea><svg onload=alert(1)>", "long" + string(make([]byte, 5000)),
	}
	l := open(t, 1280, 800)
	for _, s := range hostile {
		l.buffer.IncrCounter(s, 1, metricsbuffer.Tag{Key: s, Value: s})
		l.buffer.Histogram("size", s, metricsbuffer.Tag{Key: "k", Value: s}).Observe(1)
	}
	l.start()
	require.Equal(t, fmt.Sprint(2*len(hostile), " series"), l.shown())
	names := l.names()
	for _, s := range []string{hostile[0], strconv.Quote(hostile[1]), "__proto__", "constructor", "javascript:alert(1)",
		`"line\nbreak"`, `"\u202egnp.exe"`, `"a\xff"`, "a\ufffd"} {
		require.True(t, slices.Contains(names, s), "%.100q is missing", s)
	}
	for range len(hostile) * 2 {
		l.eval(`grid.focus()`)
		l.key(kb.ArrowDown + kb.Enter)
	}
	require.Equal(t, "Metrics", read[string](l, `document.title`))
	require.Zero(t, read[int](l, `document.querySelectorAll("body img, body script, body svg, iframe").length`))
	require.Zero(t, read[int](l, `document.querySelectorAll("[onerror], [onload]").length`))
	l.shoot("hostile")
	l.clean()
}

// On a phone nothing has to be scrolled sideways, and the charts can be opened and closed.
func TestPhone(t *testing.T) {
	t.Parallel()
	l := open(t, 390, 844)
	fill(l.buffer)
	l.buffer.IncrCounter("a.name.that.is.much.longer.than.the.screen.is.wide", 5,
		metricsbuffer.Tag{Key: "with", Value: "a.tag"})
	l.start()
	sideways := `document.documentElement.scrollWidth > 390 || document.getElementById("grid").scrollWidth > 390 ||
		document.getElementById("detail").scrollWidth > 390 || document.getElementById("account").scrollWidth > 390`
	require.False(t, read[bool](l, sideways))
	l.click("summary")
	l.until(`document.querySelectorAll("#sinks tr").length === 2`)
	require.False(t, read[bool](l, sideways))
	l.shoot("phone-account")
	l.click("summary")
	require.Equal(t, "1,000", l.row("latency")["total"])
	l.openCharts("latency")
	require.False(t, read[bool](l, sideways))
	require.Equal(t, 3, read[int](l, `document.querySelectorAll("#detail canvas").length`))
	l.click("#close")
	require.True(t, read[bool](l, `document.getElementById("detail").hidden`))
	l.clean()
}

// A page that lost its connection connects again, and shows the same series.
func TestReconnect(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	l.start()
	l.openCharts("latency")
	l.server.CloseClientConnections()
	l.until(`document.getElementById("state").textContent === "connecting again"`)
	l.buffer.IncrCounter("balance", 1)
	l.until(`document.getElementById("state").textContent === "live"`)
	require.Equal(t, "-41", l.row("balance")["total"])
	require.Equal(t, "8 series", l.shown())
	require.Equal(t, "latency", read[string](l, `document.querySelector("#detail h2").textContent`))
}

// The mark of the keyboard stays on its series, too.
func TestReconnectKeepsTheMark(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	l.start()
	l.eval(`document.getElementById("grid").focus()`)
	l.key(kb.ArrowDown + kb.ArrowDown)
	marked := `document.querySelector(".row.active:not([hidden]) b")?.textContent ?? ""`
	name := read[string](l, marked)
	require.NotEmpty(t, name)
	l.server.CloseClientConnections()
	l.until(`document.getElementById("state").textContent === "connecting again"`)
	l.until(`document.getElementById("state").textContent === "live"`)
	require.Equal(t, name, read[string](l, marked))
}

// While a program is started again, the proxy before it answers with an error. A browser then gives up its connection,
// so the page connects again by itself, and shows the reason until then.
func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	var down atomic.Bool
	l.mux.HandleFunc("/debug/metrics/events", func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(w, "<b>no upstream</b>\nsecond line", http.StatusBadGateway)
			return
		}
		l.page.ServeHTTP(w, r)
	})
	l.start()
	l.openCharts("latency")
	down.Store(true)
	l.server.CloseClientConnections()
	l.until(`document.getElementById("state").textContent === "not connected: 502 <b>no upstream</b>"`)
	l.buffer.IncrCounter("balance", 1)
	down.Store(false)
	l.until(`document.getElementById("state").textContent === "live"`)
	require.Equal(t, "-41", l.row("balance")["total"])
	require.Equal(t, "latency", read[string](l, `document.querySelector("#detail h2").textContent`))
}

// The page says why the server refuses a viewer, and connects as soon as it can.
func TestTooManyViewers(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for range 32 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"events", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
	}
	l.do(chromedp.Navigate(l.url))
	l.until(`document.getElementById("state").textContent.includes("there are 32 viewers already")`)
	leave()
	l.until(`document.getElementById("state").textContent === "live"`)
	require.Equal(t, "8 series", l.shown())
}

// A value that is not known has no figure.
func TestNoObservation(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	timer := l.buffer.Timer("latency")
	l.start()
	l.openCharts("latency")
	facts := `[...document.querySelectorAll("#detail dl > div")].map((d) => d.innerText.replace(/\s+/, " ")).join(", ")`
	require.Equal(t, "total 0, rate 0 /s, mean –, min –, max –, p50 –, p90 –, p99 –", read[string](l, facts))
	timer.Observe(3 * time.Millisecond)
	l.until(facts + `.includes("mean 3 ms, min 3 ms, max 3 ms")`)
}

// The head of the sparklines tells their time, which depends on the interval.
func TestInterval(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	l.start()
	head := `document.querySelector("#head .spark").textContent === "Last %s"`
	l.until(fmt.Sprintf(head, "2 min"))
	slow, err := pagesink.New(pagesink.WithInterval(10 * time.Second))
	require.NoError(t, err)
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(slow))
	require.NoError(t, err)
	t.Cleanup(func() { _ = buffer.Close() })
	l.mux.Handle("/slow/", slow)
	l.url = l.server.URL + "/slow/"
	l.start()
	l.until(fmt.Sprintf(head, "20 min"))
}

// The colours follow the scheme of the system, those of the charts, too.
func TestDark(t *testing.T) {
	t.Parallel()
	l := open(t, 1280, 800)
	fill(l.buffer)
	scheme := func(name string) {
		call(l, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
	}
	brightness := func(property, selector string) int {
		return read[int](l, fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).%s.match(/\d+/g).slice(0, 3)
			.reduce((n, c) => n + Number(c), 0)`, selector, property))
	}
	scheme("light")
	l.start()
	require.Greater(t, brightness("backgroundColor", "#grid"), 600)
	require.Less(t, brightness("color", ".row"), 200)
	scheme("dark")
	l.until(`getComputedStyle(document.body).getPropertyValue("--paper").trim() === "#191d23"`)
	require.Less(t, brightness("backgroundColor", "#grid"), 200)
	require.Greater(t, brightness("color", ".row"), 600)
	l.until(`document.querySelectorAll(".row:not([hidden]) canvas").length > 5`)

	// The charts of the other scheme are given up: each of them listens to the window.
	l.eval(`window.listeners = 0;
		for (const [name, by] of [["addEventListener", 1], ["removeEventListener", -1]]) {
			const original = window[name];
			window[name] = (...args) => { window.listeners += by; original.apply(window, args); };
		}`)
	scheme("light")
	l.until(`getComputedStyle(document.body).getPropertyValue("--paper").trim() !== "#191d23"`)
	l.until(`document.querySelectorAll(".row:not([hidden]) canvas").length > 5`)
	require.Zero(t, read[int](l, "listeners"))
	l.clean()
}
