package sinktest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

// Line returns a point as one line: its series, and its count, or the value of a gauge.
//
//	counter sold{fruit=apple} 5
//	counter cost{fruit=apple} 2.50
//	gauge queue 2.5
//	timer latency{route=/,status=200} 17
//	histogram size[bytes] 17
//
// A name, key, value or unit is quoted as in Go if it is empty or contains anything but letters, digits and signs
// without a meaning here. A histogram's unit is left out if it is empty. A count has all decimals of its series.
// Different series have different lines.
func Line(p metricsbuffer.Point) string {
	if p.Kind == metricsbuffer.KindGauge {
		return lineSeries(&p) + " " + strconv.FormatFloat(p.Value, 'g', -1, 64)
	}
	return lineSeries(&p) + " " + string(decimal.Append(nil, p.Count, p.Decimals))
}

func lineSeries(p *metricsbuffer.Point) string {
	var b strings.Builder
	b.WriteString(p.Kind.String() + " " + word(p.Name))
	if unit := unitOf(p); unit != "" {
		b.WriteString("[" + word(unit) + "]")
	}
	for i, tag := range p.Tags {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(word(tag.Key) + "=" + word(tag.Value))
	}
	if len(p.Tags) > 0 {
		b.WriteByte('}')
	}
	return b.String()
}

func word(s string) string {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_.-/:%+@*", r) {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// unknown returns the error for a series that is not among the known ones. It lists those that come nearest: a name
// that differs in a few letters, or other tags, another unit or another kind. Of one name, those with similar tags and
// unit come first.
func unknown(wanted *metricsbuffer.Point, known []metricsbuffer.Point) error {
	if len(known) == 0 {
		return fmt.Errorf("sinktest: %s was not recorded, nor any other series: flush the buffer first", lineSeries(wanted))
	}
	near := slices.Clone(known)
	distance := func(p *metricsbuffer.Point) int { return editDistance(wanted.Name, p.Name) }
	rest := func(p metricsbuffer.Point) string {
		p.Name = ""
		return lineSeries(&p)
	}
	slices.SortStableFunc(near, func(a, b metricsbuffer.Point) int {
		if byName := distance(&a) - distance(&b); byName != 0 {
			return byName
		}
		return editDistance(rest(*wanted), rest(a)) - editDistance(rest(*wanted), rest(b))
	})
	near = slices.DeleteFunc(near, func(p metricsbuffer.Point) bool {
		return distance(&p) > max(2, min(len(wanted.Name), len(p.Name))/3)
	})
	which := "the nearest"
	if len(near) == 0 {
		near, which = known, "none with a similar name"
	}
	const shown = 5
	more := ""
	if len(near) > shown {
		near, more = near[:shown], ", …"
	}
	names := make([]string, len(near))
	for i := range near {
		names[i] = lineSeries(&near[i])
	}
	return fmt.Errorf("sinktest: %s was not recorded; of %d series, %s: %s",
		lineSeries(wanted), len(known), which, strings.Join(names, ", ")+more)
}

// editDistance is how many bytes must be added, removed or replaced to make a out of b (Levenshtein). Only the first 64
// bytes count.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1) // of the beginning of a to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
