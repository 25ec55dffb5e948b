package consolesink

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
)

// A row is a point and its printed series.
type row struct {
	series string
	point  *metricsbuffer.Point
}

// printTable prints the batch with at most maxRows rows (0 or less: all), and an empty line after it.
func printTable(out *bytes.Buffer, batch *metricsbuffer.Batch, maxRows int) {
	rows := make([]row, len(batch.Points))
	for i := range batch.Points {
		point := &batch.Points[i]
		rows[i] = row{formatSeries(point.Name, point.Tags), point}
		if point.Unit != "" {
			rows[i].series += " [" + formatWord(point.Unit) + "]"
		}
	}
	leftOut := 0
	if maxRows > 0 && len(rows) > maxRows {
		leftOut = len(rows) - maxRows
		slices.SortFunc(rows, busiestFirst)
		rows = rows[:maxRows]
	}
	slices.SortFunc(rows, bySeries)

	fmt.Fprintf(out, "%s  %s  %s\n", formatTimes(batch.Start, batch.End),
		formatDuration(batch.End.Sub(batch.Start)), plural(len(batch.Points), "point"))
	printAligned(out, rows, batch.End.Sub(batch.Start))
	if leftOut > 0 {
		fmt.Fprintf(out, "… and %d more series, those with the smallest counts\n", leftOut)
	}
	out.WriteByte('\n')
}

// columns are a row's cells before the series, which stands last.
type columns [7]string

var titles = columns{"KIND", "COUNT", "RATE/S", "MEAN", "MIN", "MAX", "VALUE"}

func printAligned(out *bytes.Buffer, rows []row, elapsed time.Duration) {
	lines := make([]columns, 1, 1+len(rows))
	lines[0] = titles
	series := []string{"SERIES"}
	for _, r := range rows {
		lines = append(lines, columnsOf(r.point, elapsed))
		series = append(series, r.series)
	}
	var widths [len(titles)]int
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(out, "%*s  ", widths[i], cell)
		}
		fmt.Fprintln(out, series[n])
	}
}

// columnsOf returns a point's columns. A kind this package does not know shows what it has of a count and a value.
func columnsOf(p *metricsbuffer.Point, elapsed time.Duration) columns {
	count, rate, mean, least, most, value := "-", "-", "-", "-", "-", "-"
	if p.Kind == metricsbuffer.KindCounter || p.Kind == metricsbuffer.KindTimer || p.Count != 0 {
		count = strconv.FormatInt(p.Count, 10)
		if elapsed > 0 {
			rate = formatRate(float64(p.Count) / elapsed.Seconds())
		}
	}
	if p.Kind == metricsbuffer.KindTimer && p.Count > 0 {
		mean = formatDuration(time.Duration(p.Sum / p.Count))
		least, most = formatDuration(time.Duration(p.Min)), formatDuration(time.Duration(p.Max))
	}
	if p.Kind == metricsbuffer.KindGauge || p.Value != 0 {
		value = formatValue(p.Value)
	}
	return columns{p.Kind.String(), count, rate, mean, least, most, value}
}

// bySeries orders rows as they are printed. Kinds may share a series' name.
func bySeries(a, b row) int {
	return cmp.Or(strings.Compare(a.series, b.series), cmp.Compare(a.point.Kind, b.point.Kind))
}

// busiestFirst orders rows by which is kept when there are too many, the same way every time.
func busiestFirst(a, b row) int {
	return cmp.Or(cmp.Compare(updates(b.point), updates(a.point)), bySeries(a, b))
}

// updates estimates how much was recorded in a series: a counter's sum may be negative, and a gauge has no count.
func updates(p *metricsbuffer.Point) float64 {
	return max(math.Abs(float64(p.Count)), 1)
}

// formatSeries returns name{key=value,…}.
func formatSeries(name string, tags []metricsbuffer.Tag) string {
	var b strings.Builder
	b.WriteString(formatWord(name))
	for i, tag := range tags {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(formatWord(tag.Key) + "=" + formatWord(tag.Value))
	}
	if len(tags) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

// formatWord returns s as it is if it is one plain word, and a quoted Go string if it is empty, holds what does not
// print (control and formatting characters, bytes that are not UTF-8), a space, or what gives a series its form.
func formatWord(s string) string {
	if quoted := strconv.Quote(s); len(quoted) != len(s)+2 || s == "" || strings.ContainsAny(s, " {},=[]") {
		return quoted
	}
	return s
}

// formatTimes leaves out the second date where it is the first.
func formatTimes(start, end time.Time) string {
	const date, clock = "2006-01-02 ", "15:04:05.000"
	layout := clock
	if start.Format(date) != end.Format(date) {
		layout = date + clock
	}
	return start.Format(date+clock) + " – " + end.Format(layout)
}

// formatDuration rounds to three significant digits, but to nothing coarser than a second.
func formatDuration(d time.Duration) string {
	unit := time.Duration(1)
	for unit < time.Second && d.Abs() >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

// formatRate rounds to three significant digits, but to nothing coarser than a whole number.
func formatRate(rate float64) string {
	if math.Abs(rate) >= 100 || rate == math.Trunc(rate) {
		return strconv.FormatFloat(rate, 'f', 0, 64)
	}
	return strconv.FormatFloat(rate, 'g', 3, 64)
}

// formatValue returns the shortest digits that mean exactly v, without an exponent where they are easy to read.
func formatValue(v float64) string {
	if size := math.Abs(v); v == 0 || size >= 1e-4 && size < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
