package contender

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// Several contenders leave the writing of text to a sink or reporter of the program's own. All of them get this one: it
// writes StatsD lines, packed by the maximum UDP payload that does not fragment, as their own clients do.
const packetSize = 1432

// A textWriter packs lines. Its zero value is ready to use.
type textWriter struct{ packet []byte }

// line appends name:value and the kind.
func (t *textWriter) line(w io.Writer, name string, value int64, kind string) error {
	var err error
	if len(t.packet)+len(name)+32 > packetSize {
		err = t.send(w)
	}
	t.packet = append(append(t.packet, name...), ':')
	t.packet = strconv.AppendInt(t.packet, value, 10)
	t.packet = append(append(t.packet, kind...), '\n')
	return err
}

func (t *textWriter) send(w io.Writer) error {
	_, err := w.Write(t.packet)
	t.packet = t.packet[:0]
	return err
}

// lines are for libraries that report one value after the other and take no error: text goes to w, which is in memory,
// or counters go to the audit.
type lines struct {
	output Output
	w      io.Writer
	text   textWriter
}

func (l *lines) add(name string, value int64, kind string) {
	switch {
	case l.output != nil:
		_ = l.output([]Report{{Name: name, Value: value}}) // see Limits.Failing
	case l.w != nil:
		_ = l.text.line(l.w, name, value, kind)
	}
}

func (l *lines) send() error {
	if l.w == nil {
		return nil
	}
	return l.text.send(l.w)
}

// received is for libraries that write lines by themselves: the text goes on to w, or its counters to the audit.
type received struct {
	output Output
	w      io.Writer
}

func (r *received) Close() error { return nil }

func (r *received) Write(payload []byte) (int, error) {
	switch {
	case r.output == nil && r.w == nil:
		return len(payload), nil
	case r.output == nil:
		return r.w.Write(payload)
	}
	var reports []Report
	for line := range bytes.Lines(payload) { // name:value|c
		name, rest, _ := bytes.Cut(line, []byte(":"))
		number, kind, _ := bytes.Cut(rest, []byte("|"))
		if !bytes.HasPrefix(kind, []byte("c")) {
			continue
		}
		value, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("line %q: %w", line, err)
		}
		reports = append(reports, Report{Name: string(name), Value: value})
	}
	if err := r.output(reports); err != nil {
		return 0, err
	}
	return len(payload), nil
}
