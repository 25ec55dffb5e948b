package statsdsink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// An Option is given to [New] and [NewWriter].
type Option func(*Sink) error

// A Form is how timers and histograms go out: see the package comment for what servers make of each.
type Form uint8

// The forms. Of a timer, Parts are in nanoseconds and all others in milliseconds with a fraction, which is StatsD's
// unit; a histogram's are in its own.
const (
	// Parts is the default, and exact at every server: two counters, name.ns.count and name.ns.sum, and two gauges,
	// name.ns.min and name.ns.max. [WithQuantiles] adds to them.
	Parts Form = iota

	// Sum is one line per batch with the total time: name:12.5|ms. It is what clients send that buffer one total per
	// timer; servers take it for one observation. Histograms, which no |ms line can carry, go out as Parts.
	Sum

	// Timings sends how a timer's observations are distributed, as |ms lines: for each bucket that is not empty its
	// middle, and how many it stands for as a sample rate: name:12.5|ms|@0.1 for ten. Histograms go out as Parts.
	Timings

	// Histograms sends timers and histograms so, as |h lines. It is for DogStatsD and statsd_exporter: StatsD itself
	// takes them for counters.
	Histograms

	// Distributions sends timers and histograms so, as |d lines: what Datadog aggregates over all hosts. It is for
	// DogStatsD and statsd_exporter.
	Distributions

	forms = iota
)

// WithTimers sets how timers and histograms go out; the default is [Parts].
func WithTimers(form Form) Option {
	return func(s *Sink) error {
		if form >= forms {
			return fmt.Errorf("unknown form %d of timers: use Parts, Sum, Timings, Histograms or Distributions", form)
		}
		s.encoder.form = form
		return nil
	}
}

// WithQuantiles adds a gauge to the [Parts] of each timer and histogram for each quantile, which lies between 0 and 1:
// name.ns.p50 for 0.5, name.ns.p99_9 for 0.999. A quantile is at most 2.2 % off.
func WithQuantiles(quantiles ...float64) Option {
	return func(s *Sink) error {
		for _, q := range quantiles {
			if !(q > 0 && q < 1) {
				return fmt.Errorf("quantile %v: use numbers between 0 and 1; the minimum and the maximum are always sent", q)
			}
			s.encoder.quantiles = append(s.encoder.quantiles, quantile{q, quantilePart(q)})
		}
		return nil
	}
}

// WithPacking writes several values into one line, as DogStatsD reads them since protocol 1.1 (agent 7.25):
// name:1:2:3|d. It needs [Timings], [Histograms] or [Distributions]. StatsD would keep the last value only, and
// telegraf none.
func WithPacking() Option {
	return func(s *Sink) error {
		s.encoder.packing = true
		return nil
	}
}

// WithTags adds tags to every line. A series that has the same key keeps both: see the package comment for what a key
// is sent as that is there a second time. WithTags may be given several times.
func WithTags(tags ...metricsbuffer.Tag) Option {
	tags = slices.Clone(tags)
	return func(s *Sink) error {
		s.encoder.constant = append(s.encoder.constant, tags...)
		return nil
	}
}

// WithContainerID adds DogStatsD's field with the container that the lines come from, |c:id (protocol 1.2, agent 7.35):
// the agent then knows the container's tags. The id is the container runtime's, or what the agent takes beside it,
// such as in-<inode of the cgroup>: letters, digits, '.', '-' and '_'.
func WithContainerID(id string) Option {
	return func(s *Sink) error {
		if id == "" || classes(id)&special != 0 {
			return fmt.Errorf("container id %q: use letters, digits, '.', '-' and '_'", id)
		}
		s.encoder.container = "|c:" + id
		return nil
	}
}

// WithTimestamps adds DogStatsD's field with the time, |T and Unix seconds (protocol 1.3, agent 7.40), to counters and
// gauges: the end of the batch, when the youngest update in it can have been recorded. The agent then passes the
// values on as they are. As this is for Datadog, a negative gauge is one line, to which a sign means what it says.
func WithTimestamps() Option {
	return func(s *Sink) error {
		s.encoder.stamped = true
		return nil
	}
}

