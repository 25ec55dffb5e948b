package contender

import (
	"sync"
	"sync/atomic"
)

var onlyCounters = Reasons{"vector": "its key is a struct already: see by name with two tags"}.
	countersOnly("it is a map of counters")

func syncMap() Contender {
	return Contender{
		Name: "sync.Map + atomic", Without: onlyCounters,
		How: "sync.Map of *atomic.Int64, looked up in each operation; reported with Swap(0)",
		Open: func(output Output) (Instance, error) {
			m := new(syncMapInstance)
			m.words = words{output: output, all: m.all}
			return m, nil
		},
	}
}

type syncMapInstance struct {
	series sync.Map
	words
}

func (m *syncMapInstance) Counters(names []string) Loop { return m.Named(names) }
func (m *syncMapInstance) Named(names []string) Loop    { return syncMapLoop(&m.series, names) }

func (m *syncMapInstance) Tagged(name string, labels []Labels) Loop {
	return syncMapLoop(&m.series, keys(name, labels))
}

//go:noinline
func syncMapLoop[K comparable](series *sync.Map, keys []K) Loop {
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			word, ok := series.Load(keys[i])
			if !ok {
				word, _ = series.LoadOrStore(keys[i], new(atomic.Int64))
			}
			word.(*atomic.Int64).Add(1)
		})
	}
}

func (m *syncMapInstance) all(yield func(string, *atomic.Int64)) {
	for key, word := range m.series.Range {
		yield(seriesName(key), word.(*atomic.Int64))
	}
}
