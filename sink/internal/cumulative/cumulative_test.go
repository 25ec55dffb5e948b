package cumulative_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
)

type (
	point = metricsbuffer.Point
	tag   = metricsbuffer.Tag
)

var start = time.Date(2025, time.November, 23, 12, 0, 0, 0, time.UTC)

// minute returns the batch of minute i.
func minute(i int, points ...point) *metricsbuffer.Batch {
	begin := start.Add(time.Duration(i) * time.Minute)
	return &metricsbuffer.Batch{Start: begin, End: begin.Add(time.Minute), Points: points}
}

func counter(name string, count int64, tags ...tag) point {
	return point{Kind: metricsbuffer.KindCounter, Name: name, Count: count, Tags: tags}
}

// timer is a timer with an observation of each value, which are 1 or 2.
func timer(values ...int64) point {
	p := point{Kind: metricsbuffer.KindTimer, Name: "latency", Min: math.MaxInt64,
		Buckets: &metricsbuffer.Buckets{Offset: -1, Counts: make([]uint64, 17)}}
	for _, v := range values {
		p.Count++
		p.Sum += v
		p.Min, p.Max = min(p.Min, v), max(p.Max, v)
		p.Buckets.Counts[16*(v-1)]++
	}
	return p
}

// byName returns the points of the totals, and their starts.
func byName[D any](totals *cumulative.Totals[D]) (points map[string]point, starts map[string]time.Time) {
	points, starts = make(map[string]point), make(map[string]time.Time)
	for s := range totals.All() {
		points[s.Name], starts[s.Name] = s.Point, s.Start
	}
	return points, starts
}

func TestSums(t *testing.T) {
	var totals cumulative.Totals[int]
	gauge := point{Kind: metricsbuffer.KindGauge, Name: "depth", Value: 5}
	first := minute(0, counter("jobs", 3), timer(2), gauge)
	require.NoError(t, totals.Add(first))
	require.Equal(t, 3, first.Acknowledged())
	gauge.Value = -1
	require.NoError(t, totals.Add(minute(1, counter("jobs", 0), timer(1, 1, 2), gauge, counter("new", 7))))
	points, starts := byName(&totals)
	require.Equal(t, map[string]time.Time{
		"jobs": start, "latency": start, "depth": start, "new": start.Add(time.Minute)}, starts)
	require.Equal(t, counter("jobs", 3), points["jobs"])
	require.Equal(t, counter("new", 7), points["new"])
	require.Equal(t, gauge, points["depth"])
	require.Equal(t, timer(2, 1, 1, 2), points["latency"])
	require.Equal(t, 4, totals.Len())
}

// A point without observations has no minimum and maximum yet.
func TestNoObservations(t *testing.T) {
	var totals cumulative.Totals[int]
	empty := point{Kind: metricsbuffer.KindTimer, Name: "latency"}
	require.NoError(t, totals.Add(minute(0, empty)))
	require.NoError(t, totals.Add(minute(1, timer(2))))
	require.NoError(t, totals.Add(minute(2, empty)))
	points, _ := byName(&totals)
	require.Equal(t, timer(2), points["latency"])
}

// The batch belongs to the buffer, which changes it after Add.
func TestKeepsNothingOfTheBatch(t *testing.T) {
	var totals cumulative.Totals[int]
	for i := range 2 {
		tags := []tag{{Key: "k", Value: "v"}}
		jobs, latency := counter("jobs", 1, tags...), timer(1)
		batch := minute(i, jobs, latency)
		require.NoError(t, totals.Add(batch))
		tags[0].Value = "overwritten"
		clear(latency.Buckets.Counts)
		clear(batch.Points)
	}
	points, _ := byName(&totals)
	require.Equal(t, counter("jobs", 2, tag{Key: "k", Value: "v"}), points["jobs"])
	require.Equal(t, timer(1, 1), points["latency"])
}

