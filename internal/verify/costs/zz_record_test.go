package costs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

func BenchmarkZZRecord(b *testing.B) {
	buffer, _ := metricsbuffer.New()
	counter, second, timer := buffer.Counter("counter"), buffer.Counter("second counter"), buffer.Timer("timer")
	third := buffer.Counter("third")
	ops := []operation{
		{"three", func(_, n int) {
			for i := range n {
				counter.Add(1)
				second.Add(int64(i))
				timer.Observe(time.Duration(i&0xfffff + 1000))
			}
		}},
		{"Record3", func(_, n int) {
			for i := range n {
				metricsbuffer.Record(counter.Delta(1), second.Delta(int64(i)), timer.Took(time.Duration(i&0xfffff+1000)))
			}
		}},
		{"counter+timer", func(_, n int) {
			for i := range n {
				counter.Add(1)
				timer.Observe(time.Duration(i&0xfffff + 1000))
			}
		}},
		{"Record2", func(_, n int) {
			for i := range n {
				metricsbuffer.Record(counter.Delta(1), timer.Took(time.Duration(i&0xfffff+1000)))
			}
		}},
		{"3 counters", func(_, n int) {
			for i := range n {
				counter.Add(1)
				second.Add(int64(i))
				third.Add(int64(i))
			}
		}},
		{"Record 3 counters", func(_, n int) {
			for i := range n {
				metricsbuffer.Record(counter.Delta(1), second.Delta(int64(i)), third.Delta(int64(i)))
			}
		}},
		{"Counter.Add", func(_, n int) {
			for range n {
				counter.Add(1)
			}
		}},
		{"Timer.Observe", func(_, n int) {
			for i := range n {
				timer.Observe(time.Duration(i&0xfffff + 1000))
			}
		}},
	}
	const rounds, n = 25, 200_000
	for range b.N {
		times := make([][]float64, len(ops))
		for round := range rounds + 3 {
			for i, op := range ops {
				t := measure(op, 1, n)
				if round >= 3 {
					times[i] = append(times[i], float64(t)/n)
				}
			}
		}
		m := make([]float64, len(ops))
		for i := range ops {
			slices.Sort(times[i])
			m[i] = times[i][rounds/2]
			fmt.Printf("%-20s %.2f", ops[i].name, m[i])
			if i%2 == 1 && i < 6 {
				fmt.Printf("  ratio %.3f", m[i]/m[i-1])
			}
			fmt.Println()
		}
	}
}
