package contender

import (
	"io"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
)

func xsyncV3() Contender {
	return Contender{
		Name: "xsync v3", Module: "github.com/puzpuzpuz/xsync/v3", Without: onlyCounters,
		How:  "Counter by handle, reported as the growth of Value; MapOf of *atomic.Int64 by name, reported with Swap(0)",
		Open: func(output Output) (Instance, error) { return &xsync3Instance{totals: totals{output: output}}, nil },
	}
}

type xsync3Instance struct {
	totals
	series words // by name
}

func (x *xsync3Instance) Counters(names []string) Loop {
	counters := handles(names, func(string) *xsync.Counter { return xsync.NewCounter() })
	x.of(names, func(i int) int64 { return counters[i].Value() })
	return func(_ int, order []uint32) { each(order, func(i uint32) { counters[i].Inc() }) }
}

func (x *xsync3Instance) Named(names []string) Loop { return xsync3Loop(x, names) }

func (x *xsync3Instance) Tagged(name string, labels []Labels) Loop {
	return xsync3Loop(x, keys(name, labels))
}

//go:noinline
func xsync3Loop[K comparable](x *xsync3Instance, keys []K) Loop {
	series := xsync.NewMapOf[K, *atomic.Int64]()
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
func (x *xsync3Instance) Export(w io.Writer) error {
	if x.series.all != nil {
		return x.series.Export(w)
	}
	return x.totals.Export(w)
}
