package metricsbuffer

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/internal/owner"
)

// TestGaugeIsMarkedAfterItsValue has one goroutine change a gauge while another takes it, as the flusher does. A value
// that was set before the flusher looks is delivered by it, or was delivered before.
func TestGaugeIsMarkedAfterItsValue(t *testing.T) {
	changes := 200_000
	if owner.Exclusive {
		changes *= 25
	}
	for name, change := range map[string]func(c *gaugeCell, v float64){
		"set": func(c *gaugeCell, v float64) { c.set(v) },
		"add": func(c *gaugeCell, _ float64) { c.add(1) },
	} {
		t.Run(name, func(t *testing.T) {
			var cell gaugeCell
			var changed atomic.Int64
			go func() {
				for n := int64(1); n <= int64(changes); n++ {
					change(&cell, float64(n))
					changed.Store(n)
					for range 50 { // long enough for the other to come by twice
						changed.Load()
					}
				}
			}()
			missed, delivered := 0, int64(0)
			for n := int64(0); n < int64(changes); {
				n = changed.Load()
				if cell.take() {
					delivered = int64(cell.value())
				}
				if delivered < n {
					missed++
				}
			}
			require.Zero(t, missed, "values that were set and not delivered")
		})
	}
}
