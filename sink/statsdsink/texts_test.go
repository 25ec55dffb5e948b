package statsdsink

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Write makes the text of a series once: it takes another text that the test puts in its place. To make a text again
// would give the same lines, and would not allocate.
func TestTextsAreKept(t *testing.T) {
	var out strings.Builder
	sink, err := NewWriter(&out)
	require.NoError(t, err)
	batch := new(metricsbuffer.Batch)
	for i := range uint32(100) {
		tags := tags{tag("k", strconv.Itoa(int(i)))}
		batch.Points = append(batch.Points,
			point{Kind: counter, Name: "jobs", Tags: tags, ID: 1 + i, Count: 1},
			point{Kind: gauge, Name: "jobs", Tags: tags, ID: 1 + i, Value: 1})
	}
	require.NoError(t, sink.Write(t.Context(), batch))
	for i := range batch.Points {
		kept, known := sink.encoder.texts.Of(&batch.Points[i])
		require.True(t, known)
		name := "kept" + strconv.Itoa(i)
		*kept = text{[]byte(name), len(name)}
	}
	out.Reset()
	require.NoError(t, sink.Write(t.Context(), batch))
	for i := range batch.Points {
		require.Contains(t, out.String(), "kept"+strconv.Itoa(i)+":1|")
	}
	require.NotContains(t, out.String(), "jobs")
}
