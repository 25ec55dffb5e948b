package contender

import "io"

// totals reports, and exports, counters that only grow and are never reset. Nothing can be lost between reading and
// resetting, and a report that failed is made up for by the next: this is the way of Prometheus.
type totals struct {
	names  []string
	values []func() int64
	last   []int64 // exported so far
	output Output
	text   textWriter
}

func (t *totals) add(name string, value func() int64) {
	t.names, t.values, t.last = append(t.names, name), append(t.values, value), append(t.last, 0)
}

func (t *totals) Limits() Limits { return Limits{} }

func (t *totals) Close() error {
	if t.output == nil {
		return nil
	}
	return t.Report()
}

func (t *totals) Report() error {
	reports := make([]Report, len(t.names))
	for i, value := range t.values {
		reports[i] = Report{Name: t.names[i], Value: value(), Total: true}
	}
	return t.output(reports)
}

// Export writes what was added since the last time.
func (t *totals) Export(w io.Writer) error {
	for i, value := range t.values {
		v := value()
		if v == t.last[i] {
			continue
		}
		if err := t.text.line(w, t.names[i], v-t.last[i], "|c"); err != nil {
			return err
		}
		t.last[i] = v
	}
	return t.text.send(w)
}
