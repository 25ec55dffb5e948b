package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// lines returns the recorded series, one on a line.
func lines(recorder *sinktest.Recorder) (lines []string) {
	for _, p := range recorder.Totals() {
		lines = append(lines, sinktest.Line(p))
	}
	return lines
}

type level struct {
	Level string `tag:"level"`
}

// everyWay records in every way there is, twice in each series.
func everyWay(b *metricsbuffer.Buffer) {
	l := tag("level", "call")
	for range 2 {
		b.IncrCounter("named", 1, l)
		b.IncrTimer("named", 1, l)
		b.ObserveHistogram("named", "bytes", 1, l)
		b.SetGauge("named", 1, l)
		local := b.Local()
		local.Counter(b.Counter("held", l)).Inc()
		local.Timer(b.Timer("held", l)).Observe(1)
		local.Histogram(b.Histogram("held", "bytes", l)).Observe(1)
		local.Commit()
		b.Gauge("held", l).Set(1)
		metricsbuffer.Record(
			metricsbuffer.Must(metricsbuffer.NewCounterVec[level](b, "vec")).With(level{"call"}).Delta(1),
			metricsbuffer.Must(metricsbuffer.NewTimerVec[level](b, "vec")).With(level{"call"}).Took(1),
			metricsbuffer.Must(metricsbuffer.NewHistogramVec[level](b, "vec", "bytes")).With(level{"call"}).Size(1),
			metricsbuffer.Must(metricsbuffer.NewGaugeVec[level](b, "vec")).With(level{"call"}).Level(1))
	}
}

// TestScope: all ways to record add a scope's prefix and tags, and the innermost tag of a key is taken.
func TestScope(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithTags(tag("host", "h"), tag("version", "constant")))
	outer := b.WithPrefix("outer.").With(tag("version", "outer"), tag("level", "outer"), tag("zone", "outer"))
	everyWay(outer.With(tag("zone", "inner"), tag("level", "inner")).WithPrefix("inner."))
	require.NoError(t, b.Flush(t.Context()))
	var want []string
	for _, name := range []string{"held", "named", "vec"} {
		for _, series := range []string{"counter %s%s 2", "timer %s%s 2", "gauge %s%s 1", "histogram %s[bytes]%s 2"} {
			want = append(want, fmt.Sprintf(series, "outer.inner."+name, "{host=h,level=call,version=outer,zone=inner}"))
		}
	}
	require.ElementsMatch(t, want, lines(recorder))
}

// TestScopeIsItsBuffer: the rest of a scope's methods are those of the buffer.
func TestScopeIsItsBuffer(t *testing.T) {
	b, recorder := newBuffer(t)
	scope := b.With(tag("k", "v"))
	b.IncrCounter("c", 1)
	scope.IncrCounter("c", 2)
	require.NoError(t, scope.Flush(t.Context()))
	require.Equal(t, []string{"counter c 1", "counter c{k=v} 2"}, lines(recorder))
	require.Equal(t, b.Stats().Recorded, scope.Stats().Recorded)
	local := b.Local()
	local.Counter(scope.Counter("c")).Add(4) // instruments of a scope are the buffer's
	local.Commit()
	require.NoError(t, scope.Close())
	require.ErrorIs(t, b.Flush(t.Context()), metricsbuffer.ErrClosed)
	require.ErrorIs(t, scope.Flush(t.Context()), metricsbuffer.ErrClosed)
	require.EqualValues(t, 6, recorder.Total(metricsbuffer.KindCounter, "c", tag("k", "v")).Count)
}

// TestScopeKeepsItsBuffer: a buffer that is referred to by a scope only is not closed.
func TestScopeKeepsItsBuffer(t *testing.T) {
	recorder := new(sinktest.Recorder)
	scope := metricsbuffer.Must(metricsbuffer.New(
		metricsbuffer.WithInterval(0), metricsbuffer.WithSink(recorder))).With(tag("k", "v"))
	for range 3 {
		runtime.GC()
	}
	scope.IncrCounter("c", 1)
	require.NoError(t, scope.Flush(t.Context()))
	require.Equal(t, []string{"counter c{k=v} 1"}, lines(recorder))
	require.NoError(t, scope.Close())
}

func TestScopeOfNil(t *testing.T) {
	for _, b := range []*metricsbuffer.Buffer{nil, new(metricsbuffer.Buffer)} {
		scope := b.With(tag("k", "v")).WithPrefix("p.")
		require.Nil(t, scope)
		everyWay(scope)
		everyWay(b)
		b.Describe("c", "help", "unit")
		scope.Describe("c", "help", "unit")
		root, name, tags := b.Resolve("c", tag("k", "v"))
		require.Nil(t, root)
		require.Equal(t, "c", name)
		require.Equal(t, []metricsbuffer.Tag{tag("k", "v")}, tags)
	}
}

