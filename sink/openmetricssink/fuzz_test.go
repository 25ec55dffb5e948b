package openmetricssink_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// Both texts are read back as the acknowledged points, with no others, for any strings.
func FuzzPage(f *testing.F) {
	f.Add("jobs.done", "queue", "a", "jobs_done", int64(1), 1.5)
	f.Add("", "", "", "\x00", int64(7), -1.0)
	f.Fuzz(func(t *testing.T, name, key, value, other string, count int64, v float64) {
		buckets := &metricsbuffer.Buckets{Zeros: 1, Offset: -1, Counts: []uint64{2, 0, 0, 0, 5}}
		tags := []tag{{Key: key, Value: value}}
		batch := second(
			counter(name, count, tags...), counter(other, count/2, tags...), counter(name, count),
			gauge(name, v, tags...), gauge(other, v, tag{Key: other, Value: value}),
			point{Kind: metricsbuffer.KindTimer, Name: name, Tags: tags, Count: 8, Sum: 9, Buckets: buckets},
			point{Kind: metricsbuffer.KindHistogram, Name: other, Unit: value, Count: 8, Sum: 9, Buckets: buckets},
		)
		sink := detached(t)
		_ = sink.Write(t.Context(), batch)
		require.Equal(t, len(batch.Points), batch.Acknowledged())

		want := make(map[string]float64) // by kind and name
		for i, p := range batch.Points {
			if _, dropped := batch.Dropped(i); dropped {
				continue
			}
			of := fmt.Sprint(p.Kind, p.Name)
			if i == 1 && name == other && count > 0 && count+count/2 < 0 || // the total begins anew
				i == 4 && name == other && key == other { // the same gauge
				want[of] = 0
			}
			want[of] += float64(p.Count) + p.Value
		}
		for _, accept := range []string{acceptClassic, acceptOpen} {
			page := get(t, sink, accept)
			families, err := parse(page, accept == acceptOpen)
			require.NoError(t, err, page)
			points, err := pointsOf(families)
			require.NoError(t, err, page)
			got := make(map[string]float64)
			for _, p := range points {
				got[fmt.Sprint(p.Kind, p.Name)] += float64(p.Count) + p.Value
				for _, l := range p.Tags {
					require.Equal(t, value, l.Value)
				}
			}
			require.Len(t, got, len(want), page)
			for key, v := range want {
				switch {
				case math.IsNaN(v) || math.IsInf(v, 0) || v == 0:
					require.Equal(t, fmt.Sprint(v+0), fmt.Sprint(got[key]+0), page)
				default:
					require.InEpsilon(t, v, got[key], 1e-9, page)
				}
			}
		}
	})
}
