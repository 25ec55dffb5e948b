package sinktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func subject(write func(r *sinktest.Recorder, broken bool, batch *metricsbuffer.Batch) error) sinktest.Subject {
	recorder := new(sinktest.Recorder)
	var broken atomic.Bool
	return sinktest.Subject{
		Sink: metricsbuffer.SinkFunc(func(_ context.Context, batch *metricsbuffer.Batch) error {
			return write(recorder, broken.Load(), batch)
		}),
		Count: func(kind metricsbuffer.Kind, name string, tags ...metricsbuffer.Tag) int64 {
			return recorder.Total(kind, name, tags...).Count
		},
		Break: func() { broken.Store(true) },
		Mend:  func() { broken.Store(false) },
	}
}

var errBroken = errors.New("broken")

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Subject {
		return subject(func(r *sinktest.Recorder, broken bool, batch *metricsbuffer.Batch) error {
			if broken {
				return errBroken
			}
			return r.Write(context.Background(), batch)
		})
	})
}

// Each of these sinks has one defect, and the subtest that must find it.
var defective = map[string]struct {
	found string
	sink  func() sinktest.Subject
}{
	"fails without points": {"Empty", func() sinktest.Subject {
		return subject(func(_ *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			_ = batch.Points[0]
			return nil
		})
	}},
	"is poisoned by a name": {"Anything", func() sinktest.Subject {
		return subject(func(_ *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				if p.Name == "\xff" {
					return errBroken
				}
			}
			return nil
		})
	}},
	"changes a tag": {"Anything", func() sinktest.Subject {
		return subject(func(_ *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			for _, p := range batch.Points {
				if len(p.Tags) > 0 {
					p.Tags[0].Key = "changed"
				}
			}
			return nil
		})
	}},
	"has a reason for each point": {"Anything", func() sinktest.Subject {
		return subject(func(_ *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			for i, p := range batch.Points {
				if p.Kind == metricsbuffer.KindGauge {
					batch.Drop(i, "cannot deliver "+p.Name)
				}
			}
			return nil
		})
	}},
	"keeps the batch": {"Retention", func() sinktest.Subject {
		var kept *metricsbuffer.Batch
		return subject(func(r *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			if kept != nil {
				_ = r.Write(context.Background(), kept)
			}
			kept = batch
			return nil
		})
	}},
	"drops what fails": {"Failure", func() sinktest.Subject {
		return subject(func(r *sinktest.Recorder, broken bool, batch *metricsbuffer.Batch) error {
			if broken {
				return nil
			}
			return r.Write(context.Background(), batch)
		})
	}},
	"delivers, and fails": {"Failure", func() sinktest.Subject {
		return subject(func(r *sinktest.Recorder, broken bool, batch *metricsbuffer.Batch) error {
			err := r.Write(context.Background(), batch)
			if broken {
				return errBroken
			}
			return err
		})
	}},
	"loses one in many": {"Exact", func() sinktest.Subject {
		return subject(func(r *sinktest.Recorder, _ bool, batch *metricsbuffer.Batch) error {
			if len(batch.Points) > 3 {
				batch.Points = batch.Points[1:]
			}
			return r.Write(context.Background(), batch)
		})
	}},
}

// A test cannot expect another one to fail, so this runs itself with each defect.
func TestDefects(t *testing.T) {
	const variable = "METRICSBUFFER_TEST_DEFECT"
	if defect := os.Getenv(variable); defect != "" {
		sinktest.Run(t, func(*testing.T) sinktest.Subject { return defective[defect].sink() })
		return
	}
	for name, defect := range defective {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(os.Args[0], "-test.run=^TestDefects$/^"+defect.found+"$")
			run.Env = append(os.Environ(), variable+"="+name)
			out, err := run.CombinedOutput()
			require.Error(t, err, "nothing was found: %s", out)
			require.Contains(t, string(out), "--- FAIL: TestDefects/"+defect.found)
		})
	}
}
