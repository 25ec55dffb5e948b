package promsink_test

import (
	"math"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A registry accepts the page with any strings, and its text is read back as the acknowledged points, with no others.
func FuzzPage(f *testing.F) {
	f.Add("jobs.done", "queue", "a", "jobs_done", int64(1), 1.5)
	f.Add("", "", "", "\x00", int64(7), -1.0)
	f.Fuzz(func(t *testing.T, name, key, value, other string, count int64, v float64) {
		buckets := &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: []uint64{2, 0, 0, 0, 5}}
		tags := []tag{{Key: key, Value: value}}
		batch := second(
			counter(name, count, tags...), counter(other, count, tags...), counter(name, count),
			gauge(name, v, tags...), gauge(other, v, tag{Key: other, Value: value}),
			metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: name, Tags: tags, Count: 8, Buckets: buckets},
			metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: other, Unit: value, Count: 8, Buckets: buckets},
		)
		sink := detached(t)
		_ = sink.Write(t.Context(), batch)
		require.Equal(t, len(batch.Points), batch.Acknowledged())

		registry := registryOf(sink)
		page := text(t, registry)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(page))
		require.NoError(t, err, page)

		want, wantCounters, observations := 0, float64(0), uint64(0)
		for i, p := range batch.Points {
			_, dropped := batch.Dropped(i)
			switch {
			case dropped:
				continue
			case p.Kind == metricsbuffer.KindCounter:
				if i == 1 && name == other && p.Count > math.MaxInt64-p.Count {
					wantCounters -= float64(p.Count) // the total begins anew
				}
				wantCounters += float64(p.Count)
			case p.Buckets != nil:
				observations += uint64(p.Count)
			}
			if i != 1 || name != other { // else it is the first's series again
				want++
			}
		}
		got, gotCounters := 0, float64(0)
		for _, family := range families {
			got += len(family.Metric)
			for _, m := range family.Metric {
				gotCounters += m.GetCounter().GetValue()
				observations -= m.GetHistogram().GetSampleCount()
				for _, label := range m.Label {
					require.Equal(t, value, label.GetValue())
				}
			}
		}
		if name != other || key != other {
			require.Equal(t, want, got, page)
		}
		require.InEpsilon(t, 1+wantCounters, 1+gotCounters, 1e-9)
		require.Zero(t, observations)
	})
}
