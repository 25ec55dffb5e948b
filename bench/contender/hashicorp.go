package contender

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/hashicorp/go-metrics"
)

func hashicorpInmem() Contender {
	return Contender{
		Name: "hashicorp/go-metrics", Module: "github.com/hashicorp/go-metrics",
		How: "InmemSink, the one of its sinks that aggregates; all is by name, for it has no handles, with keys and labels " +
			"that are prepared; text is the JSON of DisplayMetrics, totals of all series",
		Without: Reasons{"vector": "labels are given with the name: see by name with two tags"}.
			countersOnly("InmemSink keeps no quantiles"),
		Open: func(output Output) (Instance, error) {
			h := &hashicorp{sink: metrics.NewInmemSink(24*time.Hour, 10*24*time.Hour), output: output}
			config := metrics.DefaultConfig("")
			config.EnableHostname, config.EnableRuntimeMetrics = false, false
			var err error
			h.metrics, err = metrics.New(config, h.sink)
			return h, err
		},
	}
}

type hashicorp struct {
	metrics *metrics.Metrics
	sink    *metrics.InmemSink
	output  Output
}

func (h *hashicorp) Close() error {
	defer h.metrics.Shutdown()
	return finally(h.output, h.Report)
}

func (h *hashicorp) Counters(names []string) Loop { return h.Named(names) }

//go:noinline
func (h *hashicorp) Named(names []string) Loop {
	keys := handles(names, func(name string) []string { return []string{name} })
	return func(_ int, order []uint32) { each(order, func(i uint32) { h.metrics.IncrCounter(keys[i], 1) }) }
}

func (h *hashicorp) Tagged(name string, labels []Labels) Loop {
	key, tags := []string{name}, make([][]metrics.Label, len(labels))
	for i, l := range labels {
		tags[i] = []metrics.Label{{Name: LabelA, Value: l.A}, {Name: LabelB, Value: l.B}}
	}
	return func(_ int, order []uint32) {
		each(order, func(i uint32) { h.metrics.IncrCounterWithLabels(key, 1, tags[i]) })
	}
}

func (h *hashicorp) Export(w io.Writer) error {
	summary, err := h.sink.DisplayMetrics(nil, nil)
	return errors.Join(err, json.NewEncoder(w).Encode(summary))
}

// Report reports the totals of the current interval, which is longer than an audit; intervals are not reset.
func (h *hashicorp) Report() error {
	var reports []Report
	for _, interval := range h.sink.Data() {
		interval.RLock()
		for name, sample := range interval.Counters {
			reports = append(reports, Report{Name: name, Value: int64(sample.Sum), Total: true})
		}
		interval.RUnlock()
	}
	return h.output(reports)
}
