package cumulative

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
)

// The series of a point with an ID is found without its key, which takes time for each tag.
func TestFoundByID(t *testing.T) {
	var totals Totals[int]
	batch := &metricsbuffer.Batch{Start: time.Unix(1, 0), End: time.Unix(2, 0)}
	for i := range uint32(100) {
		tags := []metricsbuffer.Tag{{Key: "k", Value: strconv.Itoa(int(i))}}
		batch.Points = append(batch.Points,
			metricsbuffer.Point{Kind: metricsbuffer.KindCounter, Name: "jobs", Tags: tags, Count: 1, ID: 1 + i},
			metricsbuffer.Point{Kind: metricsbuffer.KindTimer, Name: "jobs", Tags: tags, Count: 1, ID: 1 + i})
	}
	require.NoError(t, totals.Add(batch))
	totals.key = nil
	require.NoError(t, totals.Add(batch))
	for i := range batch.Points {
		require.EqualValues(t, 2, totals.Find(&batch.Points[i]).Count)
	}
	require.Nil(t, totals.key, "a key was made")
}
