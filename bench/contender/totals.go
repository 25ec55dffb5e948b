package contender

import "io"

// totals reports, and exports, counters that only grow and are never reset, as Prometheus does. No update can be lost
// between reading and resetting, and the report after a failed one contains everything.
type totals struct {
	output Output
	text   textWriter
	names  []string
	value  func(i int) int64 // of names[i]
	last   []int64           // exported so far
}

// of sets the totals.
func (t *totals) of(names []string, value func(i int) int64) {
	t.names, t.value, t.last = names, value, make([]int64, len(names))
}

func (t *totals) Report() error {
	reports := make([]Report, len(t.names))
	for i, name := range t.names {
		reports[i] = Report{Name: name, Value: t.value(i), Total: true}
	}
	return t.output(reports)
}

// Export writes the additions since the last time.
func (t *totals) Export(w io.Writer) error {
	for i, name := range t.names {
		v := t.value(i)
		if v == t.last[i] {
			continue
		}
		if err := t.text.line(w, name, v-t.last[i], "|c"); err != nil {
			return err
		}
		t.last[i] = v
	}
	return t.text.send(w)
}

func (t *totals) Close() error { return finally(t.output, t.Report) }

// finally reports once more, if there is an output. For a library without Close this is closing.
func finally(output Output, report func() error) error {
	if output == nil {
		return nil
	}
	return report()
}
