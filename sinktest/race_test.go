//go:build race

package sinktest_test

import (
	"context"

	"github.com/metricsbuffer/metricsbuffer"
)

func init() {
	for name := range hostileDefects { // they are about text, and the other builds find them
		delete(defects, name)
	}
	defects["reads the batch on another goroutine"] = flawed{"Retention", "DATA RACE", writing(
		func(s *sender, ctx context.Context, batch *metricsbuffer.Batch) error {
			go func() { _ = len(batch.Points) }()
			return s.Write(ctx, batch)
		})}
}