// WithGraphiteTags writes tags as Graphite does, into the name: name;key=value:1|c. Without it they are written as
// DogStatsD does, at the end of the line: name:1|c|#key:value.
func WithGraphiteTags() Option {
	return func(s *Sink) error {
		s.encoder.graphite = true
		return nil
	}
}

// WithPrefix puts prefix in front of each name, as it is: end it with a dot if one is wanted. It may consist of
// letters, digits, '.', '-' and '_' only, and begins with a letter or a digit.
func WithPrefix(prefix string) Option {
	return func(s *Sink) error {
		for i := range len(prefix) {
			if c := class[prefix[i]]; c&special != 0 || i == 0 && c&punctuation != 0 {
				return fmt.Errorf("prefix %q: use letters, digits and, but not first, '.', '-' and '_'", prefix)
			}
		}
		s.encoder.prefix = prefix
		return nil
	}
}

// WithMaxPacket sets how many bytes are sent at once, and therefore the longest point that can be sent; longer ones are
// dropped. The defaults suit most: 1432 for UDP, what Ethernet carries in one piece, and for [NewWriter]; 8192 for
// unixgram (2048 on systems whose default buffers are smaller than Linux's); 4096 for tcp and unix, the longest line
// statsd_exporter reads.
func WithMaxPacket(bytes int) Option {
	return func(s *Sink) error {
		const largestDatagram = 65507
		if bytes < 1 || bytes > largestDatagram {
			return fmt.Errorf("maximum packet of %d bytes: use 1 to %d", bytes, largestDatagram)
		}
		s.maxPacket = bytes
		return nil
	}
}

// configure applies the options, and refuses those that do not go together.
func (s *Sink) configure(opts []Option) error {
	for _, opt := range opts {
		if err := opt(s); err != nil {
			return err
		}
	}
	e := &s.encoder
	switch {
	case e.graphite && e.container != "":
		return errors.New("WithContainerID and WithGraphiteTags: no server reads DogStatsD's fields and Graphite's tags")
	case e.graphite && e.stamped:
		return errors.New("WithTimestamps and WithGraphiteTags: no server reads DogStatsD's fields and Graphite's tags")
	case e.graphite && e.packing:
		return errors.New("WithPacking and WithGraphiteTags: servers that read Graphite's tags read one value per line")
	case e.graphite && e.form >= Histograms:
		return errors.New("WithTimers(Histograms or Distributions) and WithGraphiteTags: " +
			"servers that read Graphite's tags take |h and |d for counters; use Timings")
	case e.packing && e.form < Timings:
		return errors.New("WithPacking needs several values to pack: use WithTimers(Timings, Histograms or Distributions)")
	case len(e.quantiles) > 0 && e.form != Parts:
		return errors.New("WithQuantiles adds to Parts: leave out WithTimers")
	}
	e.prepare()
	s.maxPacket = cmp.Or(s.maxPacket, s.defaultMaxPacket())
	// A point is encoded before it is known to be too much for the packet: twice the size, and nothing that is sent
	// ever makes the buffer grow.
	s.packet = make([]byte, 0, 2*s.maxPacket)
	return nil
}

// prepare derives what every line has from the options.
func (e *encoder) prepare() {
	slices.SortStableFunc(e.quantiles, func(a, b quantile) int { return strings.Compare(a.part, b.part) })
	e.quantiles = slices.CompactFunc(e.quantiles, func(a, b quantile) bool { return a.part == b.part })
	slices.SortStableFunc(e.constant, func(a, b metricsbuffer.Tag) int { return strings.Compare(a.Key, b.Key) })
	e.first, e.separator, e.equal = "|#", ',', ':'
	if e.graphite {
		e.first, e.separator, e.equal = ";", ';', '='
	}
	if len(e.constant) > 0 {
		tags := e.constant
		e.constant = nil // while they are encoded themselves
		e.always = string(e.appendTags(nil, tags))
		e.constant = tags
		e.first = e.always + string(e.separator)
	}
}