// TestScopeWithLongKeys: names and tags that do not fit what a scope keeps on the stack.
func TestScopeWithLongKeys(t *testing.T) {
	b, recorder := newBuffer(t)
	long := strings.Repeat("n", 120)
	scope := b.WithPrefix("123456789.").With(tag("k", "v"))
	var tags []metricsbuffer.Tag
	for i := range 16 {
		tags = append(tags, tag(fmt.Sprintf("%02d", i), ""))
	}
	for range 2 {
		scope.IncrCounter(long, 1)
		scope.IncrCounter("many", 1, tags...)
		scope.IncrCounter("many", 1, tags[:15]...)
		scope.SetGauge("many", 3, append(tags, tag("k", "call"))...)
	}
	require.NoError(t, b.Flush(t.Context()))
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "123456789."+long, tag("k", "v")).Count)
	many := "123456789.many"
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, many, append(tags, tag("k", "v"))...).Count)
	fewer := append(tags[:15:15], tag("k", "v"))
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, many, fewer...).Count)
	require.InDelta(t, 3, recorder.Total(metricsbuffer.KindGauge, many, append(tags, tag("k", "call"))...).Value, 0)
	require.Len(t, recorder.Totals(), 4)
}

// TestScopeKeepsTagsOfOneLevel: tags that were given together are all kept, as in a call.
func TestScopeKeepsTagsOfOneLevel(t *testing.T) {
	b, recorder := newBuffer(t)
	scope := b.With(tag("k", "2"), tag("k", "1"))
	scope.IncrCounter("c", 1)
	scope.IncrCounter("c", 1, tag("k", "0"), tag("k", "0"))
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, []string{"counter c{k=0,k=0} 1", "counter c{k=1,k=2} 1"}, lines(recorder))
}

// TestScopeCopiesStrings: a prefix and tags may lie in a buffer that is reused.
func TestScopeCopiesStrings(t *testing.T) {
	text := []byte("pkvhi")
	s := func(i int) string { return unsafe.String(&text[i], 1) }
	b, recorder := newBuffer(t, metricsbuffer.WithTags(tag(s(3), s(4))))
	tags := []metricsbuffer.Tag{tag(s(1), s(2))}
	scope := b.WithPrefix(s(0)).With(tags...)
	b.Describe(s(0), s(1), s(2))
	clear(text)
	tags[0] = tag("x", "x")
	scope.IncrCounter("", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, []string{"counter p{h=i,k=v} 1"}, lines(recorder))
	p := recorder.Total(metricsbuffer.KindCounter, "p", tag("h", "i"), tag("k", "v"))
	require.Equal(t, "k in v", p.Help+" in "+p.Unit)
}

func TestScopesNeverAllocate(t *testing.T) {
	b, _ := newBuffer(t, metricsbuffer.WithTags(tag("host", "h")))
	scope := b.WithPrefix("http.").With(tag("service", "s"), tag("zone", "z"))
	vec := metricsbuffer.Must(metricsbuffer.NewCounterVec[level](scope, "vec"))
	status, host := string([]byte("success")), string([]byte("h"))
	operations := map[string]func(){
		"IncrCounter":                 func() { scope.IncrCounter("requests", 1, tag("status", status)) },
		"IncrTimer":                   func() { scope.IncrTimer("latency", 1, tag("status", status), tag("zone", "y")) },
		"ObserveHistogram":            func() { scope.ObserveHistogram("size", "bytes", 1, tag("status", status)) },
		"SetGauge":                    func() { scope.SetGauge("queue", 1) },
		"Vec.With":                    func() { vec.With(level{status}).Inc() },
		"a tag that is constant":      func() { b.IncrCounter("c", 1, tag("status", status), tag("host", host)) },
		"a text made for this update": func() { scope.IncrCounter("c", 1, tag("status", "5"+status[:1]+"x")) },
	}
	for name, operation := range operations {
		onEveryP(operation)
		require.NoError(t, b.Flush(t.Context()))
		onEveryP(operation) // in the other bank as well
		require.Zero(t, testing.AllocsPerRun(1000, operation), name)
	}
}

