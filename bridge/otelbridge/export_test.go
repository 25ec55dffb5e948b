package otelbridge

import "math/big"

// Kept returns the recorded sum of all series of a name, minus the delivered sum.
func (p *MeterProvider) Kept(name string) *big.Rat {
	kept := new(big.Rat)
	add := func(of *definition, steps uint64, start int64) {
		if of.Name == name {
			n := new(big.Int).Sub(new(big.Int).SetUint64(steps), new(big.Int).Lsh(big.NewInt(start), 63))
			kept.Add(kept, new(big.Rat).SetFrac(n, new(big.Int).Lsh(big.NewInt(1), 64)))
		}
	}
	p.counters.each(func(of *definition, s *sum) { add(of, s.rest.Steps(), 0) })
	p.distributions.each(func(of *definition, d *distribution) { add(of, d.rest.Steps(), 1) }) // half
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
