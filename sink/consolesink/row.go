package consolesink

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/internal/decimal"
)

// A row is one series of a table.
type row struct {
	series
	count   int64 // of a counter of fractions, in steps
	figures figures
	value   float64
	quiet   int                  // the number of batches since the series was last in one
	point   *metricsbuffer.Point // from which figures are yet to be calculated, or nil
}

// A series identifies a row. All strings are ready to be printed.
type series struct {
	kind             metricsbuffer.Kind
	name, unit, tags string // tags are "" or "{key=value,…}"
	decimals         int
}

// figures are p50, p99, mean, min and max of a timer in nanoseconds, or of a histogram in its unit; NaN if not known.
type figures [5]float64

var noFigures = figures{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}

func rowsOf(points []metricsbuffer.Point) []row {
	rows := make([]row, len(points))
	for i := range points {
		p := &points[i]
		r := row{
			series: series{kind: p.Kind, name: formatWord(p.Name), tags: formatTags(p.Tags), decimals: p.Decimals},
			count:  p.Count, value: p.Value, figures: noFigures, point: p,
		}
		if p.Kind == metricsbuffer.KindHistogram && p.Unit != "" {
			r.unit = formatWord(p.Unit)
		}
		rows[i] = r
	}
	return rows
}

// calculate sets the figures. Quantiles take time, so only rows that are printed have them.
func (r *row) calculate() {
	if p := r.point; p != nil && isDistribution(p.Kind) && p.Count > 0 {
		r.figures = figures{p.Quantile(0.5), p.Quantile(0.99),
			float64(p.Sum) / float64(p.Count), float64(p.Min), float64(p.Max)}
	}
	r.point = nil // it belongs to the batch
}

func isDistribution(kind metricsbuffer.Kind) bool {
	return kind == metricsbuffer.KindTimer || kind == metricsbuffer.KindHistogram
}

// limitRows sorts the rows as they are printed and keeps the n busiest (0: all). It returns also how many of the others
// had an update in the batch.
func limitRows(rows []row, n int) (kept []row, leftOut int) {
	if n > 0 && len(rows) > n {
		slices.SortFunc(rows, busiestFirst)
		for _, r := range rows[n:] {
			if r.quiet == 0 {
				leftOut++
			}
		}
		rows = rows[:n]
	}
	slices.SortFunc(rows, inOrder)
	for i := range rows {
		rows[i].calculate()
	}
	return rows, leftOut
}

// inOrder sorts by kind, name, unit, tags and decimals.
func inOrder(a, b row) int {
	return cmp.Or(cmp.Compare(rank(a.kind), rank(b.kind)), strings.Compare(a.name, b.name),
		strings.Compare(a.unit, b.unit), strings.Compare(a.tags, b.tags), cmp.Compare(a.decimals, b.decimals))
}

// rank puts counters, timers, histograms and gauges in this order, before any other kind.
func rank(kind metricsbuffer.Kind) int {
	order := []metricsbuffer.Kind{
		metricsbuffer.KindCounter, metricsbuffer.KindTimer, metricsbuffer.KindHistogram, metricsbuffer.KindGauge,
	}
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order) + int(kind)
}

// busiestFirst decides which rows are kept. It is a total order, so that the choice is the same each time.
func busiestFirst(a, b row) int {
	return cmp.Or(cmp.Compare(b.updates(), a.updates()), inOrder(a, b))
}

// updates estimates how often the series was updated. A gauge has no count, and that of a counter may be negative.
func (r *row) updates() float64 {
	if r.quiet > 0 {
		return 0
	}
	return max(math.Abs(float64(r.count)/float64(decimal.Power(r.decimals))), 1)
}

// carryOver returns the rows of the last table that the new one lacks, as rows without an update. It forgets those that
// have had none for a minute's worth of batches.
func carryOver(last, rows []row) (quiet []row) {
	missing := make(map[series]*row, len(last))
	for i := range last {
		missing[last[i].series] = &last[i]
	}
	for i := range rows {
		delete(missing, rows[i].series)
	}
	for _, r := range missing {
		const patience = 60
		if r.quiet < patience {
			quiet = append(quiet, row{series: r.series, value: r.value, figures: noFigures, quiet: r.quiet + 1})
		}
	}
	return quiet
}