// TestConstantTags: sinks get them with every series, and no two series have the same name and tags.
func TestConstantTags(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(16), metricsbuffer.WithSelfMetrics(),
		metricsbuffer.WithTags(tag("z", "constant")), metricsbuffer.WithTags(tag("a", "constant")))
	for range 2 {
		b.IncrCounter("c", 1)
		b.IncrCounter("c", 1, tag("z", "constant")) // the same series
		b.IncrCounter("c", 1, tag("a", "constant"), tag("z", "constant"))
		b.Counter("c", tag("a", "constant")).Add(1)
		b.IncrCounter("c", 1, tag("a", "constant"), tag("m", "own"))
		b.IncrCounter("c", 1, tag("z", "own"))
		b.IncrCounter("c", 1, tag("z", "own"), tag("z", "constant")) // both are its own
		b.IncrCounter("beyond", 1, tag("z", "own"))
		require.NoError(t, b.Flush(t.Context()))
	}
	var own []string
	for _, line := range lines(recorder) {
		if !strings.Contains(line, "metricsbuffer.") {
			own = append(own, line)
		}
	}
	require.Equal(t, []string{
		"counter beyond{a=constant,overflow=true,z=constant} 2",
		"counter c{a=constant,m=own,z=constant} 2",
		"counter c{a=constant,z=constant} 8",
		"counter c{a=constant,z=constant,z=own} 2",
		"counter c{a=constant,z=own} 2",
	}, own)
	recorder.Total(metricsbuffer.KindGauge, "metricsbuffer.bytes", tag("a", "constant"), tag("z", "constant"))
	for _, batch := range recorder.Batches() {
		for _, p := range batch.Points {
			require.True(t, slices.IsSortedFunc(p.Tags, func(a, b metricsbuffer.Tag) int {
				return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value)
			}), p.Tags)
		}
	}
}

// TestConstantTagsOfManyTags: a series with more tags than are compared on the stack.
func TestConstantTagsOfManyTags(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithTags(tag("z", "constant")))
	tags := []metricsbuffer.Tag{tag("z", "constant")}
	for i := range 20 {
		tags = append(tags, tag("k", fmt.Sprint(i)))
	}
	b.IncrCounter("c", 1, tags...)
	b.IncrCounter("c", 1, tags[1:]...)
	require.NoError(t, b.Flush(t.Context()))
	require.Len(t, recorder.Totals(), 1)
	require.EqualValues(t, 2, recorder.Total(metricsbuffer.KindCounter, "c", tags...).Count)
}

// TestConstantTagsOfEnded: the end of a series is told with the tags that its points had, and the series can come back.
func TestConstantTagsOfEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, recorder := newBuffer(t, metricsbuffer.WithTags(tag("z", "constant")), metricsbuffer.WithIdleExpiry(time.Second))
		b.IncrCounter("c", 1, tag("z", "constant"))
		b.IncrCounter("c", 1, tag("k", "v"))
		for range 5 {
			require.NoError(t, b.Flush(t.Context()))
			time.Sleep(time.Second)
		}
		var ended []string
		for _, batch := range recorder.Batches() {
			for _, p := range batch.Ended {
				ended = append(ended, sinktest.Line(p))
			}
		}
		require.ElementsMatch(t, []string{"counter c{z=constant} 0", "counter c{k=v,z=constant} 0"}, ended)
		b.IncrCounter("c", 5, tag("z", "constant"))
		require.NoError(t, b.Flush(t.Context()))
		require.EqualValues(t, 6, recorder.Total(metricsbuffer.KindCounter, "c", tag("z", "constant")).Count)
	})
}

func TestResolve(t *testing.T) {
	b, _ := newBuffer(t, metricsbuffer.WithTags(tag("z", "constant"), tag("k", "constant")))
	scope := b.WithPrefix("p.").With(tag("m", "scope"), tag("n", "scope"))
	root, name, tags := scope.Resolve("c", tag("n", "call"), tag("a", "call"))
	require.Same(t, b, root)
	require.Equal(t, "p.c", name)
	require.Equal(t, []metricsbuffer.Tag{
		tag("a", "call"), tag("k", "constant"), tag("m", "scope"), tag("n", "call"), tag("z", "constant")}, tags)
	given := []metricsbuffer.Tag{tag("y", ""), tag("b", "")}
	root, _, tags = b.Resolve("c", given...)
	require.Same(t, b, root)
	require.Equal(t, []metricsbuffer.Tag{tag("b", ""), tag("k", "constant"), tag("y", ""), tag("z", "constant")}, tags)
	require.Equal(t, tag("y", ""), given[0], "the argument is not sorted")
	b, _ = newBuffer(t)
	_, _, tags = b.Resolve("c", given...)
	require.Equal(t, []metricsbuffer.Tag{tag("b", ""), tag("y", "")}, tags)
}

