package contender

import (
	"io"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

func xsyncV4() Contender {
	return Contender{
		Name: "xsync v4", Module: "github.com/puzpuzpuz/xsync/v4", Without: onlyCounters,
		How:  "Counter by handle, reported as the growth of Value; Map of *atomic.Int64 by name, reported with Swap(0)",
		Open: func(output Output) (Instance, error) { return &xsync4Instance{totals: totals{output: output}}, nil },
	}
}

type xsync4Instance struct {
	totals
	series words // by name
}

func (x *xsync4Instance) Counters(names []string) Loop {
	counters := handles(names, func(string) *xsync.Counter { return xsync.NewCounter() })
	x.of(names, func(i int) int64 { return counters[i].Value() })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (x *xsync4Instance) Named(names []string) Loop { return xsync4Loop(x, names) }

func (x *xsync4Instance) Tagged(name string, labels []Labels) Loop {
	return xsync4Loop(x, keys(name, labels))
}

//go:noinline
func xsync4Loop[K comparable](x *xsync4Instance, keys []K) Loop {
	series := xsync.NewMap[K, *atomic.Int64]()
	x.series.all = func(yield func(string, *atomic.Int64)) {
		for key, word := range series.Range {
			yield(seriesName(key), word)
		}
	}
	return func(_ int, order []uint32) {
		each(order, func(i uint32) {
			word, ok := series.Load(keys[i])
			if !ok {
				word, _ = series.LoadOrStore(keys[i], new(atomic.Int64))
			}
			word.Add(1)
		})
	}
}

// Export writes the counters, or the map.
func (x *xsync4Instance) Export(w io.Writer) error {
	if x.series.all != nil {
		return x.series.Export(w)
	}
	return x.totals.Export(w)
}
