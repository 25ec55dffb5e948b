package metricstest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// Equal fails the test if the recorded series are not the wanted lines. Their order does not matter, nor do empty lines
// and space around a line. The form is that of [sinktest.Line], with tags sorted by key:
//
//	counter requests{route=/,status=200} 3
//	counter cost.usd 2.50
//	gauge queue 2.5
//	timer latency 4
//	histogram size[bytes] 4
//
// The number of a timer or histogram is how many observations it has. That of a [metricsbuffer.FractionCounter] has
// all of its decimals. A series without any update (a counter at zero, a timer without observations) may be left out.
func Equal(t testing.TB, buffer *metricsbuffer.Buffer, lines string) {
	t.Helper()
	compare(t, buffer, lines, false)
}

// Contains fails the test if one of the wanted lines was not recorded. Other series do not matter. The form is that of
// [Equal].
func Contains(t testing.TB, buffer *metricsbuffer.Buffer, lines string) {
	t.Helper()
	compare(t, buffer, lines, true)
}

// None fails the test if a series of that name has any update, in any kind and with any tags. It is the only function
// that takes a name that was never recorded, so it cannot notice a misspelt name.
func None(t testing.TB, buffer *metricsbuffer.Buffer, name string) {
	t.Helper()
	recorder := read(t, buffer)
	if recorder == nil {
		return
	}
	_, name, _ = buffer.Resolve(name)
	var d diff
	for _, p := range recorder.Totals() {
		if p.Name == name && !untouched(&p) {
			d.add("+ ", sinktest.Line(p))
		}
	}
	if len(d) > 0 {
		t.Errorf("metricstest: nothing was to be recorded as %q (+ recorded):\n%s", name, d)
	}
}

func untouched(p *metricsbuffer.Point) bool { return p.Kind != metricsbuffer.KindGauge && p.Count == 0 }

func compare(t testing.TB, buffer *metricsbuffer.Buffer, lines string, others bool) {
	t.Helper()
	recorder := read(t, buffer)
	if recorder == nil {
		return
	}
	wanted := make(map[string]bool)
	missing := make(map[string]bool) // series of which another value is wanted
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			wanted[line], missing[seriesOf(line)] = true, true
		}
	}
	if len(wanted) == 0 && others {
		t.Errorf("metricstest: Contains was given no line")
		return
	}
	var d diff
	failed := false
	complaint := "the recorded series are not the wanted ones"
	if others {
		complaint = "a wanted line was not recorded"
	}
	for _, p := range recorder.Totals() {
		line := sinktest.Line(p)
		switch {
		case wanted[line]:
			delete(wanted, line)
			d.add("  ", line)
		case missing[seriesOf(line)], !others && !untouched(&p):
			failed = true
			d.add("+ ", line)
		default:
			d.add("  ", line)
		}
	}
	for line := range wanted {
		failed = true
		d.add("- ", line)
		if !hasKind(line) {
			t.Errorf("metricstest: the wanted line %q does not begin with counter, timer, gauge or histogram: "+
				"write it like counter requests{status=200} 3", line)
		}
	}
	if failed {
		t.Errorf("metricstest: %s (- wanted, + recorded):\n%s", complaint, d)
	}
}

// hasKind says whether the first word of a line is a kind.
func hasKind(line string) bool {
	kind, _, _ := strings.Cut(line, " ")
	for k := metricsbuffer.KindCounter; k <= metricsbuffer.KindHistogram; k++ {
		if kind == k.String() {
			return true
		}
	}
	return false
}

// seriesOf returns a line without its value.
func seriesOf(line string) string { return line[:max(0, strings.LastIndexByte(line, ' '))] }

// A diff is a list of lines, each with a mark.
type diff []struct{ mark, line string }

func (d *diff) add(mark, line string) { *d = append(*d, struct{ mark, line string }{mark, line}) }

// String returns the lines sorted, so that the wanted and the recorded value of a series are next to each other. Of
// many lines without a difference it shows only the number.
func (d diff) String() string {
	const unmarked, most = "  ", 20
	slices.SortFunc(d, func(a, b struct{ mark, line string }) int {
		return cmp.Or(strings.Compare(seriesOf(a.line), seriesOf(b.line)), strings.Compare(b.mark, a.mark))
	})
	var b strings.Builder
	hidden := 0
	for _, l := range d {
		if l.mark == unmarked && len(d) > most {
			hidden++
			continue
		}
		b.WriteString("\t" + l.mark + l.line + "\n")
	}
	if hidden > 0 {
		b.WriteString("\t  … and " + strconv.Itoa(hidden) + " series without a difference\n")
	}
	return b.String()
}
