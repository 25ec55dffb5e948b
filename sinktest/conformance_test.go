package sinktest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// subjectOf returns a subject whose sink delivers to the server.
func subjectOf(sink metricsbuffer.Sink, server *server) sinktest.Subject {
	return sinktest.Subject{
		Sink: sink, Received: server.received,
		Break: func() { server.set(true) }, Mend: func() { server.set(false) },
	}
}

func TestConformance(t *testing.T) {
	for name, sink := range map[string]func(*sender) metricsbuffer.Sink{
		"plain":    func(s *sender) metricsbuffer.Sink { return s },
		"closable": func(s *sender) metricsbuffer.Sink { return &closable{Sink: s} },
		"wrapped":  func(s *sender) metricsbuffer.Sink { return sinktest.Slow(&closable{Sink: s}, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(*testing.T) sinktest.Subject {
				sender := newSender()
				return subjectOf(sink(sender), sender.server)
			})
		})
	}
	t.Run("asked", func(t *testing.T) {
		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
			sender := newSender()
			sink := &asked{Sink: sender}
			subject := subjectOf(sink, sender.server)
			subject.Received = sink.received(t, sender.server)
			return subject
		})
	})
	t.Run("unchecked", func(t *testing.T) {
		sinktest.Run(t, func(*testing.T) sinktest.Subject {
			return sinktest.Subject{Sink: newSender(), Unchecked: "this test is about subjects without a parser"}
		})
	})
}

// A flawed subject has one defect, which only the named subtest has to find, and the beginning of the complaint.
type flawed struct {
	found, complaint string
	subject          func(t *testing.T) sinktest.Subject
}

// sending changes a sink that does everything right.
func sending(spoil func(*sender)) func(*testing.T) sinktest.Subject {
	return func(*testing.T) sinktest.Subject {
		sender := newSender()
		spoil(sender)
		return subjectOf(sender, sender.server)
	}
}

// wrapping puts a defective sink in front of one that does everything right.
func wrapping(wrap func(s *sender) metricsbuffer.Sink) func(*testing.T) sinktest.Subject {
	return func(*testing.T) sinktest.Subject {
		sender := newSender()
		return subjectOf(wrap(sender), sender.server)
	}
}

// writing replaces Write.
func writing(
	write func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error,
) func(*testing.T) sinktest.Subject {
	return wrapping(func(s *sender) metricsbuffer.Sink {
		return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			return write(s, ctx, batch)
		})
	})
}

// remembering keeps the name and the tags of each series by a key, for ever, as a sink does that mixes up IDs.
func remembering(key func(p *metricsbuffer.Point) any) func(*testing.T) sinktest.Subject {
	return wrapping(func(s *sender) metricsbuffer.Sink {
		known := make(map[any]metricsbuffer.Point)
		return metricsbuffer.SinkFunc(func(ctx context.Context, batch *metricsbuffer.Batch) error {
			points := slices.Clone(batch.Points)
			for i := range points {
				p := &points[i]
				first, ok := known[key(p)]
				if !ok {
					first = metricsbuffer.Point{Name: p.Name, Tags: slices.Clone(p.Tags), Unit: p.Unit}
					known[key(p)] = first
				}
				p.Name, p.Tags, p.Unit = first.Name, first.Tags, first.Unit
			}
			renamed := &metricsbuffer.Batch{Start: batch.Start, End: batch.End, Points: points}
			err := s.Write(ctx, renamed)
			for i := range points {
				if reason, dropped := renamed.Dropped(i); dropped {
					batch.Drop(i, reason)
				}
			}
			return err
		})
	})
}

// packing sends packets of ten points. If one fails, acknowledged says how much of the batch is acknowledged: the
// packet begins with point from and ends before point to. It takes long, so that the backend fails in the middle.
func packing(acknowledged func(from, to int) int) func(*testing.T) sinktest.Subject {
	return writing(func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
		for from := 0; from < len(batch.Points); from += 10 {
			to := min(from+10, len(batch.Points))
			if err := s.Write(ctx, &metricsbuffer.Batch{Points: batch.Points[from:to]}); err != nil {
				batch.Acknowledge(acknowledged(from, to))
				return err
			}
			time.Sleep(100 * time.Microsecond)
		}
		return nil
	})
}

// expressible drops the points that cannot be expressed, and returns the others.
func (s *sender) expressible(batch *metricsbuffer.Batch) (points []metricsbuffer.Point) {
	for i := range batch.Points {
		if reason := s.drop(&batch.Points[i]); reason != "" {
			batch.Drop(i, reason)
		} else {
			points = append(points, batch.Points[i])
		}
	}
	return points
}

// escaping changes texts before they are escaped.
func escaping(change func(text string) string) func(*testing.T) sinktest.Subject {
	return sending(func(s *sender) {
		escape := s.escape
		s.escape = func(text string) string { return escape(change(text)) }
	})
}

// A test cannot expect another one to fail, so this runs itself with each defect.
func TestDefects(t *testing.T) {
	const variable = "METRICSBUFFER_TEST_DEFECT"
	if defect := os.Getenv(variable); defect != "" {
		sinktest.SetPatience(time.Second)
		sinktest.Run(t, defects[defect].subject)
		return
	}
	for name, defect := range defects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(os.Args[0], "-test.run=^TestDefects$/^"+defect.found+"$")
			run.Env = append(os.Environ(), variable+"="+name)
			out, err := run.CombinedOutput()
			require.Error(t, err, "nothing was found: %s", out)
			require.Contains(t, string(out), "--- FAIL: TestDefects/"+defect.found)
			require.Contains(t, string(out), defect.complaint)
		})
	}
}

// Every subtest of the suite finds some defect.
func TestEverySubtestCanFail(t *testing.T) {
	source, err := os.ReadFile("conformance.go")
	require.NoError(t, err)
	found := make(map[string]bool)
	for _, defect := range defects {
		found[defect.found] = true
	}
	subtests := regexp.MustCompile(`\{"(\w+)", (?:true|false), test\w+\}`).FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, subtests)
	for _, subtest := range subtests {
		require.True(t, found[subtest[1]], "no defect is found by %s", subtest[1])
		require.True(t, strings.Contains(string(source), "//   - "+subtest[1]) ||
			strings.Contains(string(source), ", "+subtest[1]+":"), "Run's documentation lacks %s", subtest[1])
	}
}

// The sink of ExampleRun passes. An Example has no *testing.T, and so cannot run the suite itself.
func TestExampleRun(t *testing.T) { sinktest.Run(t, begin) }
