package jsonsink

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// A Write makes the text of a series once: it takes another text that the test puts in its place. To make a text again
// would give the same line, and would not allocate.
func TestTextsAreKept(t *testing.T) {
	var out bytes.Buffer
	sink, err := New(&out)
	require.NoError(t, err)
	batch := new(metricsbuffer.Batch)
	for i := range uint32(100) {
		tags := []metricsbuffer.Tag{{Key: "k", Value: strconv.Itoa(int(i))}}
		batch.Points = append(batch.Points,
			metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "jobs", Tags: tags, ID: 1 + i},
			metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: "jobs", Tags: tags, ID: 1 + i})
	}
	require.NoError(t, sink.Write(t.Context(), batch))
	for i := range batch.Points {
		kept, known := sink.texts.Of(&batch.Points[i])
		require.True(t, known)
		*kept = text(`,"kept":` + strconv.Itoa(i))
	}
	out.Reset()
	require.NoError(t, sink.Write(t.Context(), batch))
	lines := bytes.Split(out.Bytes(), []byte("\n"))
	for i := range batch.Points {
		require.Contains(t, string(lines[i]), `","kept":`+strconv.Itoa(i)+`,"count":`)
	}
}
