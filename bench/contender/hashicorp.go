package contender

import (
	"encoding/json"
	"io"
	"time"

	"github.com/hashicorp/go-metrics"
)

func hashicorpInmem() Contender {
	return Contender{
		Name: "hashicorp/go-metrics", Module: "github.com/hashicorp/go-metrics",
		How: "InmemSink, the one of its sinks that aggregates; all is by name, for it has no handles, with keys and labels " +
			"that are prepared; text is the JSON of DisplayMetrics, totals of all series",
		Without: map[string]string{
			"vector": "labels are given with the name: see by name with two tags",
			"timer":  "InmemSink keeps no quantiles", "request": "InmemSink keeps no quantiles",
		},
		Open: openHashicorp,
	}
}

type hashicorp struct {
	metrics *metrics.Metrics
	sink    *metrics.InmemSink
	output  Output
}

func openHashicorp(output Output) (Instance, error) {
	sink := metrics.NewInmemSink(24*time.Hour, 10*24*time.Hour)
	config := metrics.DefaultConfig("")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false
	m, err := metrics.New(config, sink)
	return &hashicorp{m, sink, output}, err
}

func (h *hashicorp) Limits() Limits { return Limits{} }

func (h *hashicorp) Close() error {
	if h.output != nil {
		if err := h.Report(); err != nil {
			return err
		}
	}
	h.metrics.Shutdown()
	return nil
}

func (h *hashicorp) Counters(names []string) Loop { return h.Named(names) }

func (h *hashicorp) Named(names []string) Loop {
	keys := make([][]string, len(names))
	for i, name := range names {
		keys[i] = []string{name}
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			h.metrics.IncrCounter(keys[i], 1)
		}
	}
}

func (h *hashicorp) Tagged(name string, labels []Labels) Loop {
	key, tags := []string{name}, make([][]metrics.Label, len(labels))
	for i, l := range labels {
		tags[i] = []metrics.Label{{Name: LabelA, Value: l.A}, {Name: LabelB, Value: l.B}}
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			h.metrics.IncrCounterWithLabels(key, 1, tags[i])
		}
	}
}

func (h *hashicorp) Export(w io.Writer) error {
	summary, err := h.sink.DisplayMetrics(nil, nil)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(summary)
}

// Report reports the totals of the current interval, which is longer than an audit; intervals are not reset.
func (h *hashicorp) Report() error {
	totals := make(map[string]int64)
	for _, interval := range h.sink.Data() {
		interval.RLock()
		for name, sample := range interval.Counters {
			totals[name] += int64(sample.Sum)
		}
		interval.RUnlock()
	}
	reports := make([]Report, 0, len(totals))
	for name, v := range totals {
		reports = append(reports, Report{Name: name, Value: v, Total: true})
	}
	return h.output(reports)
}
