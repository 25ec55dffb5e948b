package contender

import (
	"io"
	"sync/atomic"
)

// atomicWords is the simplest that is right: an atomic.Int64 for each counter. It has no names to look up and no
// timers.
func atomicWords() Contender {
	return Contender{
		Name: "atomic.Int64", How: "one atomic.Int64 per counter, reported with Swap(0) and added back if that fails",
		Without: map[string]string{
			"named": "it has no names", "tagged": "it has no names", "vector": "it has no labels",
			"timer": "it is a counter", "request": "it is a counter",
		},
		Open: func(output Output) (Instance, error) { return &words{output: output}, nil },
	}
}

type words struct {
	names  []string
	words  []atomic.Int64
	output Output
	text   textWriter
}

func (a *words) Close() error {
	if a.output == nil {
		return nil
	}
	return a.Report()
}

func (a *words) Limits() Limits { return Limits{} }

func (a *words) Counters(names []string) Loop {
	a.names, a.words = names, make([]atomic.Int64, len(names))
	return func(_ int, order []uint32) {
		for _, i := range order {
			a.words[i].Add(1)
		}
	}
}

func (a *words) Report() error {
	return reportSwapped(a.output, func(yield func(string, *atomic.Int64)) {
		for i := range a.words {
			yield(a.names[i], &a.words[i])
		}
	})
}

func (a *words) Export(w io.Writer) error {
	return exportSwapped(&a.text, w, func(yield func(string, *atomic.Int64)) {
		for i := range a.words {
			yield(a.names[i], &a.words[i])
		}
	})
}

// reportSwapped reports words by swapping them with zero; what could not be reported is added back.
func reportSwapped(output Output, each func(func(string, *atomic.Int64))) error {
	var reports []Report
	var from []*atomic.Int64
	each(func(name string, word *atomic.Int64) {
		if v := word.Swap(0); v != 0 {
			reports, from = append(reports, Report{Name: name, Value: v}), append(from, word)
		}
	})
	err := output(reports)
	if err != nil {
		for i, word := range from {
			word.Add(reports[i].Value)
		}
	}
	return err
}

// exportSwapped writes words as text by swapping them with zero.
func exportSwapped(text *textWriter, w io.Writer, each func(func(string, *atomic.Int64))) error {
	var err error
	each(func(name string, word *atomic.Int64) {
		if v := word.Swap(0); v != 0 && err == nil {
			err = text.line(w, name, v, "|c")
		}
	})
	if err != nil {
		return err
	}
	return text.send(w)
}
