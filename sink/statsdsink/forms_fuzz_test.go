package statsdsink

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// In each form and for any name, every line of a timer or a histogram is one of its values, and the weights of the
// lines add up to its observations.
func FuzzForms(f *testing.F) {
	f.Add("name", "key", "value", "unit", byte(0), byte(0), uint64(3), uint64(49))
	f.Add("a:1|c\nb", "k|#", "v,x:y", "|", byte(1), byte(1), uint64(1<<27), uint64(1))
	f.Add("a.hist-u", "_x_", "\xff", "u", byte(2), byte(2), uint64(0), uint64(65537))
	f.Add("c", "", "", "", byte(3), byte(7), uint64(math.MaxUint64), uint64(0))
	f.Fuzz(func(t *testing.T, name, key, value, unit string, form, how byte, n, zeros uint64) {
		forms := [][]Option{
			{WithTimers(Timings)}, dialect(true, WithTimers(Timings)), {WithTimers(Histograms)},
			{WithTimers(Distributions), WithPacking(), WithContainerID("id")},
		}
		p := point{
			Name: name, Tags: tags{tag(key, value)}, Kind: timer, Max: math.MaxInt64,
			Buckets: &buckets{Zeros: zeros, Offset: int(how), Counts: []uint64{n >> 20, 0, n}},
		}
		opts := forms[int(form)%len(forms)]
		if how&1 != 0 && int(form)%len(forms) >= 2 {
			p.Kind, p.Unit = metricsbuffer.KindHistogram, unit
		}
		var want, got float64
		for _, n := range []uint64{zeros, n >> 20, n} {
			want += float64(n)
		}
		var lines strings.Builder
		s, err := NewWriter(&lines, append(opts, WithMaxPacket(65507))...)
		require.NoError(t, err)
		batch := &metricsbuffer.Batch{Points: []point{p}}
		require.NoError(t, s.Write(t.Context(), batch))
		if reason, dropped := batch.Dropped(0); dropped {
			require.Equal(t, tooLong, reason)
			return
		}
		e := &s.encoder
		for line := range strings.Lines(lines.String()) {
			line = strings.TrimSuffix(line, "\n")
			before, rest, _ := strings.Cut(line, ":")
			ownName, _, _ := strings.Cut(before, ";")
			if p.Kind == metricsbuffer.KindHistogram {
				suffix := ".hist"
				if unit != "" {
					suffix += "-" + escapedUnit(unit)
				}
				require.True(t, strings.HasSuffix(ownName, suffix), line)
				ownName = strings.TrimSuffix(ownName, suffix)
			} else if !e.graphite && e.form >= Histograms {
				require.NotRegexp(t, `\.hist(-[A-Za-z0-9_]*)?$`, ownName, "a histogram's")
			}
			require.Equal(t, name, unescape(ownName))
			fields := strings.Split(rest, "|")
			weight := 1.0
			tagged := before
			for _, field := range fields[2:] {
				switch field[0] {
				case '@':
					rate, err := strconv.ParseFloat(field[1:], 64)
					require.NoError(t, err, line)
					weight = 1 / rate
				case '#':
					tagged = field[1:]
				default:
					require.Equal(t, "c:id", field)
				}
			}
			if e.graphite {
				_, tagged, _ = strings.Cut(before, ";")
			}
			k, v, _ := strings.Cut(strings.ReplaceAll(tagged, "=", ":"), ":")
			require.Equal(t, []string{key, value}, []string{unescape(k), unescape(v)}, line)
			for written := range strings.SplitSeq(fields[0], ":") {
				_, err := strconv.ParseFloat(written, 64)
				require.NoError(t, err, line)
				got += weight
			}
		}
		require.InDelta(t, want, got, want/1e9) // float64 cannot add them exactly
	})
}
