package contender

import (
	"maps"
	"sync"
	"sync/atomic"
)

// rwMutexMap shares the lock between writers, which add atomically.
func rwMutexMap() Contender {
	return Contender{
		Name: "RWMutex + map", Without: onlyCounters,
		How:  "map of *atomic.Int64, looked up under a sync.RWMutex in each operation; reported with Swap(0)",
		Open: func(output Output) (Instance, error) { return &rwMutexInstance{words: words{output: output}}, nil },
	}
}

type rwMutexInstance struct {
	mu sync.RWMutex
	words
}

func (m *rwMutexInstance) Counters(names []string) Loop { return m.Named(names) }
func (m *rwMutexInstance) Named(names []string) Loop    { return rwMutexLoop(m, names) }
func (m *rwMutexInstance) Tagged(name string, labels []Labels) Loop {
	return rwMutexLoop(m, keys(name, labels))
}

//go:noinline
func rwMutexLoop[K comparable](m *rwMutexInstance, keys []K) Loop {
	series := make(map[K]*atomic.Int64)
	m.all = func(yield func(string, *atomic.Int64)) {
		m.mu.RLock()
		now := maps.Clone(series) // words stay for ever: yield may take its time
		m.mu.RUnlock()
		for key, word := range now {
			yield(seriesName(key), word)
		}
	}
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			m.mu.RLock()
			word := series[keys[i]]
			m.mu.RUnlock()
			if word == nil {
				m.mu.Lock()
				if word = series[keys[i]]; word == nil {
					word = new(atomic.Int64)
					series[keys[i]] = word
				}
				m.mu.Unlock()
			}
			word.Add(1)
		})
	}
}