// Series come, go and come back, in any order, under any IDs that a buffer may give them. A batch that a buffer repeats
// has the ends of the one before, too.
func TestAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var totals cumulative.Totals[int]
	want, ids, free := make(map[string]int64), make(map[string]uint32), make([]uint32, 40)
	for i := range free {
		free[i] = uint32(500 + i)
	}
	var ended []point
	for i := range 1000 {
		batch := minute(i)
		if random.IntN(3) > 0 { // the batch before was acknowledged
			for _, p := range ended {
				free = append(free, p.ID)
			}
			ended = nil
		}
		for name, id := range ids {
			if random.IntN(10) == 0 && len(ended) < 10 {
				ended = append(ended, point{Name: name, ID: id})
				delete(ids, name)
				delete(want, name)
			}
		}
		batch.Ended = ended
		for _, n := range random.Perm(30) {
			name := strconv.Itoa(n)
			if random.IntN(3) == 0 {
				continue
			}
			if _, known := ids[name]; !known {
				ids[name] = free[0]
				free = free[1:]
			}
			p := counter(name, int64(i))
			p.ID = ids[name]
			batch.Points = append(batch.Points, p)
			want[name] += int64(i)
		}
		require.NoError(t, totals.Add(batch))
		points, _ := byName(&totals)
		require.Len(t, points, len(want))
		for name, sum := range want {
			require.Equal(t, sum, points[name].Count, "counter %s at %d", name, i)
		}
	}
}

// Totals go by name and tags if the IDs cannot tell the series apart: there are none, two buffers have the same ones, a
// series has several, or no buffer has such IDs.
func TestForeignIDs(t *testing.T) {
	other := metricsbuffer.Kind(200)
	for _, ids := range [][2]uint32{{0, 0}, {7, 7}, {7, 8}, {1 << 24, math.MaxUint32}} {
		var totals cumulative.Totals[int]
		a, b, c := counter("a", 1), counter("b", 10), point{Kind: other, Name: "c", Count: 100}
		d := counter("d", 1000)
		for i := range 5 {
			a.ID, b.ID, c.ID = ids[i%2], ids[1-i%2], ids[0]
			d.ID = uint32(20 + i%2)
			require.NoError(t, totals.Add(minute(i, a, b, c, d)))
			require.EqualValues(t, i+1, totals.Find(&a).Count)
		}
		points, _ := byName(&totals)
		require.Len(t, points, 4)
		require.EqualValues(t, 5000, points["d"].Count)
		require.EqualValues(t, 5, points["a"].Count)
		require.EqualValues(t, 50, points["b"].Count)
		require.EqualValues(t, 500, points["c"].Count)
		end := minute(5)
		end.Ended = []point{a, b, c, d}
		require.NoError(t, totals.Add(end))
		require.Zero(t, totals.Len())
		for d.ID = 20; d.ID < 22; d.ID++ {
			require.Nil(t, totals.Find(&d))
		}
	}
}

// A series that has ended is freed, and so is the memory for its ID, which the next one gets.
func TestEndedIsFreed(t *testing.T) {
	var totals cumulative.Totals[int]
	var freed atomic.Int64
	const n = 100
	for i := range n {
		batch := minute(i, counter("jobs", 1), counter(strconv.Itoa(i), 1))
		batch.Points[0].ID, batch.Points[1].ID = 600, 601+uint32(i%2)
		if i > 0 {
			batch.Ended = []point{{Name: strconv.Itoa(i - 1), ID: 601 + uint32((i-1)%2)}}
		}
		require.NoError(t, totals.Add(batch))
		for s := range totals.All() {
			if s.Name == strconv.Itoa(i) {
				runtime.AddCleanup(s, func(n int64) { freed.Add(n) }, 1)
			}
		}
	}
	require.Equal(t, 2, totals.Len())
	require.Eventually(t, func() bool { runtime.GC(); return freed.Load() == n-1 }, 10*time.Second, time.Millisecond)
	runtime.KeepAlive(&totals)
}

// A total that exceeds an int64 begins with the batch that does not fit, which its start tells. No total goes down
// without that.
func TestBeginsAnew(t *testing.T) {
	var totals cumulative.Totals[int]
	long := timer(1)
	long.Sum, long.Max = math.MaxInt64, math.MaxInt64
	for i := range 3 {
		require.NoError(t, totals.Add(minute(i, counter("jobs", math.MaxInt64), long)))
		points, starts := byName(&totals)
		require.Equal(t, counter("jobs", math.MaxInt64), points["jobs"])
		require.Equal(t, long, points["latency"])
		require.Equal(t, start.Add(time.Duration(i)*time.Minute), starts["jobs"])
		require.Equal(t, starts["jobs"], starts["latency"])
	}
	overflown := timer(2) // its sum in the batch has exceeded an int64
	overflown.Sum = math.MinInt64
	require.NoError(t, totals.Add(minute(3, overflown)))
	points, starts := byName(&totals)
	require.Equal(t, overflown, points["latency"])
	require.Equal(t, start.Add(3*time.Minute), starts["latency"])
}

