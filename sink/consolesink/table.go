package consolesink

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

const (
	plainWidth = 120 // of a table that is not on a terminal
	minLabel   = 16  // the narrowest column of names
	usualLabel = 22  // its width at least where there is room; it leaves room for all columns of timers in 80
	columnGap  = 2
)

// A table lays out batches. It remembers the widths of columns and the units of timers, so that they do not jump from
// one batch to the next.
type table struct {
	label    int // the width of the column of names, in the sections that have room for it
	sections map[metricsbuffer.Kind]*section
	units    map[string]int // of the timers in the last table, by name; an index of durationUnits
}

// A section has the rows of one kind.
type section struct {
	title   string
	columns []string // their heads
	widths  []int    // of columns
	entries []entry  // of the current batch
}

// A line is one line of output. Its text contains only printable characters.
type line struct {
	text  string
	style style
	width int // in columns of a terminal
}

// lines returns the table of a batch. The rows are in order; leftOut is how many others the batch had.
func (t *table) lines(batch *metricsbuffer.Batch, rows []row, leftOut, width int) []line {
	elapsed := batch.End.Sub(batch.Start)
	head := fmt.Sprintf("%s  %s  %d series",
		formatTimes(batch.Start, batch.End), formatDuration(elapsed), len(batch.Points))
	lines := []line{newLine(head, plain)}
	units := make(map[string]int)
	var sections []*section
	for len(rows) > 0 {
		n := prefix(rows, func(a, b *row) bool { return a.kind == b.kind })
		s := t.section(rows[0].kind)
		s.entries = t.entries(rows[:n], elapsed, units)
		t.label = max(t.label, usualLabel, s.widen(width))
		sections = append(sections, s)
		rows = rows[n:]
	}
	t.units = units
	for _, s := range sections {
		lines = append(append(lines, line{}), s.lines(t.label, width)...)
	}
	if leftOut > 0 {
		note := fmt.Sprintf("… and %d more series, those with the smallest counts", leftOut)
		lines = append(lines, line{}, newLine(note, warning))
	}
	return lines
}

func newLine(text string, style style) line { return line{text, style, displayWidth(text)} }

// prefix returns how many rows at the beginning are alike.
func prefix(rows []row, alike func(a, b *row) bool) int {
	n := 1
	for n < len(rows) && alike(&rows[0], &rows[n]) {
		n++
	}
	return n
}

func (t *table) section(kind metricsbuffer.Kind) *section {
	if s, ok := t.sections[kind]; ok {
		return s
	}
	// A head is as wide as its column is at least.
	s := &section{title: strings.ToUpper(kind.String()), columns: []string{"  count", "  per s", "  value"}}
	switch {
	case kind == metricsbuffer.KindCounter:
		s.title, s.columns = "COUNTERS", s.columns[:2]
	case kind == metricsbuffer.KindGauge:
		s.title, s.columns = "GAUGES", s.columns[2:]
	case isDistribution(kind):
		s.title += "S"
		s.columns = append(s.columns[:2:2], "   p50", "   p99", "  mean", "   min", "   max")
	}
	for _, head := range s.columns {
		s.widths = append(s.widths, len(head))
	}
	if t.sections == nil {
		t.sections = make(map[metricsbuffer.Kind]*section)
	}
	t.sections[kind] = s
	return s
}

// An entry is one line of a section: a name, or a row.
type entry struct {
	label string
	cells []string // nil for a name alone
	style style
}

