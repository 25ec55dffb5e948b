package pagesink

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
	shown "github.com/metricsbuffer/metricsbuffer/sink/internal/visible"
)

// The events, in the order in which a browser gets them:
//
//	series  [[id, kind, name, unit, [[key, value], …], help], …]  series that are new, or have another unit or help
//	rows    {"seconds": 1.0, "rows": [row, …]}                    totals of the series that changed, and the change
//	ended   [id, …]                                               series that were forgotten
//	tick    account                                               the interval is complete: see tick
//	end     null                                                  the buffer is closed
//
// A row is one of
//
//	[id, count, delta]                                        counter
//	[id, value]                                               gauge
//	[id, count, delta, sum, min, max, p50, p90, p99, heat]    timer, histogram
//
// where count, sum, min, max and value are totals, and the rest is of the batch. "seconds" is the time of the batch.
// It is 0 in the events of the totals with which each viewer begins; these have the quantiles of all observations and
// no heat. An integer beyond 2^53, a value that is no number, and the count and delta of a counter of fractions are
// strings.

// chunk is the number of series in one event. A browser handles each event by itself, so that it stays responsive.
const chunk = 250

var endEvent = []byte("event: end\ndata: null\n\n")

// An event is built by appending to it.
type event []byte

func begin(name string) event { return event("event: " + name + "\ndata: ") }

// allEvents returns all series with their totals. s.mu is locked.
func (s *Sink) allEvents() message {
	all := make([]*series, 0, s.totals.Len())
	for total := range s.totals.All() {
		all = append(all, total)
	}
	events := message{[]byte("retry: 1000\n\n")}
	for len(all) > 0 {
		n := min(chunk, len(all))
		events = append(events, seriesEvent(all[:n]))
		e := rows(0)
		for _, total := range all[:n] {
			e = e.row(total, &total.Point, false)
		}
		events = append(events, e.endRows())
		all = all[n:]
	}
	return events
}

// changeEvents returns the changes since the last call. s.mu is locked.
func (s *Sink) changeEvents() (events message) {
	for described := s.changes.described; len(described) > 0; {
		n := min(chunk, len(described))
		events = append(events, seriesEvent(described[:n]))
		described = described[n:]
	}
	if len(s.changes.ended) > 0 {
		events = append(events, begin("ended").json(s.changes.ended).end())
	}
	s.changes = changes{}
	return events
}

// updateEvents returns the changes and the rows of a batch that was added to the totals. s.mu is locked.
func (s *Sink) updateEvents(batch *metricsbuffer.Batch) message {
	events := s.changeEvents()
	seconds := max(batch.End.Sub(batch.Start).Seconds(), 1e-3)
	for points := batch.Points; len(points) > 0; {
		n := min(chunk, len(points))
		e := rows(seconds)
		for i := range points[:n] {
			if total := s.totals.Find(&points[i]); total != nil {
				e = e.row(total, &points[i], true)
			}
		}
		events = append(events, e.endRows())
		points = points[n:]
		seconds = 0 // the batch is one, in several events
	}
	return events
}

func seriesEvent(all []*series) []byte {
	e := append(begin("series"), '[')
	for i, total := range all {
		if i > 0 {
			e = append(e, ',')
		}
		e = strconv.AppendUint(append(e, '['), uint64(total.Detail), 10)
		e = append(e, ',').json(total.Kind.String())
		e = append(e, ',').json(visible(total.Name))
		e = append(e, ',').json(visibleOrEmpty(total.Unit))
		tags := make([][2]string, len(total.Tags))
		for i, tag := range total.Tags {
			tags[i] = [2]string{visible(tag.Key), visible(tag.Value)}
		}
		e = append(e, ',').json(tags)
		e = append(append(e, ',').json(visibleOrEmpty(total.Help)), ']')
	}
	return append(e, ']').end()
}

// rows begins an event of rows.
func rows(seconds float64) event {
	e := append(begin("rows"), `{"seconds":`...)
	return append(e.number(seconds), `,"rows":[`...)
}

