package sinktest

import (
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

// Grace is how long a Write may go on after its context ended. The buffer gives up waiting at once; the sink's next
// batch, and closing the sink, wait for Write to return.
const Grace = 2 * time.Second

// patience is the time of each Write, and limits how long the suite waits for a sink that tries again, because its
// backend came back. Tests of the suite have less.
var patience = 10 * time.Second

// A Subject is a sink under test, and the means to read and to disturb its backend.
type Subject struct {
	Sink metricsbuffer.Sink

	// Received reads the sink's output as the backend does, and returns the series in it. It waits for output that is
	// still on its way. The points may be in any order. The suite adds up points of the same series (Count and Sum are
	// added, the last Value counts), so a parser of lines returns one point per line, and a parser of running totals
	// returns each total once.
	//
	// Each point has the kind, and the name, tags and unit by which the backend tells series apart. A name of letters and
	// underscores is the recorded name (without suffixes that the sink appends), with the recorded tags. Other names may
	// stay in the sink's spelling. Count is set for counters (sum of the deltas), timers and histograms (number of
	// observations), Decimals for counters of fractions (see [ParseAmount]), Value for gauges. Sum is compared if it is
	// not zero; it is in nanoseconds for a timer and may be off by 5 %. Other fields are ignored.
	//
	// The parser must be as strict as the backend: an error says that a part of the output is not valid. A parser that
	// skips such a part hides defects.
	Received func() ([]metricsbuffer.Point, error)

	// Unchecked says why there is no Received. The suite then cannot tell whether anything has arrived, and logs
	// this reason. Exactly one of Received and Unchecked must be set.
	Unchecked string

	// Break makes the backend fail, so that no Write can succeed. Mend makes it work again, after Break and after Stall.
	// Output from before must still be returned by Received. Without them failures are not tested. If a backend can fail
	// in several ways (it refuses connections, or answers with an error), run the suite once for each.
	Break, Mend func()

	// Stall makes the backend accept output without ever answering. Without it, Break is used instead.
	Stall func()
}

// Run tests that a sink does its part of the contract with a buffer. The subtests are:
//
//   - Empty: a batch without points is written without an error, and nothing arrives.
//   - New: a series without updates, which a buffer delivers once, arrives as zero or not at all.
//   - Changes: values and descriptions that change neither begin a series nor lose what has arrived. The last value of
//     a gauge counts. Counters and timers with ordinary names are not dropped. A batch without a series leaves it as
//     it is.
//   - Ended: a batch that says which series have ended is written without an error, also if it has no points. Series
//     that come back count, and so do others that get the IDs of those which have ended.
//   - Hostile: names, tags, units and descriptions of any bytes neither add a series nor count in another one. Each
//     point arrives so that it can be told from all others, or is dropped with a reason; this includes several tags
//     with one key. An ordinary series among them arrives, and so does one after them. A batch whose points are all
//     dropped is no error.
//   - Values: the same for extreme values, such as a gauge that is not a number, and for a batch that lasts no time.
//   - Fractions: the same for counters whose counts have decimals, also if one name has several numbers of them.
//   - Retention: the sink does not change the batch, and does not use it after Write has returned.
//   - Cancelled, Stalled: a Write returns within [Grace] after its context ended, before or during the Write.
//   - Large: a batch of 20,000 points arrives.
//   - Goroutines: Writes leave no goroutines behind.
//   - Failure: an acknowledged point has arrived once, and no other point has, while the backend fails and after.
//   - Middle: the same for long batches, while the backend fails at different moments.
//   - Exact: the same with a buffer, concurrent writers, and a backend that comes and goes.
//   - Close: for an [io.Closer], also behind Unwrap. A buffer that closes the sink has delivered everything. A second
//     Close is harmless.
//   - Abandoned: for an [io.Closer], as above. Close returns within 10 seconds while the backend does not answer.
//   - Attach: for a [metricsbuffer.Attacher]. Reading the backend delivers without a call of Flush, also after the
//     buffer was closed. A second buffer is refused.
//
// Every Write gets a context that ends after at most 10 seconds. One that goes on for longer than [Grace] after that
// fails the subtest.
//
// The suite does not see the buckets, extremes and exemplars that arrive, nor descriptions and times, nor the memory
// that a sink keeps for series which have ended. Write tests of these if the sink delivers or keeps them.
//
// Run calls begin for each subtest, to get a sink with an empty backend. Use the race detector: it sees a batch that
// is read too late.
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
//			backend := startBackend(t)
//			return sinktest.Subject{Sink: mysink.New(backend.Address), Received: backend.Parse}
//		})
//	}
func Run(t *testing.T, begin func(t *testing.T) Subject) {
	for _, test := range []struct {
		name   string
		direct bool // calls Write itself, without a buffer
		run    func(t *testing.T, s Subject)
	}{
		{"Empty", true, testEmpty},
		{"New", true, testNew},
		{"Changes", true, testChanges},
		{"Ended", true, testEnded},
		{"Hostile", true, testHostile},
		{"Values", true, testValues},
		{"Fractions", true, testFractions},
		{"Retention", true, testRetention},
		{"Cancelled", true, testCancelled},
		{"Stalled", true, testStalled},
		{"Large", true, testLarge},
		{"Goroutines", true, testGoroutines},
		{"Failure", true, testFailure},
		{"Middle", true, testMiddle},
		{"Exact", false, testExact},
		{"Close", false, testClose},
		{"Abandoned", true, testAbandoned},
		{"Attach", false, testAttach},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := begin(t)
			s.validate(t)
			if attacher, ok := optional[metricsbuffer.Attacher](s.Sink); ok && test.direct {
				if err := attacher.Attach(nothingPending); err != nil {
					t.Fatalf("Attach: %v", err)
				}
			}
			test.run(t, s)
		})
	}
}