// described returns the description in the latest batch, by the line of each series without its value.
func described(recorder *sinktest.Recorder) map[string]string {
	descriptions := make(map[string]string)
	batches := recorder.Batches()
	for _, p := range batches[len(batches)-1].Points {
		line := sinktest.Line(p)
		descriptions[line[:strings.LastIndexByte(line, ' ')]] = p.Help + "|" + p.Unit
	}
	return descriptions
}

// TestDescribe: a description comes with every point of its name, also if it is given after the first use, and even if
// nothing is recorded any more.
func TestDescribe(t *testing.T) {
	b, recorder := newBuffer(t)
	scope := b.WithPrefix("scope.").With(tag("k", "v"))
	scope.Describe("c", "Early.", "By")
	scope.IncrCounter("c", 1)
	b.IncrTimer("c", 1)
	b.SetGauge("g", 2)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]string{"counter scope.c{k=v}": "Early.|By", "timer c": "|", "gauge g": "|"},
		described(recorder))

	b.Describe("c", "A \xff\n\"", "\xffs")
	b.Describe("g", "Late.", "Cel")
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]string{"timer c": "A \ufffd\n\"|", "gauge g": "Late.|Cel"}, described(recorder))
	require.InDelta(t, 2, recorder.Total(metricsbuffer.KindGauge, "g").Value, 0)

	b.IncrCounter("c", 1, tag("k", "v"))
	b.ObserveHistogram("g", "bytes", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]string{"counter c{k=v}": "A \ufffd\n\"|\ufffds", "histogram g[bytes]": "Late.|bytes"},
		described(recorder))

	batches := len(recorder.Batches())
	b.Describe("g", "Late.", "Cel") // nothing new
	require.NoError(t, b.Flush(t.Context()))
	require.Len(t, recorder.Batches(), batches)
	b.Describe("g", "", "")
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]string{"gauge g": "|", "histogram g[bytes]": "|bytes"}, described(recorder))
	requireBalance(t, b.Stats())
}

// TestDescribeWithoutSinks: it has no effect, and does no harm.
func TestDescribeWithoutSinks(t *testing.T) {
	b := metricsbuffer.Must(metricsbuffer.New())
	b.IncrCounter("c", 1)
	b.Describe("c", "Help.", "")
	require.EqualValues(t, 1, b.Stats().Recorded.Increments)
}

// TestDescribeIsBounded: there are descriptions of as many names as there may be series; the rest is counted.
func TestDescribeIsBounded(t *testing.T) {
	b, recorder := newBuffer(t, metricsbuffer.WithMaxSeries(3))
	for i := range 10 {
		b.Describe(fmt.Sprint("c", i), "Help.", "")
		b.Describe("c0", fmt.Sprint(i), "") // a known one may still be changed
	}
	require.EqualValues(t, 7, b.Stats().Undescribed)
	b.IncrCounter("c0", 1)
	b.IncrCounter("c2", 1)
	b.IncrCounter("c3", 1)
	require.NoError(t, b.Flush(t.Context()))
	require.Equal(t, map[string]string{"counter c0": "9|", "counter c2": "Help.|", "counter c3": "|"}, described(recorder))
}

// TestDescribeAndExpiry: the end of a series may be pending when its name is described. No point follows it.
func TestDescribeAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := false
		recorder := new(sinktest.Recorder)
		sink := metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			if fail {
				return errors.New("injected")
			}
			return recorder.Write(ctx, batch)
		})
		b := metricsbuffer.Must(metricsbuffer.New(metricsbuffer.WithInterval(0), metricsbuffer.WithSink(sink),
			metricsbuffer.WithIdleExpiry(time.Second)))
		b.IncrCounter("c", 1)
		b.Describe("c", "Old.", "")
		require.NoError(t, b.Flush(t.Context()))
		fail = true
		for range 5 {
			time.Sleep(time.Second)
			_ = b.Flush(t.Context())
		}
		b.Describe("c", "New.", "")
		fail = false
		require.NoError(t, b.Flush(t.Context()))
		b.IncrCounter("c", 2)
		require.NoError(t, b.Close())
		require.NoError(t, recorder.Err())
		batches := recorder.Batches()
		require.Len(t, batches, 3)
		require.Empty(t, batches[1].Points)
		require.Len(t, batches[1].Ended, 1)
		require.Equal(t, "New.", batches[2].Points[0].Help)
		requireBalance(t, b.Stats())
	})
}
