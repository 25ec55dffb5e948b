package contender

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// Several contenders leave the writing of text to a sink or reporter of the program's own. For all of them it is what
// stands here: StatsD lines, packed by the maximum UDP payload that does not fragment, as their own clients do.
const packetSize = 1432

// A textWriter packs lines. Its zero value is ready to use.
type textWriter struct {
	packet []byte
}

// line appends name:value|kind and, if there are any, the tags.
func (t *textWriter) line(w io.Writer, name string, value int64, kind string, tags ...metricsbuffer.Tag) error {
	size := len(name) + 32
	for i := range tags {
		size += len(tags[i].Key) + len(tags[i].Value) + 2
	}
	err := t.room(w, size)
	t.packet = append(t.packet, name...)
	t.packet = append(t.packet, ':')
	t.packet = strconv.AppendInt(t.packet, value, 10)
	t.packet = append(t.packet, kind...)
	separator := "|#"
	for i := range tags {
		t.packet = append(t.packet, separator...)
		t.packet = append(t.packet, tags[i].Key...)
		t.packet = append(t.packet, ':')
		t.packet = append(t.packet, tags[i].Value...)
		separator = ","
	}
	t.packet = append(t.packet, '\n')
	return err
}

// gauge appends name:value|g.
func (t *textWriter) gauge(w io.Writer, name string, value float64) error {
	err := t.room(w, len(name)+32)
	t.packet = append(t.packet, name...)
	t.packet = append(t.packet, ':')
	t.packet = strconv.AppendFloat(t.packet, value, 'f', -1, 64)
	t.packet = append(t.packet, "|g\n"...)
	return err
}

// room sends the packet if n more bytes might not fit.
func (t *textWriter) room(w io.Writer, n int) error {
	if len(t.packet)+n <= packetSize {
		return nil
	}
	return t.send(w)
}

func (t *textWriter) send(w io.Writer) error {
	_, err := w.Write(t.packet)
	t.packet = t.packet[:0]
	return err
}

// A textSink writes this library's batches as lines.
type textSink struct {
	w    io.Writer // set before each Flush; flushes are not concurrent when text is wanted
	text textWriter
}

func (s *textSink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	if s.w == nil {
		return nil
	}
	for i := range batch.Points {
		p := &batch.Points[i]
		var err error
		switch p.Kind {
		case metricsbuffer.KindCounter:
			err = s.text.line(s.w, p.Name, p.Count, "|c", p.Tags...)
		case metricsbuffer.KindGauge:
			err = s.text.gauge(s.w, p.Name, p.Value)
		default:
			err = errors.Join(s.text.line(s.w, p.Name+".count", p.Count, "|c", p.Tags...),
				s.text.line(s.w, p.Name+".p99", int64(p.Quantile(0.99)), "|g", p.Tags...))
		}
		if err != nil {
			return err
		}
	}
	return s.text.send(s.w)
}