func (s Subject) validate(t *testing.T) {
	t.Helper()
	switch {
	case s.Sink == nil:
		t.Fatal("sinktest: the subject has no Sink")
	case s.Received != nil && s.Unchecked != "":
		t.Fatal("sinktest: the subject has both Received and Unchecked: remove one")
	case s.Received == nil && s.Unchecked == "":
		t.Fatal("sinktest: the subject has no Received: give a parser of the sink's output, or set Unchecked to the " +
			"reason why there can be none")
	case (s.Break == nil || s.Mend == nil) && (s.Break != nil || s.Mend != nil || s.Stall != nil):
		t.Fatal("sinktest: the subject has only a part of Break, Mend and Stall: give Break and Mend, and Stall if possible")
	}
	if s.Unchecked != "" {
		t.Logf("sinktest: nothing is checked against the output: %s", s.Unchecked)
	}
}

// batchOf returns a batch of the last second.
func batchOf(points ...metricsbuffer.Point) *metricsbuffer.Batch {
	end := time.Now()
	return &metricsbuffer.Batch{Start: end.Add(-time.Second), End: end, Points: points}
}

func testEmpty(t *testing.T, s Subject) {
	if err := s.tryWrite(t, batchOf()); err != nil {
		t.Errorf("Write of a batch without points: %v", err)
	}
	for _, p := range s.arrived(t) {
		t.Errorf("a batch without points brought %s", describe(p))
	}
}

// maxWrappers is how many sinks around a sink are looked through, as in the buffer: one may unwrap to itself.
const maxWrappers = 100

// optional returns the sink as a T, or else the first wrapped sink that is one, as a buffer finds it.
func optional[T any](sink metricsbuffer.Sink) (found T, ok bool) {
	for range maxWrappers {
		if sink == nil {
			break
		}
		if found, ok = sink.(T); ok {
			return found, true
		}
		wrapper, ok := sink.(interface{ Unwrap() metricsbuffer.Sink })
		if !ok {
			break
		}
		sink = wrapper.Unwrap()
	}
	return found, false
}
