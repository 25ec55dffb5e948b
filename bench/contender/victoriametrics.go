package contender

import (
	"io"
	"net/http"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

func victoriaMetrics() Contender {
	return Contender{
		Name: "VictoriaMetrics", Module: "github.com/VictoriaMetrics/metrics",
		How: "a Set; by name with GetOrCreateCounter, tags in the name as its documentation shows; Histogram; " +
			"text by WritePrometheus, totals of all series",
		Without: Reasons{"vector": "labels are part of the name: see by name with two tags"},
		Open: func(output Output) (Instance, error) {
			return &victoria{set: metrics.NewSet(), totals: totals{output: output}}, nil
		},
	}
}

type victoria struct {
	set *metrics.Set
	totals
}

func (v *victoria) Counters(names []string) Loop {
	counters := handles(names, v.set.NewCounter)
	v.of(names, func(i int) int64 { return int64(counters[i].Get()) })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (v *victoria) Named(names []string) Loop {
	return func(_ int, order []uint32) { each(order, func(i uint32) { v.set.GetOrCreateCounter(names[i]).Inc() }) }
}

func (v *victoria) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			l := &labels[i]
			v.set.GetOrCreateCounter(name + `{` + LabelA + `="` + l.A + `",` + LabelB + `="` + l.B + `"}`).Inc()
		})
	}
}

func (v *victoria) Timer(name string) Loop {
	histogram := v.set.NewHistogram(name)
	return func(_ int, order []uint32) { each(order, func(d uint32) { histogram.Update(float64(d) / 1e9) }) }
}

func (v *victoria) Stopwatch() Loop {
	histogram := v.set.NewHistogram("latency")
	return func(_ int, order []uint32) { each(order, func(uint32) { histogram.UpdateDuration(time.Now()) }) }
}

func (v *victoria) Group() Loop {
	requests, bytes, latency := v.set.NewCounter("requests"), v.set.NewCounter("bytes"), v.set.NewHistogram("latency")
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Update(float64(d) / 1e9)
		})
	}
}

func (v *victoria) Request() Loop {
	requests, bytes := v.set.NewCounter("requests"), v.set.NewCounter("bytes")
	latency, inflight := v.set.NewHistogram("latency"), v.set.NewGauge("inflight", nil)
	return func(_ int, order []uint32) {
		each(order, func(d uint32) {
			requests.Inc()
			bytes.Add(512)
			latency.Update(float64(d) / 1e9)
			inflight.Set(float64(d))
		})
	}
}

func (v *victoria) Export(w io.Writer) error {
	v.set.WritePrometheus(w)
	return nil
}

func (v *victoria) Page(values []string) (Loop, http.Handler) {
	counters := handles(values, func(value string) *metrics.Counter {
		return v.set.NewCounter(PageName + `_total{` + LabelA + `="` + value + `"}`)
	})
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) },
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { v.set.WritePrometheus(w) })
}