func TestNegativeDelta(t *testing.T) {
	var totals cumulative.Totals[int]
	batch := minute(0, counter("jobs", 5), counter("jobs", math.MinInt64), counter("jobs", -1))
	require.NoError(t, totals.Add(batch))
	for i := range batch.Points {
		reason, dropped := batch.Dropped(i)
		require.Equal(t, i > 0, dropped)
		require.Equal(t, dropped, reason == cumulative.NegativeDelta)
	}
	points, _ := byName(&totals)
	require.EqualValues(t, 5, points["jobs"].Count)

	batch = minute(1, counter("never", -1))
	require.NoError(t, totals.Add(batch))
	_, dropped := batch.Dropped(0)
	require.True(t, dropped)
	require.Equal(t, 1, totals.Len(), "a series begins with a point that counts")
}

// Totals that are signed take negative counts, and begin anew at both ends of an int64.
func TestSigned(t *testing.T) {
	totals := cumulative.Totals[int]{Signed: true}
	for i, step := range []struct{ delta, total int64 }{
		{5, 5}, {-7, -2}, {0, -2}, {math.MinInt64 + 2, math.MinInt64}, {-1, -1}, {1, 0}, {math.MaxInt64, math.MaxInt64},
		{1, 1}, {math.MinInt64, math.MinInt64 + 1},
	} {
		batch := minute(i, counter("jobs", step.delta))
		require.NoError(t, totals.Add(batch))
		require.Equal(t, 1, batch.Acknowledged())
		_, dropped := batch.Dropped(0)
		require.False(t, dropped)
		require.Equal(t, step.total, totals.Find(&batch.Points[0]).Count, "after %d steps", i+1)
	}
	unknown := counter("other", 1)
	require.Nil(t, totals.Find(&unknown))
}

// Admit is asked once for each series. Release is called once for each series that was admitted.
func TestAdmission(t *testing.T) {
	admitted, released := make(map[string]int), make(map[string]int)
	errBad := errors.New("it is bad")
	totals := cumulative.Totals[string]{
		Admit: func(s *cumulative.Series[string]) (refused string, err error) {
			admitted[s.Name]++
			s.Detail = "detail of " + s.Name
			if s.Name == "bad" {
				return "bad", errBad
			}
			return "", nil
		},
		Release: func(s *cumulative.Series[string]) { released[s.Detail]++ },
	}
	require.ErrorIs(t, totals.Add(minute(0, counter("bad", 1), counter("good", 1), counter("other", 1))), errBad)
	again := minute(1, counter("bad", 1), counter("good", 1), counter("other", 1))
	require.NoError(t, totals.Add(again), "reported once")
	reason, _ := again.Dropped(0)
	require.Equal(t, "bad", reason)
	require.Equal(t, map[string]int{"bad": 1, "good": 1, "other": 1}, admitted)
	points, _ := byName(&totals)
	require.Len(t, points, 2)

	for s := range totals.All() {
		if s.Name == "other" {
			require.NoError(t, totals.Refuse(s, "late", nil))
		}
	}
	require.Equal(t, map[string]int{"detail of other": 1}, released)
	again = minute(2, counter("other", 1))
	require.NoError(t, totals.Add(again))
	reason, _ = again.Dropped(0)
	require.Equal(t, "late", reason)
	require.Equal(t, 3, totals.Len())

	end := minute(3)
	end.Ended = []point{{Name: "bad"}, {Name: "good"}, {Name: "other"}, {Name: "unknown"}}
	require.NoError(t, totals.Add(end))
	require.Zero(t, totals.Len())
	require.Equal(t, map[string]int{"detail of other": 1, "detail of good": 1}, released)
	require.NoError(t, totals.Add(minute(61, counter("bad", 1))), "reported once")
}

