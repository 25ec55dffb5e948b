package contender

import (
	"errors"
	"io"
	"sync"
)

// mutexMap is the first solution of most programs, and was the fix in Arroyo: a lock, and a swap of the map under it.
func mutexMap() Contender {
	return Contender{
		Name: "Mutex + map", Without: onlyCounters,
		How: "map of int64 under a sync.Mutex; reported by swapping the map, merged back if that fails",
		Open: func(output Output) (Instance, error) {
			return &mutexInstance{mutexCounts[string]{counts: make(map[string]int64), output: output},
				mutexCounts[seriesKey]{counts: make(map[seriesKey]int64)}}, nil
		},
	}
}

type mutexInstance struct {
	mutexCounts[string]                        // audited
	tagged              mutexCounts[seriesKey] // exported only
}

func (m *mutexInstance) Counters(names []string) Loop { return m.loop(names) }
func (m *mutexInstance) Named(names []string) Loop    { return m.loop(names) }
func (m *mutexInstance) Tagged(name string, labels []Labels) Loop {
	return m.tagged.loop(keys(name, labels))
}
func (m *mutexInstance) Close() error { return finally(m.output, m.Report) }

func (m *mutexInstance) Export(w io.Writer) error {
	return errors.Join(m.mutexCounts.Export(w), m.tagged.Export(w))
}

// mutexCounts is the map and its lock.
type mutexCounts[K comparable] struct {
	mu     sync.Mutex
	counts map[K]int64
	output Output
	text   textWriter
}

//go:noinline
func (m *mutexCounts[K]) loop(keys []K) Loop {
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			m.mu.Lock()
			m.counts[keys[i]]++
			m.mu.Unlock()
		})
	}
}

func (m *mutexCounts[K]) take() map[K]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.counts
	m.counts = make(map[K]int64, len(taken))
	return taken
}

func (m *mutexCounts[K]) Report() error {
	taken := m.take()
	reports := make([]Report, 0, len(taken))
	for key, n := range taken {
		reports = append(reports, Report{Name: seriesName(key), Value: n})
	}
	err := m.output(reports)
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for key, n := range taken {
			m.counts[key] += n
		}
	}
	return err
}

func (m *mutexCounts[K]) Export(w io.Writer) error {
	for key, n := range m.take() {
		if err := m.text.line(w, seriesName(key), n, "|c"); err != nil {
			return err
		}
	}
	return m.text.send(w)
}
