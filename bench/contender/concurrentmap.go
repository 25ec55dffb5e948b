package contender

import (
	"io"
	"sync"
	"sync/atomic"

	xsync3 "github.com/puzpuzpuz/xsync/v3"
	xsync4 "github.com/puzpuzpuz/xsync/v4"
)

func syncMap() Contender {
	return Contender{
		Name: "sync.Map + atomic", Without: onlyCounters,
		How:  "sync.Map of *atomic.Int64, looked up in each operation; reported with Swap(0)",
		Open: func(output Output) (Instance, error) { return &syncMapped{output: output}, nil },
	}
}

type syncMapped struct {
	named, tagged sync.Map
	output        Output
	text          textWriter
}

func (m *syncMapped) Limits() Limits               { return Limits{} }
func (m *syncMapped) Counters(names []string) Loop { return m.Named(names) }
func (m *syncMapped) Report() error                { return reportSwapped(m.output, m.each) }
func (m *syncMapped) Export(w io.Writer) error     { return exportSwapped(&m.text, w, m.each) }

func (m *syncMapped) Close() error {
	if m.output == nil {
		return nil
	}
	return m.Report()
}

func (m *syncMapped) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			word, ok := m.named.Load(names[i])
			if !ok {
				word, _ = m.named.LoadOrStore(names[i], new(atomic.Int64))
			}
			word.(*atomic.Int64).Add(1)
		}
	}
}

func (m *syncMapped) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			key := seriesKey{name, labels[i].A, labels[i].B}
			word, ok := m.tagged.Load(key)
			if !ok {
				word, _ = m.tagged.LoadOrStore(key, new(atomic.Int64))
			}
			word.(*atomic.Int64).Add(1)
		}
	}
}

func (m *syncMapped) each(f func(string, *atomic.Int64)) {
	m.named.Range(func(name, word any) bool {
		f(name.(string), word.(*atomic.Int64))
		return true
	})
	m.tagged.Range(func(key, word any) bool {
		f(key.(seriesKey).String(), word.(*atomic.Int64))
		return true
	})
}

func xsyncV3() Contender {
	return Contender{
		Name: "xsync v3", Module: "github.com/puzpuzpuz/xsync/v3", Without: onlyCounters,
		How: "Counter by handle, reported as what Value grew by; MapOf of *atomic.Int64 by name, reported with Swap(0)",
		Open: func(output Output) (Instance, error) {
			return &xsync3Maps{named: xsync3.NewMapOf[string, *atomic.Int64](),
				tagged: xsync3.NewMapOf[seriesKey, *atomic.Int64](), totals: totals{output: output}}, nil
		},
	}
}

type xsync3Maps struct {
	named  *xsync3.MapOf[string, *atomic.Int64]
	tagged *xsync3.MapOf[seriesKey, *atomic.Int64]
	totals
}

func (m *xsync3Maps) Counters(names []string) Loop {
	counters := make([]*xsync3.Counter, len(names))
	for i, name := range names {
		counters[i] = xsync3.NewCounter()
		m.add(name, counters[i].Value)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc()
		}
	}
}

// Export writes the counters, and then what is in the maps.
func (m *xsync3Maps) Export(w io.Writer) error {
	if err := m.totals.Export(w); err != nil {
		return err
	}
	return exportSwapped(&m.text, w, func(f func(string, *atomic.Int64)) {
		m.named.Range(func(name string, word *atomic.Int64) bool {
			f(name, word)
			return true
		})
		m.tagged.Range(func(key seriesKey, word *atomic.Int64) bool {
			f(key.String(), word)
			return true
		})
	})
}

func (m *xsync3Maps) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			word, ok := m.named.Load(names[i])
			if !ok {
				word, _ = m.named.LoadOrStore(names[i], new(atomic.Int64))
			}
			word.Add(1)
		}
	}
}

func (m *xsync3Maps) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			key := seriesKey{name, labels[i].A, labels[i].B}
			word, ok := m.tagged.Load(key)
			if !ok {
				word, _ = m.tagged.LoadOrStore(key, new(atomic.Int64))
			}
			word.Add(1)
		}
	}
}

func xsyncV4() Contender {
	return Contender{
		Name: "xsync v4", Module: "github.com/puzpuzpuz/xsync/v4", Without: onlyCounters,
		How: "Counter by handle, reported as what Value grew by; Map of *atomic.Int64 by name, reported with Swap(0)",
		Open: func(output Output) (Instance, error) {
			return &xsync4Maps{named: xsync4.NewMap[string, *atomic.Int64](),
				tagged: xsync4.NewMap[seriesKey, *atomic.Int64](), totals: totals{output: output}}, nil
		},
	}
}

type xsync4Maps struct {
	named  *xsync4.Map[string, *atomic.Int64]
	tagged *xsync4.Map[seriesKey, *atomic.Int64]
	totals
}

func (m *xsync4Maps) Counters(names []string) Loop {
	counters := make([]*xsync4.Counter, len(names))
	for i, name := range names {
		counters[i] = xsync4.NewCounter()
		m.add(name, counters[i].Value)
	}
	return func(_ int, order []uint32) {
		for _, i := range order {
			counters[i].Inc()
		}
	}
}

// Export writes the counters, and then what is in the maps.
func (m *xsync4Maps) Export(w io.Writer) error {
	if err := m.totals.Export(w); err != nil {
		return err
	}
	return exportSwapped(&m.text, w, func(f func(string, *atomic.Int64)) {
		m.named.Range(func(name string, word *atomic.Int64) bool {
			f(name, word)
			return true
		})
		m.tagged.Range(func(key seriesKey, word *atomic.Int64) bool {
			f(key.String(), word)
			return true
		})
	})
}

func (m *xsync4Maps) Named(names []string) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			word, ok := m.named.Load(names[i])
			if !ok {
				word, _ = m.named.LoadOrStore(names[i], new(atomic.Int64))
			}
			word.Add(1)
		}
	}
}

func (m *xsync4Maps) Tagged(name string, labels []Labels) Loop {
	return func(_ int, order []uint32) {
		for _, i := range order {
			key := seriesKey{name, labels[i].A, labels[i].B}
			word, ok := m.tagged.Load(key)
			if !ok {
				word, _ = m.tagged.LoadOrStore(key, new(atomic.Int64))
			}
			word.Add(1)
		}
	}
}
