package sinktest_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// defects has all defects. Those of names, tags and units are in defects_hostile_test.go.
var defects = map[string]flawed{
	// Subjects that say nothing.
	"no parser": {"Empty", "the subject has no Received", func(*testing.T) sinktest.Subject {
		return sinktest.Subject{Sink: newSender()}
	}},
	"parser and excuse": {"Empty", "both Received and Unchecked", func(*testing.T) sinktest.Subject {
		subject := subjectOf(newSender(), new(server))
		subject.Unchecked = "no reason"
		return subject
	}},
	"Break without Mend": {"Empty", "only a part of Break, Mend and Stall", func(*testing.T) sinktest.Subject {
		subject := subjectOf(newSender(), new(server))
		subject.Mend = nil
		return subject
	}},

	"ignores decimals": {"Fractions", "has arrived as", sending(func(s *sender) {
		s.value = func(p *metricsbuffer.Point) string {
			if p.Kind == metricsbuffer.KindCounter {
				return strconv.FormatInt(p.Count, 10)
			}
			return number(p)
		}
	})},
	"skips fractions": {"Fractions", "has not arrived", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			return s.Write(ctx, &metricsbuffer.Batch{
				Points: slices.DeleteFunc(slices.Clone(batch.Points), func(p metricsbuffer.Point) bool {
					return p.Decimals > 0
				}),
			})
		})},

	"fails without points": {"Empty", "Write of a batch without points", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			_ = s.Write(ctx, batch)
			if len(batch.Points) == 0 {
				return errBroken
			}
			return nil
		})},
	"sends a series of its own": {"Empty", `a batch without points brought counter "batches" = 1`, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			return errors.Join(s.server.send("batches counter/=1\n"), s.Write(ctx, batch))
		})},

	"sends a new series as an update": {"New", "a series without updates arrived as", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := slices.Clone(batch.Points)
			for i := range points {
				points[i].Count = max(points[i].Count, 1)
			}
			return s.Write(ctx, &metricsbuffer.Batch{Points: points})
		})},
	"divides by zero": {"New", "Write panicked: runtime error: integer divide by zero", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			for i := range batch.Points {
				if p := &batch.Points[i]; p.Buckets != nil && p.Sum/p.Count < 0 {
					return errBroken
				}
			}
			return s.Write(ctx, batch)
		})},
	"keeps the first value of a gauge": {"Changes", "changes of its value and its description", wrapping(
		func(s *sender) metricsbuffer.Sink {
			first := make(map[string]float64)
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				points := slices.Clone(batch.Points)
				for i := range points {
					if p := &points[i]; p.Kind == metricsbuffer.KindGauge {
						if _, ok := first[p.Name]; !ok {
							first[p.Name] = p.Value
						}
						p.Value = first[p.Name]
					}
				}
				return s.Write(ctx, &metricsbuffer.Batch{Points: points})
			})
		})},
	"begins a series with each description": {"Changes", "changes of its value and its description", wrapping(
		func(s *sender) metricsbuffer.Sink {
			latest := make(map[string]string)
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				points := slices.Clone(batch.Points)
				for i := range points {
					p := &points[i]
					if help, ok := latest[p.Name]; ok && help != p.Help {
						p.Name += "_again"
					} else {
						latest[p.Name] = p.Help
					}
				}
				return s.Write(ctx, &metricsbuffer.Batch{Points: points})
			})
		})},
	"drops all but two names": {"Changes", "was dropped, though nothing is unusual about it", sending(func(s *sender) {
		s.drop = func(p *metricsbuffer.Point) string {
			if p.Name == "conformance_jobs" || p.Name == "conformance_latency" {
				return ""
			}
			return "unsupported"
		}
	})},
	"shows the last batch": {"Changes", "after a batch without it: a series stays until it is in Ended", wrapping(
		func(s *sender) metricsbuffer.Sink {
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				if batch.Points[0].Name == "conformance_jobs" {
					s.server.text.Reset()
				}
				return s.Write(ctx, batch)
			})
		})},
	"sends the end of a series": {"Ended", "a series without updates arrived as", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := slices.Clone(batch.Points)
			for _, p := range batch.Ended {
				p.Count = 1
				points = append(points, p)
			}
			return s.Write(ctx, &metricsbuffer.Batch{Points: points})
		})},
	"takes the end for that of the series which came back": {"Ended", "has arrived as", wrapping(
		func(s *sender) metricsbuffer.Sink {
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				if len(batch.Points) > 0 && len(batch.Ended) > 0 && batch.Points[0].Count > 1 {
					return nil
				}
				return s.Write(ctx, batch)
			})
		})},
	"keeps the name of an ID": {"Ended", "with the ID of a series that has ended, has not arrived", remembering(
		func(p *metricsbuffer.Point) any { return [2]uint32{uint32(p.Kind), p.ID} })},
	"takes one ID of two kinds for one series": {"Hostile", notApart, remembering(
		func(p *metricsbuffer.Point) any { return p.ID })},
	"keeps 8 bits of an ID": {"Hostile", notApart, remembering(
		func(p *metricsbuffer.Point) any { return [2]uint8{uint8(p.Kind), uint8(p.ID)} })}, //nolint:gosec // the defect
	"confuses the IDs of values": {"Values", "was acknowledged, and has not arrived", remembering(
		func(p *metricsbuffer.Point) any { return p.ID / 2 })},
	"confuses the IDs of fractions": {"Fractions", "has not arrived", remembering(
		func(p *metricsbuffer.Point) any { return p.ID / 2 })},
	"changes an ID": {"Values", "Write changed a point of the batch", writing(
		func(_ *sender, _ context.Context, batch *metricsbuffer.Batch) error {
			for i := range batch.Points {
				batch.Points[i].ID = 0
			}
			return nil
		})},

	"writes NaN": {"Values", "the output is not valid", sending(func(s *sender) {
		s.drop = func(p *metricsbuffer.Point) string {
			return inexpressible(&metricsbuffer.Point{Name: p.Name, Tags: p.Tags})
		}
	})},
	"writes zero for NaN": {"Values", "has arrived as", sending(func(s *sender) {
		s.drop = func(p *metricsbuffer.Point) string {
			return inexpressible(&metricsbuffer.Point{Name: p.Name, Tags: p.Tags})
		}
		s.value = func(p *metricsbuffer.Point) string {
			if infinite(p) != "" {
				return "0"
			}
			return number(p)
		}
	})},
	"rounds to six digits": {"Values", "12345.678 has arrived as", sending(func(s *sender) {
		s.value = func(p *metricsbuffer.Point) string {
			if p.Kind == metricsbuffer.KindGauge {
				return strconv.FormatFloat(p.Value, 'g', 6, 64)
			}
			return number(p)
		}
	})},
	"rounds to milliseconds": {"Values", "has arrived with a sum of 2000000, want 3445728", sending(func(s *sender) {
		s.sum = func(p *metricsbuffer.Point) (sum int64) {
			for b := range p.Buckets.All() {
				sum += int64(b.Count) * int64(time.Duration(b.Upper).Truncate(time.Millisecond)) //nolint:gosec // few
			}
			return sum
		}
	})},
	"takes the maximum for the mean": {"Values", "has arrived with a sum of 4718592, want 3445728", sending(
		func(s *sender) { s.sum = func(p *metricsbuffer.Point) int64 { return p.Count * p.Max } })},
	"divides by the time of the batch": {"Values", "Write: Write panicked: runtime error: integer divide by zero", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				if p.Count/int64(batch.End.Sub(batch.Start)) > math.MaxInt64/2 {
					return errBroken
				}
			}
			return s.Write(ctx, batch)
		})},
	"keeps the first decimals of a name": {"Fractions", "in steps of different decimals, has arrived as", wrapping(
		func(s *sender) metricsbuffer.Sink {
			decimals := make(map[string]int)
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				points := s.expressible(batch)
				for i := range points {
					p := &points[i]
					if first, known := decimals[p.Name]; known && p.Kind == metricsbuffer.KindCounter {
						p.Decimals = first
					} else {
						decimals[p.Name] = p.Decimals
					}
				}
				return s.Write(ctx, &metricsbuffer.Batch{Points: points})
			})
		})},
	"counts in 32 bits": {"Values", "has arrived as", sending(func(s *sender) {
		s.value = func(p *metricsbuffer.Point) string {
			count := int64(int32(p.Count)) //nolint:gosec // the defect
			return number(&metricsbuffer.Point{Kind: p.Kind, Value: p.Value, Count: count})
		}
	})},
	"skips timers of zero": {"Values", "was acknowledged, and has not arrived", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			return s.Write(ctx, &metricsbuffer.Batch{
				Points: slices.DeleteFunc(slices.Clone(batch.Points), func(p metricsbuffer.Point) bool {
					return p.Kind == metricsbuffer.KindTimer && p.Max == 0
				}),
			})
		})},

	"hangs without a deadline": {"Retention", "Write has not returned 2s after its context ended", writing(
		func(*sender, context.Context, *metricsbuffer.Batch) error { select {} })},
	"hangs on an empty batch": {"Empty", "Write has not returned 2s after its context ended", writing(
		func(*sender, context.Context, *metricsbuffer.Batch) error { select {} })},
	"waits for the end of its context": {"Hostile", "Write failed after 0 of", writing(
		func(_ *sender, ctx context.Context, _ *metricsbuffer.Batch) error {
			<-ctx.Done()
			return ctx.Err()
		})},
	"hangs when the backend fails": {"Failure", "Write has not returned 2s after its context ended", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			if s.server.isBroken() {
				select {}
			}
			return s.Write(ctx, batch)
		})},
	"panics": {"Retention", "Write: Write panicked: at 1 o'clock", writing(
		func(*sender, context.Context, *metricsbuffer.Batch) error { panic("at 1 o'clock") })},
	"ends its goroutine": {"Retention", "Write: Write ended its goroutine (runtime.Goexit)", writing(
		func(*sender, context.Context, *metricsbuffer.Batch) error { runtime.Goexit(); return nil })},
	"panics with a value that ends its goroutine": {"Retention", "Write: Write ended its goroutine", writing(
		func(*sender, context.Context, *metricsbuffer.Batch) error { panic(leaver{}) })},

	"keeps the batch": {"Retention", "", wrapping(func(s *sender) metricsbuffer.Sink {
		var kept *metricsbuffer.Batch
		return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			if kept != nil {
				_ = s.Write(ctx, kept)
			}
			kept = batch
			return nil
		})
	})},
	"keeps the points": {"Retention", `the sink used a batch after Write had returned: gauge "overwritten"`,
		wrapping(func(s *sender) metricsbuffer.Sink {
			var kept []metricsbuffer.Point
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				_ = s.Write(ctx, &metricsbuffer.Batch{Points: kept})
				kept = batch.Points
				return s.Write(ctx, batch)
			})
		})},

	"ignores the context": {"Cancelled", "Write has not returned 2s after its context ended", writing(
		func(_ *sender, ctx context.Context, _ *metricsbuffer.Batch) error {
			<-ctx.Done()
			select {}
		})},
	"ignores the end of the context": {"Stalled", "Write has not returned 2s after its context ended", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			for s.server.isBroken() {
				time.Sleep(time.Millisecond)
			}
			return s.Write(ctx, batch)
		})},
	"does not recover": {"Stalled", "Write still fails 1s after one that failed", wrapping(
		func(s *sender) metricsbuffer.Sink {
			var failed bool
			return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
				if failed {
					return errBroken
				}
				err := s.Write(ctx, batch)
				failed = err != nil
				return err
			})
		})},

	"loses the batch that fails": {"Failure", "Write acknowledged a batch while the backend was broken", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			_ = s.Write(ctx, batch)
			return nil
		})},
	"acknowledges too much": {"Failure", "has not arrived", sending(func(s *sender) {
		s.done = func(err error, batch *metricsbuffer.Batch) error {
			batch.Acknowledge(len(batch.Points))
			return err
		}
	})},
	"acknowledges too little": {"Failure", "has arrived as", wrapping(func(s *sender) metricsbuffer.Sink {
		return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			broken := s.server.isBroken()
			s.server.set(false)
			err := s.Write(ctx, batch)
			if s.server.set(broken); broken {
				return errBroken
			}
			return err
		})
	})},
	"drops when the backend fails": {"Failure", "Write dropped", sending(func(s *sender) {
		s.done = func(err error, batch *metricsbuffer.Batch) error {
			if err != nil {
				batch.Drop(0, "the backend failed")
			}
			return err
		}
	})},

	"has a limit": {"Large", "18000 points of a long batch were acknowledged, and have not arrived once", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := s.expressible(batch)
			return s.Write(ctx, &metricsbuffer.Batch{Points: points[:min(len(points), 2000)]})
		})},
	"drops what is too much": {"Large", "divide a batch that is too long", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			err := s.Write(ctx, batch)
			for i := 2000; i < len(batch.Points); i++ {
				batch.Drop(i, "too much")
			}
			return err
		})},
	"leaves goroutines behind": {"Goroutines", "100 Writes left goroutines behind", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			go func() { select {} }()
			return s.Write(ctx, batch)
		})},
	"acknowledges so many as it has sent": {"Middle", "series have not arrived once", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			points := s.expressible(batch)
			for from := 0; from < len(points); from += 10 {
				to := min(from+10, len(points))
				if err := s.Write(ctx, &metricsbuffer.Batch{Points: points[from:to]}); err != nil {
					return err
				}
				batch.Acknowledge(to)
				time.Sleep(100 * time.Microsecond)
			}
			return nil
		})},
	"acknowledges the packet that fails": {"Middle", "series have not arrived once", packing(
		func(from, to int) int { return min(from, 1) * to })},
	"acknowledges no packet before the one that fails": {"Middle", "series have not arrived once", packing(
		func(int, int) int { return 0 })},
	"loses one in many": {"Exact", `"conformance_jobs" "worker"=`, writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			return s.Write(ctx, &metricsbuffer.Batch{Points: batch.Points[:min(3, len(batch.Points))]})
		})},
	"sums wrong": {"Retention", "has arrived with a sum of", func(*testing.T) sinktest.Subject {
		sender := newSender()
		subject := subjectOf(sender, sender.server)
		subject.Received = func() ([]metricsbuffer.Point, error) {
			points, err := sender.server.received()
			for i := range points {
				points[i].Sum *= 2
			}
			return points, err
		}
		return subject
	}},

	"panics when closed twice": {"Close", "Close of the closed sink panicked: close of closed channel", wrapping(
		func(s *sender) metricsbuffer.Sink {
			closed := make(chan struct{})
			return &closable{Sink: s, onClose: func() error { close(closed); return nil }}
		})},
	"hangs when closed twice": {"Close", "Close of the closed sink has not returned after 2s", wrapping(
		func(s *sender) metricsbuffer.Sink {
			var mu sync.Mutex
			return &closable{Sink: s, onClose: func() error { mu.Lock(); return nil }}
		})},
	"waits for the backend when closed": {"Abandoned", "while its backend fails, has not returned after 1s", wrapping(
		func(s *sender) metricsbuffer.Sink {
			return &closable{Sink: s, onClose: func() error {
				for s.server.isBroken() {
					time.Sleep(time.Millisecond)
				}
				return nil
			}}
		})},
	"panics when closed early": {"Abandoned", "while its backend fails, panicked: at 1 o'clock", wrapping(
		func(s *sender) metricsbuffer.Sink {
			return &closable{Sink: s, onClose: func() error {
				if s.server.isBroken() {
					panic("at 1 o'clock")
				}
				return nil
			}}
		})},
	"fails when closed": {"Close", "Close of the buffer", wrapping(func(s *sender) metricsbuffer.Sink {
		return &closable{Sink: s, onClose: func() error { return errBroken }}
	})},
	"loses when closed": {"Close", "has not arrived", wrapping(func(s *sender) metricsbuffer.Sink {
		var kept *metricsbuffer.Batch // acknowledged, and only sent with the next batch
		return &closable{Sink: metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			if kept != nil {
				_ = s.Write(ctx, kept)
			}
			kept = &metricsbuffer.Batch{Points: slices.Clone(batch.Points)}
			return nil
		})}
	})},

	"belongs to two buffers": {"Attach", "Attach must return an error the second time",
		askedWith(func(a *asked) { a.shared = true })},
	"does not ask":     {"Attach", "has not arrived", askedWith(func(a *asked) { a.silent = true })},
	"refuses a buffer": {"Attach", "a buffer with the sink", askedWith(func(a *asked) { a.flush = otherBuffer })},
}

func init() { maps.Copy(defects, hostileDefects) }

// leaver is the value of a panic, and ends the goroutine that prints it.
type leaver struct{}

func (leaver) String() string { runtime.Goexit(); return "" }
