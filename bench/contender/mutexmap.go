package contender

import (
	"io"
	"maps"
	"sync"
	"sync/atomic"
)

var onlyCounters = map[string]string{
	"timer": "it is a map of counters", "request": "it is a map of counters",
	"vector": "its key is a struct already: see by name with two tags",
}

// A seriesKey is the key of a map written by hand: no strings are joined to look it up.
type seriesKey struct{ name, a, b string }

func (k seriesKey) String() string {
	return k.name + ";" + LabelA + "=" + k.a + ";" + LabelB + "=" + k.b
}

// mutexMap is what most programs begin with, and what Arroyo's own fix was: a lock, and a swap of the map under it.
func mutexMap() Contender {
	return Contender{
		Name: "Mutex + map", Without: onlyCounters,
		How:  "map of int64 under a sync.Mutex; reported by swapping the map, merged back if that fails",
		Open: func(output Output) (Instance, error) { return newMutexed(output), nil },
	}
}

type mutexed struct {
	mu     sync.Mutex
	named  map[string]int64
	tagged map[seriesKey]int64
	output Output
	text   textWriter
}

func newMutexed(output Output) *mutexed {
	return &mutexed{named: make(map[string]int64), tagged: make(map[seriesKey]int64), output: output}
}

func (m *mutexed) Limits() Limits { return Limits{} }

func (m *mutexed) Close() error {
	if m.output == nil {
		return nil
	}
	return m.Report()
}

func (m *mutexed) Counters(names []string) Loop { return m.Named(names) }

func (m *mutexed) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			m.mu.Lock()
			m.named[names[i]]++
			m.mu.Unlock()
		}
	}
}

func (m *mutexed) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			m.mu.Lock()
			m.tagged[seriesKey{name, labels[i].A, labels[i].B}]++
			m.mu.Unlock()
		}
	}
}

func (m *mutexed) take() (map[string]int64, map[seriesKey]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	named, tagged := m.named, m.tagged
	m.named, m.tagged = make(map[string]int64, len(named)), make(map[seriesKey]int64, len(tagged))
	return named, tagged
}

func (m *mutexed) Report() error {
	taken, _ := m.take() // tagged counters are not audited
	reports := make([]Report, 0, len(taken))
	for name, v := range taken {
		reports = append(reports, Report{Name: name, Value: v})
	}
	err := m.output(reports)
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for name, v := range taken {
			m.named[name] += v
		}
	}
	return err
}

func (m *mutexed) Export(w io.Writer) error {
	named, tagged := m.take()
	for name, v := range named {
		if err := m.text.line(w, name, v, "|c"); err != nil {
			return err
		}
	}
	for key, v := range tagged {
		if err := m.text.line(w, key.String(), v, "|c"); err != nil {
			return err
		}
	}
	return m.text.send(w)
}

// rwMutexMap shares the lock between writers, which add atomically.
func rwMutexMap() Contender {
	return Contender{
		Name: "RWMutex + map", Without: onlyCounters,
		How: "map of *atomic.Int64, looked up under a sync.RWMutex in each operation; reported with Swap(0)",
		Open: func(output Output) (Instance, error) {
			return &rwMutexed{named: make(map[string]*atomic.Int64), tagged: make(map[seriesKey]*atomic.Int64),
				output: output}, nil
		},
	}
}

type rwMutexed struct {
	mu     sync.RWMutex
	named  map[string]*atomic.Int64
	tagged map[seriesKey]*atomic.Int64
	output Output
	text   textWriter
}

func (m *rwMutexed) Limits() Limits { return Limits{} }

func (m *rwMutexed) Close() error {
	if m.output == nil {
		return nil
	}
	return m.Report()
}

func (m *rwMutexed) Counters(names []string) Loop { return m.Named(names) }

func (m *rwMutexed) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			m.mu.RLock()
			word := m.named[names[i]]
			m.mu.RUnlock()
			if word == nil {
				word = create(&m.mu, m.named, names[i])
			}
			word.Add(1)
		}
	}
}

func (m *rwMutexed) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			key := seriesKey{name, labels[i].A, labels[i].B}
			m.mu.RLock()
			word := m.tagged[key]
			m.mu.RUnlock()
			if word == nil {
				word = create(&m.mu, m.tagged, key)
			}
			word.Add(1)
		}
	}
}

func create[K comparable](mu *sync.RWMutex, words map[K]*atomic.Int64, key K) *atomic.Int64 {
	mu.Lock()
	defer mu.Unlock()
	if words[key] == nil {
		words[key] = new(atomic.Int64)
	}
	return words[key]
}

// each calls f with all words that there are now. Words stay for ever, so f may take its time.
func (m *rwMutexed) each(f func(string, *atomic.Int64)) {
	m.mu.RLock()
	named, tagged := maps.Clone(m.named), maps.Clone(m.tagged)
	m.mu.RUnlock()
	for name, word := range named {
		f(name, word)
	}
	for key, word := range tagged {
		f(key.String(), word)
	}
}

func (m *rwMutexed) Report() error            { return reportSwapped(m.output, m.each) }
func (m *rwMutexed) Export(w io.Writer) error { return exportSwapped(&m.text, w, m.each) }