// entries groups the rows of one kind by name.
func (t *table) entries(rows []row, elapsed time.Duration, units map[string]int) (entries []entry) {
	for len(rows) > 0 {
		n := prefix(rows, func(a, b *row) bool { return a.name == b.name && a.unit == b.unit })
		group := rows[:n]
		rows = rows[n:]
		unit, scale := group[0].unit, 1.0
		if group[0].kind == metricsbuffer.KindTimer {
			i := t.durationUnit(group)
			units[group[0].name] = i
			unit, scale = durationUnits[i].name, durationUnits[i].scale
		}
		if unit != "" {
			unit = " [" + unit + "]"
		}
		if n > 1 && group[0].tags != "" {
			entries = append(entries, entry{label: group[0].name + unit})
		}
		for i := range group {
			r := &group[i]
			e := entry{label: "  " + r.tags, cells: r.cells(elapsed, scale)}
			if n == 1 || r.tags == "" {
				e.label = r.name + r.tags + unit
			}
			if r.quiet > 0 {
				e.style = faint
			}
			entries = append(entries, e)
		}
	}
	return entries
}

var durationUnits = []struct {
	name  string
	scale float64
}{{"ns", 1}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}}

// durationUnit returns the unit of a timer: the largest in which the smallest median is at least 1. It keeps the last
// table's while that reads well.
func (t *table) durationUnit(group []row) int {
	typical := math.Inf(1)
	for _, r := range group {
		median := r.figures[0]
		if math.IsNaN(median) {
			median = r.figures[2] // the mean
		}
		if median > 0 {
			typical = min(typical, median)
		}
	}
	last, known := t.units[group[0].name]
	if math.IsInf(typical, 1) {
		return last
	}
	if in := typical / durationUnits[last].scale; known && in >= 0.1 && in < 10_000 {
		return last
	}
	best := 0
	for i, unit := range durationUnits {
		if unit.scale <= typical {
			best = i
		}
	}
	return best
}

// cells returns the row's cells for the columns of its kind.
func (r *row) cells(elapsed time.Duration, scale float64) []string {
	sum := string(decimal.AppendShort(nil, r.count, r.decimals))
	count := []string{groupThousands(sum), formatRate(r.count, r.decimals, elapsed)}
	switch {
	case r.kind == metricsbuffer.KindCounter:
		return count
	case r.kind == metricsbuffer.KindGauge:
		return []string{formatValue(r.value)}
	case isDistribution(r.kind):
		for _, v := range r.figures {
			count = append(count, formatFigure(v/scale))
		}
		return count
	}
	return append(count, formatValue(r.value)) // a kind that is newer than this package
}

// widen widens the columns for the entries, and returns the width of the longest label that has room beside them.
func (s *section) widen(width int) (label int) {
	for _, e := range s.entries {
		for i, cell := range e.cells {
			s.widths[i] = max(s.widths[i], len(cell))
		}
	}
	_, room := s.fit(width)
	for _, e := range s.entries {
		if n := displayWidth(e.label); n <= room {
			label = max(label, n)
		}
	}
	return label
}

// fit returns how many columns there is room for, from the left, and how much room they leave for labels.
func (s *section) fit(width int) (columns, room int) {
	room = width
	for _, w := range s.widths {
		if columns > 0 && room-columnGap-w < minLabel {
			break
		}
		room -= columnGap + w
		columns++
	}
	return columns, max(room, minLabel)
}

// lines lays out the entries. A label that does not fit into its column stands on a line of its own.
func (s *section) lines(label, width int) []line {
	columns, room := s.fit(width)
	label = min(label, room)
	lines := []line{newLine(s.join(s.title, s.columns[:columns], label), heading)}
	for _, e := range s.entries {
		if e.cells == nil {
			lines = append(lines, newLine(e.label, e.style))
			continue
		}
		if displayWidth(e.label) > label {
			lines = append(lines, newLine(e.label, e.style))
			e.label = ""
		}
		lines = append(lines, newLine(s.join(e.label, e.cells[:columns], label), e.style))
	}
	return lines
}

func (s *section) join(label string, cells []string, width int) string {
	var b strings.Builder
	b.WriteString(label + strings.Repeat(" ", width-displayWidth(label)))
	for i, cell := range cells {
		fmt.Fprintf(&b, "%*s", columnGap+s.widths[i], cell)
	}
	return b.String()
}