// Errors are reported once for each text, and of a limited number of texts, for any number of series. A refused series
// keeps no text.
func TestReportsAreFew(t *testing.T) {
	const n = 10_000
	text := func(int) string { return "" }
	totals := cumulative.Totals[int]{Admit: func(s *cumulative.Series[int]) (string, error) {
		i, _ := strconv.Atoi(s.Name)
		return "taken", errors.New(text(i))
	}}
	add := func(at int) (reports []string) {
		batch := minute(at)
		for i := range n {
			batch.Points = append(batch.Points, counter(strconv.Itoa(i), 1))
		}
		totals.Reconsider()
		err := totals.Add(batch)
		_, dropped := batch.Dropped(n - 1)
		require.True(t, dropped)
		if err == nil {
			return nil
		}
		return strings.Split(err.Error(), "\n")
	}
	long := strings.Repeat("a", 1000)
	pair := long + "pair"
	text = func(int) string { return pair }
	require.Equal(t, []string{pair}, add(0))
	require.Empty(t, add(1))

	before := heap()
	text = func(i int) string { return long + strconv.Itoa(i) }
	reports := add(2)
	count := len(reports) // a failure does not print all of them
	require.Equal(t, 99, count, "there was one before")
	require.Equal(t, text(97), reports[97])
	require.Equal(t, text(98)+" (100 such errors were reported; further ones are not, only their drops are counted)",
		reports[98])
	require.Empty(t, add(3))
	require.Less(t, heap()-before, int64(n*len(long)/10))
	runtime.KeepAlive(&totals)
}

// heap returns how many bytes are in use after a garbage collection.
func heap() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A series that is refused because of another one is admitted when that one is gone, and its total begins then. One
// that is refused for a reason of its own is not asked about again. An error is returned once.
func TestAdmittedAgain(t *testing.T) {
	owner, asked := "", make(map[string]int)
	totals := cumulative.Totals[int]{
		Admit: func(s *cumulative.Series[int]) (refused string, err error) {
			asked[s.Name]++
			switch {
			case s.Name == "bad":
				return "bad", nil
			case owner != "":
				return "taken", errors.New("taken by " + owner)
			}
			owner = s.Name
			return "", nil
		},
		Release: func(*cumulative.Series[int]) { owner = "" },
	}
	ending := func(i int, name string, points ...point) *metricsbuffer.Batch {
		batch := minute(i, points...)
		batch.Ended = []point{{Name: name}}
		return batch
	}
	a, b, c, bad := counter("a", 1), counter("b", 10), counter("c", 100), counter("bad", 1)
	require.EqualError(t, totals.Add(minute(0, a, b, c, bad)), "taken by a", "b and c have the same")
	require.NoError(t, totals.Add(minute(1, a, b, c, bad)))
	require.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1, "bad": 1}, asked)

	negative := b
	negative.Count = -1
	require.NoError(t, totals.Add(ending(2, "a", negative)))
	require.EqualError(t, totals.Add(minute(3, b, c, bad)), "taken by b")
	require.Equal(t, map[string]int{"a": 1, "b": 2, "c": 2, "bad": 1}, asked)
	points, starts := byName(&totals)
	require.Equal(t, map[string]point{"b": b}, points)
	require.Equal(t, start.Add(3*time.Minute), starts["b"])

	for s := range totals.All() {
		require.EqualError(t, totals.Refuse(s, "taken", errors.New("taken by a stranger")), "taken by a stranger")
	}
	owner = "a stranger"
	require.NoError(t, totals.Add(minute(4, b, c)), "the caller of Refuse has reported it")
	totals.Reconsider()
	require.NoError(t, totals.Add(minute(5, b, c)), "the same")
	owner = ""
	require.NoError(t, totals.Add(minute(6, b)))
	points, _ = byName(&totals)
	require.Empty(t, points, "nobody has said that the stranger is gone")
	totals.Reconsider()
	require.NoError(t, totals.Add(minute(7, c)))
	points, _ = byName(&totals)
	require.Equal(t, map[string]point{"c": c}, points)
}

// Admit sees the description of the latest point, also if an earlier one was the reason to refuse the series.
func TestDescriptionOfRefused(t *testing.T) {
	var seen []string
	totals := cumulative.Totals[int]{Admit: func(s *cumulative.Series[int]) (string, error) {
		seen = append(seen, s.Help+s.Unit)
		return "taken", errors.New("taken")
	}}
	for i, p := range []point{counter("a", 1), counter("a", 1), counter("a", 1)} {
		p.Help, p.Unit = "help", fmt.Sprint(i)
		_ = totals.Add(minute(i, p))
		totals.Reconsider()
	}
	require.Equal(t, []string{"help0", "help1", "help2"}, seen)
}

