package audit

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/bench/contender"
)

// A broken contender forgets, or repeats, some of its counts. The audit must see it.
type broken struct {
	output contender.Output
	words  [series]atomic.Int64
	names  []string
	wrong  func(int64) int64 // the value that it reports for a count
}

func (b *broken) Close() error           { return b.Report() }
func (b *broken) Export(io.Writer) error { return nil }

func (b *broken) Counters(names []string) contender.Loop {
	b.names = names
	return func(_ int, order []uint32) {
		for _, i := range order {
			b.words[i].Add(1)
		}
	}
}

func (b *broken) Report() error {
	var reports []contender.Report
	for i := range b.words {
		if v := b.words[i].Swap(0); v != 0 {
			reports = append(reports, contender.Report{Name: b.names[i], Value: b.wrong(v)})
		}
	}
	return b.output(reports)
}

func audited(t *testing.T, wrong func(int64) int64) []string {
	t.Helper()
	findings, err := Run(contender.Contender{Open: func(output contender.Output) (contender.Instance, error) {
		return &broken{output: output, wrong: wrong}, nil
	}}, 20*time.Millisecond)
	require.NoError(t, err)
	var outcomes []string
	for _, f := range findings {
		switch {
		case f.Lost > 0 && f.Doubled > 0:
			outcomes = append(outcomes, "both")
		case f.Lost > 0:
			outcomes = append(outcomes, "lost")
		case f.Doubled > 0:
			outcomes = append(outcomes, "doubled")
		default:
			require.True(t, f.Exact())
			outcomes = append(outcomes, "exact")
		}
	}
	return outcomes
}

func TestTheAuditSeesWhatIsWrong(t *testing.T) {
	// It takes the counts first, and loses them when the output fails.
	require.Equal(t, []string{"exact", "exact", "lost", "exact"}, audited(t, func(v int64) int64 { return v }))
	require.Equal(t, "lost", audited(t, func(v int64) int64 { return v - 1 })[0])
	require.Equal(t, "doubled", audited(t, func(v int64) int64 { return 2 * v })[0])
}

func TestThisLibraryIsExact(t *testing.T) {
	for _, c := range contender.All() {
		if !c.Ours || c.BuildBy != "" {
			continue
		}
		findings, err := Run(c, 50*time.Millisecond)
		require.NoError(t, err)
		for _, f := range findings {
			require.True(t, f.Exact(), "%+v", f)
			require.Positive(t, f.Recorded)
		}
	}
}