func (e event) endRows() []byte { return append(e, "]}"...).end() }

// row appends the row of a total that has changed by p.
func (e event) row(total *series, p *metricsbuffer.Point, live bool) event {
	if e[len(e)-1] == ']' {
		e = append(e, ',')
	}
	e = strconv.AppendUint(append(e, '['), uint64(total.Detail), 10)
	switch total.Kind {
	case metricsbuffer.KindGauge:
		return append(append(e, ',').number(total.Value), ']')
	case metricsbuffer.KindCounter:
		return append(append(append(e, ',').amount(&total.Point), ',').amount(p), ']')
	}
	for _, n := range [...]int64{total.Count, p.Count, total.Sum, total.Min, total.Max} {
		e = append(e, ',').integer(n)
	}
	for _, q := range [...]float64{0.5, 0.9, 0.99} {
		e = append(e, ',').number(p.Quantile(q))
	}
	if !live {
		return append(e, `,""]`...)
	}
	return append(append(append(e, ',', '"').heat(p.Buckets), '"'), ']')
}

// heatScale is how many bits of the buckets' scale are left out: 16 buckets per power of two become 4.
const heatScale = metricsbuffer.BucketScale - 2

// heat appends "zeros;first:count,count,…". The cell first+i has observations in (2^((first+i)/4), 2^((first+i+1)/4)].
func (e event) heat(b *metricsbuffer.Buckets) event {
	if b == nil {
		return e
	}
	if b.Zeros > 0 {
		e = append(strconv.AppendUint(e, b.Zeros, 10), ';')
	}
	cell, sum, empty, first := 0, uint64(0), 0, true
	write := func() {
		switch {
		case sum == 0 && !first:
			empty++
		case sum == 0:
		case first:
			e = append(strconv.AppendInt(e, int64(cell), 10), ':')
			e = strconv.AppendUint(e, sum, 10)
			first = false
		default:
			for range empty {
				e = append(e, ',', '0')
			}
			e = strconv.AppendUint(append(e, ','), sum, 10)
			empty = 0
		}
		sum = 0
	}
	for i, n := range b.Counts {
		if at := (b.Offset + i) >> heatScale; i == 0 {
			cell = at
		} else if at != cell {
			write()
			cell = at
		}
		sum += n
	}
	write()
	return e
}

// amount appends the sum of a counter: of fractions, as a string, because JavaScript would write a small number with an
// exponent.
func (e event) amount(p *metricsbuffer.Point) event {
	if p.Decimals == 0 {
		return e.integer(p.Count)
	}
	return append(p.AppendAmount(append(e, '"')), '"')
}

// integer appends an integer that JavaScript reads without a loss.
func (e event) integer(n int64) event {
	if n > 1<<53 || n < -1<<53 {
		return append(strconv.AppendInt(append(e, '"'), n, 10), '"')
	}
	return strconv.AppendInt(e, n, 10)
}

// number appends a number, or its name as a string.
func (e event) number(v float64) event {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(strconv.AppendFloat(append(e, '"'), v, 'g', -1, 64), '"')
	}
	return strconv.AppendFloat(e, v, 'g', -1, 64)
}

func (e event) json(v any) event {
	text, err := json.Marshal(v)
	if err != nil { // only strings, numbers and lists of them are given
		panic("pagesink: " + err.Error())
	}
	return append(e, text...)
}

// end completes an event.
func (e event) end() []byte { return append(e, "\n\n"...) }

// visible returns a string that can be told from every other one by its visible characters.
func visible(s string) string {
	if s == "" || s[0] == '"' || s[0] == ' ' || s[len(s)-1] == ' ' || strings.Contains(s, "  ") || !utf8.ValidString(s) {
		return shown.Quote(s)
	}
	for _, r := range s {
		if !shown.Rune(r) {
			return shown.Quote(s)
		}
	}
	return s
}

// visibleOrEmpty leaves an empty unit or help text as it is: it is the normal one.
func visibleOrEmpty(s string) string {
	if s == "" {
		return ""
	}
	return visible(s)
}
