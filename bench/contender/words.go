package contender

import (
	"io"
	"sync/atomic"
)

// words reports, and exports, atomic words by swapping them with zero. Values that could not be reported are added
// back.
type words struct {
	output Output
	text   textWriter
	all    func(yield func(name string, word *atomic.Int64)) // calls it with every word
}

func (w *words) Report() error {
	var reports []Report
	var from []*atomic.Int64
	w.all(func(name string, word *atomic.Int64) {
		if v := word.Swap(0); v != 0 {
			reports, from = append(reports, Report{Name: name, Value: v}), append(from, word)
		}
	})
	err := w.output(reports)
	if err != nil {
		for i, word := range from {
			word.Add(reports[i].Value)
		}
	}
	return err
}

func (w *words) Export(to io.Writer) error {
	var err error
	w.all(func(name string, word *atomic.Int64) {
		if v := word.Swap(0); v != 0 && err == nil {
			err = w.text.line(to, name, v, "|c")
		}
	})
	if err != nil {
		return err
	}
	return w.text.send(to)
}

func (w *words) Close() error { return finally(w.output, w.Report) }
