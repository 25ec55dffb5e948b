package consolesink

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/visible"
)

// formatTags returns {key=value,…}, or "" without tags.
func formatTags(tags []metricsbuffer.Tag) string {
	var b strings.Builder
	for i, tag := range tags {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(formatWord(tag.Key) + "=" + formatWord(tag.Value))
	}
	if len(tags) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

// formatWord returns s if it is one plain word. It returns a quoted Go string if s is empty, contains a space or a
// character that gives a series its form, or anything that cannot be seen: control and formatting characters, blanks,
// and bytes that are not UTF-8.
func formatWord(s string) string {
	if quoted := visible.Quote(s); len(quoted) != len(s)+2 || s == "" || strings.ContainsAny(s, " {},=[]") {
		return quoted
	}
	return s
}

// formatTimes leaves out the second date if it is the same as the first.
func formatTimes(start, end time.Time) string {
	const date, clock = "2006-01-02 ", "15:04:05.000"
	layout := clock
	if start.Format(date) != end.Format(date) {
		layout = date + clock
	}
	return start.Format(date+clock) + " – " + end.Format(layout)
}

// formatDuration rounds to three significant digits, but not beyond a second.
func formatDuration(d time.Duration) string {
	unit := time.Duration(1)
	for unit < time.Second && d.Abs() >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

// formatRate returns count/10^decimals per second with at most as many significant digits as the count has: one event
// in 1.001 s is 1 per second, not 0.999. In a very short batch a rate would say nothing.
func formatRate(count int64, decimals int, elapsed time.Duration) string {
	if elapsed < 100*time.Millisecond {
		return "-"
	}
	rate := float64(count) / float64(decimal.Power(decimals)) / elapsed.Seconds()
	if digits := len(strings.TrimPrefix(strconv.FormatInt(count, 10), "-")); digits < 3 {
		rate, _ = strconv.ParseFloat(strconv.FormatFloat(rate, 'e', digits-1, 64), 64)
	}
	return formatFigure(rate)
}

// formatFigure rounds to three significant digits, but not beyond the decimal point. NaN is "-".
func formatFigure(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case size >= 100 || v == math.Trunc(v):
		return groupThousands(strconv.FormatFloat(v, 'f', 0, 64))
	case size < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 2, 64), 64)
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// formatValue returns the shortest digits that mean exactly v, without an exponent where they are easy to read.
func formatValue(v float64) string {
	if size := math.Abs(v); v == 0 || size >= 1e-4 && size < 1e15 {
		return groupThousands(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// groupThousands inserts commas into the integer part of a decimal number.
func groupThousands(s string) string {
	first := 0
	if strings.HasPrefix(s, "-") {
		first = 1
	}
	end := strings.IndexByte(s, '.')
	if end < 0 {
		end = len(s)
	}
	for i := end - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