// A series begins anew after its end. The end may come once more, because the batch that had it failed elsewhere in the
// sink; it is not that of the series which has begun since.
func TestEnded(t *testing.T) {
	var totals cumulative.Totals[int]
	jobs, ended := counter("jobs", 1), point{Name: "jobs", ID: 600}
	jobs.ID = 600
	require.NoError(t, totals.Add(minute(0, jobs)))
	jobs.ID, jobs.Count = 601, 5
	for i := 1; i < 3; i++ {
		batch := minute(i, jobs)
		batch.Ended = []point{ended}
		require.NoError(t, totals.Add(batch))
		points, starts := byName(&totals)
		require.EqualValues(t, 5*i, points["jobs"].Count)
		require.Equal(t, start.Add(time.Minute), starts["jobs"])
	}
}

// Two points share a key only if they are of the same series, even if a byte of one is the length of another.
func FuzzKey(f *testing.F) {
	f.Add("x", "", "a", "v", "xa", "", "", "v")
	f.Add("x", "y", "", "", "xy", "", "", "")
	f.Add("x", "bytes", "", "", "x", "rows", "", "")
	f.Add("x", "\x01a", "k", "v", "x\x02", "a", "k", "v") // the same if the name has no length before it
	many := strings.Repeat("a", 255)
	f.Add("x", "", "\x01"+many, "b", "x", "", "", many+"\x01b") // the same if a length has one byte
	f.Fuzz(func(t *testing.T, name, unit, key, value, name2, unit2, key2, value2 string) {
		a := point{Kind: metricsbuffer.KindHistogram, Name: name, Unit: unit, Tags: []tag{{Key: key, Value: value}}}
		b := point{Kind: metricsbuffer.KindHistogram, Name: name2, Unit: unit2, Tags: []tag{{Key: key2, Value: value2}}}
		same := name == name2 && unit == unit2 && key == key2 && value == value2
		keyOf := func(p point) string { return string(cumulative.AppendKey(nil, &p)) }
		require.Equal(t, same, keyOf(a) == keyOf(b))
		b.Tags = append(b.Tags, tag{})
		require.NotEqual(t, keyOf(a), keyOf(b))
		require.NotEqual(t, keyOf(point{Name: name}), keyOf(point{Name: name, Kind: 1}))
		require.Equal(t, keyOf(a), string(cumulative.AppendKey([]byte{}, &a)))
	})
}

// Each batch has all series, in the same order; see the time per series.
func BenchmarkAdd(b *testing.B) {
	const series = 100_000
	points := make([]point, series)
	for i := range points {
		points[i] = counter("jobs_done", 1, tag{Key: "queue", Value: strconv.Itoa(i)})
		points[i].ID = uint32(1000 + i)
	}
	var totals cumulative.Totals[int]
	batch := minute(0, points...)
	require.NoError(b, totals.Add(batch))
	for b.Loop() {
		require.NoError(b, totals.Add(batch))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
}

// TestDescriptions: a description is no part of a series, and its owner hears of each change.
func TestDescriptions(t *testing.T) {
	var told []string
	totals := cumulative.Totals[int]{
		Admit: func(s *cumulative.Series[int]) (refused string, err error) {
			if s.Name == "bad" {
				return "bad", nil
			}
			return "", nil
		},
		Redescribe: func(s *cumulative.Series[int]) { told = append(told, s.Name+" "+s.Help+s.Unit) },
	}
	for i, help := range []string{"a", "a", "b", ""} {
		jobs, bad := counter("jobs", 1), counter("bad", 1)
		jobs.Help, jobs.Unit, bad.Help = help, "s", help
		require.NoError(t, totals.Add(minute(i, jobs, bad)))
	}
	require.Equal(t, []string{"jobs bs", "jobs s"}, told)
	jobs := counter("jobs", 1)
	require.NoError(t, totals.Add(minute(5, jobs)))
	require.EqualValues(t, 5, totals.Find(&jobs).Count)
	require.Equal(t, 2, totals.Len())
	size := point{Kind: metricsbuffer.KindHistogram, Name: "size"}
	require.NoError(t, totals.Add(minute(6, size)))
	size.Unit = "bytes"
	require.Nil(t, totals.Find(&size), "the unit of a histogram is a part of its series")
}
