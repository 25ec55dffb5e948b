package sinktest

import (
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
)

// newSeries returns a series of each kind as a buffer delivers them before anything is recorded in them. The first two
// are those of [some].
func newSeries(id uint32) []metricsbuffer.Point {
	points := some(0).Points
	points = append(points,
		metricsbuffer.Point{Kind: metricsbuffer.KindGauge, Name: "conformance_depth"},
		metricsbuffer.Point{Kind: metricsbuffer.KindHistogram, Name: "conformance_size", Unit: "rows"})
	for i := range points {
		p := &points[i]
		p.Sum, p.Min, p.Max = 0, 0, 0
		p.ID = id + uint32(i)
		if p.Kind == metricsbuffer.KindTimer || p.Kind == metricsbuffer.KindHistogram {
			p.Buckets = new(metricsbuffer.Buckets)
		}
	}
	return points
}

// testNew has series without updates. They must not bring any.
func testNew(t *testing.T, s Subject) {
	points := newSeries(600)
	for range 2 {
		s.writeAll(t, points)
		s.expectZeros(t, points)
	}
	s.write(t, withIDs(600, some(5)))
	s.expectOrdinary(t, 5)
}

// isUsual says whether every backend has the kind. Sinks for some have reason to drop the points of another kind.
func isUsual(kind metricsbuffer.Kind) bool {
	return kind == metricsbuffer.KindCounter || kind == metricsbuffer.KindTimer
}

// testChanges has series whose value and description change. The value of the gauge also comes back, and the names are
// in no other subtest.
func testChanges(t *testing.T, s Subject) {
	points := []metricsbuffer.Point{
		{Kind: metricsbuffer.KindCounter, Name: "requests"},
		{Kind: metricsbuffer.KindTimer, Name: "waiting"},
		{Kind: metricsbuffer.KindGauge, Name: "temperature"},
		{Kind: metricsbuffer.KindHistogram, Name: "breadth"}, // a unit would be in its name at some backends
	}
	identify(points)
	want := clonePoints(points)
	for i, n := range []int64{5, 3, 7, 5} {
		for j := range points {
			p := &points[j]
			setValue(p, n)
			p.Help = []string{"", "It is described.", "It is described anew.", ""}[i]
			if p.Kind != metricsbuffer.KindHistogram {
				p.Unit = []string{"", "pieces", "pairs", ""}[i]
			}
		}
		dropped := s.writeAll(t, points)
		if s.Received == nil {
			continue
		}
		arrived := s.arrived(t)
		for j, p := range points {
			if dropped[j] {
				if isUsual(p.Kind) {
					t.Errorf("%s was dropped, though nothing is unusual about it", describe(p))
				}
				continue
			}
			want[j] = merge(want[j], p)
			if got, ok := ordinary(arrived, &want[j]); !ok || !sameValue(got, want[j]) {
				t.Errorf("%s %s after %d changes of its value and its description",
					describe(want[j]), arrivedAs(got, ok), i)
			}
		}
		for _, p := range arrived {
			if _, known := ordinary(points, &p); !known {
				t.Errorf("a series arrived that was not recorded: %s", describe(p))
			}
		}
	}
	s.write(t, some(5))
	arrived := s.arrived(t)
	for _, p := range want {
		if got, ok := ordinary(arrived, &p); s.Received != nil && valueOf(&p) != 0 && (!ok || !sameValue(got, p)) {
			t.Errorf("%s %s after a batch without it: a series stays until it is in Ended", describe(p), arrivedAs(got, ok))
		}
	}
	s.expectOrdinary(t, 5)
}

// testEnded has series that end and come back. The batch that says so may have no points. The end comes once more if
// the buffer believes that a Write has failed. The IDs of series that have ended are then those of others.
func testEnded(t *testing.T, s Subject) {
	points := newSeries(600)
	s.writeAll(t, points)
	ended := batchOf()
	ended.Ended = points
	s.write(t, ended)
	s.expectZeros(t, points)
	for n := range int64(3) {
		batch := withIDs(700, some(n+1))
		batch.Ended = points
		s.write(t, batch)
	}
	s.expectOrdinary(t, 1+2+3)
	ended = batchOf()
	ended.Ended = withIDs(700, some(0)).Points
	s.write(t, ended)
	others := withIDs(700, some(4))
	for i := range others.Points {
		others.Points[i].Name += "_other"
	}
	s.write(t, others)
	if arrived := s.arrived(t); s.Received != nil {
		for _, want := range others.Points {
			if got, ok := ordinary(arrived, &want); !ok || got.Count != want.Count {
				t.Errorf("%s, with the ID of a series that has ended, %s", describe(want), arrivedAs(got, ok))
			}
		}
	}
}

// someID is the ID of both series of [some]. Series of different kinds may have the same one, as in a buffer.
const someID = 1

// identify gives each point an ID that no other point of its kind has, and no series of [some]. Points of different
// kinds get the same IDs. The points of a later batch have to get the IDs of this one.
func identify(points []metricsbuffer.Point) {
	last := make(map[metricsbuffer.Kind]uint32)
	for i := range points {
		p := &points[i]
		last[p.Kind]++
		p.ID = someID + last[p.Kind]
	}
}

// withIDs sets the IDs of the points, from the given one on.
func withIDs(id uint32, batch *metricsbuffer.Batch) *metricsbuffer.Batch {
	for i := range batch.Points {
		batch.Points[i].ID = id + uint32(i)
	}
	return batch
}

// expectZeros checks that nothing but these series has arrived, and no update of them.
func (s Subject) expectZeros(t *testing.T, points []metricsbuffer.Point) {
	t.Helper()
	for _, p := range s.arrived(t) {
		if _, known := ordinary(points, &p); !known {
			t.Errorf("a series arrived that was not recorded: %s", describe(p))
		} else if valueOf(&p) != 0 || p.Sum != 0 {
			t.Errorf("a series without updates arrived as %s, with a sum of %d", describe(p), p.Sum)
		}
	}
}
