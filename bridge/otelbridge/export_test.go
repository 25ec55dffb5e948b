package otelbridge

import (
	"math/big"

	"github.com/metricsbuffer/metricsbuffer/bridge/internal/fraction"
)

// Kept returns the recorded sum of all series of a name, minus the delivered sum.
func (p *MeterProvider) Kept(name string) *big.Rat {
	kept, seen := new(big.Rat), map[*fraction.Rest]bool{nil: true}
	add := func(of *definition, rest *fraction.Rest, start int64) {
		if of.Name == name && !seen[rest] {
			seen[rest] = true
			n := new(big.Int).Sub(new(big.Int).SetUint64(rest.Steps()), new(big.Int).Lsh(big.NewInt(start), 63))
			kept.Add(kept, new(big.Rat).SetFrac(n, new(big.Int).Lsh(big.NewInt(1), 64)))
		}
	}
	p.counters.each(func(of *definition, s *sum) { add(of, s.rest.Load(), 0) })
	p.distributions.each(func(of *definition, d *distribution) { add(of, d.rest.Load(), 1) }) // half
	return kept
}

func (t *table[S]) each(f func(*definition, S)) {
	t.byHash.Range(func(_ uint64, e *entry[S]) bool {
		for ; e != nil; e = e.next {
			f(e.of, e.series)
		}
		return true
	})
}
