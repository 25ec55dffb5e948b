package statsdsink

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

// An Option is given to [New], [NewWriter] and [FromEnvironment].
type Option func(*Sink) error

// A Form is the way in which timers and histograms are sent. The package documentation compares the forms.
type Form uint8

// The forms. Parts sends a timer in nanoseconds. All other forms send it in milliseconds with decimals, which is
// StatsD's unit. A histogram is sent in its own unit.
const (
	// Timings is the default. Each bucket of a timer that is not empty becomes one |ms line, with the middle of the
	// bucket and a sample rate that tells the number of observations: name:12.5|ms|@0.1 for ten. Histograms are sent as
	// Parts.
	Timings Form = iota

	// Parts is exact at every server, in sums too. A timer becomes two counters, name.ns.count and name.ns.sum, and two
	// gauges, name.ns.min and name.ns.max. [WithQuantiles] adds more gauges.
	Parts

	// Sum sends one line per timer and batch, with the total time: name:12.5|ms. Servers count it as one observation.
	// Histograms are sent as Parts.
	Sum

	// Histograms sends timers and histograms like Timings, but as |h lines. DogStatsD servers, statsd_exporter, telegraf
	// and gostatsd read them. StatsD takes them for counters.
	Histograms

	// Distributions sends timers and histograms like Timings, but as |d lines. Datadog aggregates them over all hosts.
	// DogStatsD servers, statsd_exporter and the OpenTelemetry Collector read them.
	Distributions

	forms = iota
)

// isDistribution reports whether the form sends the buckets of a timer.
func (f Form) isDistribution() bool { return f == Timings || f == Histograms || f == Distributions }

// WithTimers sets the form of timers and histograms. The default is [Timings].
func WithTimers(form Form) Option {
	return func(s *Sink) error {
		if form >= forms {
			return fmt.Errorf("the form of timers %d is unknown: use Timings, Parts, Sum, Histograms or Distributions", form)
		}
		s.encoder.form = form
		return nil
	}
}

// WithQuantiles adds a gauge per quantile to the [Parts] of each timer and histogram: name.ns.p50 for 0.5 and
// name.ns.p99_9 for 0.999. A quantile lies between 0 and 1. Its gauge is at most 2.2 % off.
func WithQuantiles(quantiles ...float64) Option {
	quantiles = slices.Clone(quantiles)
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

// WithPacking writes several values into one line, name:1:2:3|d, as version 1.1 of Datadog's protocol allows.
// Datadog's agent (from 7.25 on), statsd_exporter and veneur read such lines. All other servers lose values: StatsD
// keeps the last one of a line; telegraf, the OpenTelemetry Collector and gostatsd keep none. It needs a form that
// sends buckets: [Timings], [Histograms] or [Distributions].
func WithPacking() Option {
	return func(s *Sink) error {
		s.encoder.packing = true
		return nil
	}
}

// WithTags adds tags to every line. A series that has a tag of the same key keeps it, under another key: see "Names,
// keys and values" in the package documentation. The tags of several WithTags add up.
func WithTags(tags ...metricsbuffer.Tag) Option {
	tags = slices.Clone(tags)
	return func(s *Sink) error {
		s.encoder.constant = append(s.encoder.constant, tags...)
		return nil
	}
}

// WithContainerID adds the id of the container to every line, |c:id, so that Datadog's agent can add the container's
// tags (protocol 1.2, agent 7.35). The id is the container runtime's, or another one that the agent knows, such as
// in-<inode of the cgroup>. It consists of letters, digits, '.', '-' and '_'.
func WithContainerID(id string) Option {
	return func(s *Sink) error {
		if id == "" || classes(id)&special != 0 {
			return fmt.Errorf("container id %q: use letters, digits, '.', '-' and '_'", id)
		}
		s.encoder.container = "|c:" + id
		return nil
	}
}

// WithTimestamps adds the time to counters and gauges, |T and Unix seconds (protocol 1.3, agent 7.40). The time is the
// end of the batch. Datadog's agent then passes the values on without aggregating them. Datadog keeps one of two values
// of a series that have the same second: so use intervals of several seconds. Negative gauges are sent as with
// [WithSignedGauges].
func WithTimestamps() Option {
	return func(s *Sink) error {
		s.encoder.stamped, s.encoder.signed = true, true
		return nil
	}
}

// WithSignedGauges sends a negative gauge as one line, g:-5|g. It is for servers that take the sign for a part of the
// number: Datadog's agent, gostatsd and veneur. Without it, a negative gauge is two lines, g:0|g and g:-5|g, because
// StatsD, statsd_exporter, telegraf and most others take a sign for "add this to the gauge".
func WithSignedGauges() Option {
	return func(s *Sink) error {
		s.encoder.signed = true
		return nil
	}
}

// WithGraphiteTags writes tags as Graphite does, as a part of the name: name;key=value:1|c. By default they stand at
// the end of the line, as DogStatsD has them: name:1|c|#key:value.
func WithGraphiteTags() Option {
	return func(s *Sink) error {
		s.encoder.graphite = true
		return nil
	}
}

// WithPrefix puts prefix in front of each name, as it is: it should end with a dot. It consists of letters, digits,
// '.', '-' and '_', and begins with a letter or a digit.
func WithPrefix(prefix string) Option {
	return func(s *Sink) error {
		for i := range len(prefix) {
			if c := class[prefix[i]]; c&special != 0 || i == 0 && c&punctuation != 0 {
				return fmt.Errorf("prefix %q: use letters, digits, '.', '-' and '_', and begin with a letter or a digit", prefix)
			}
		}
		s.encoder.prefix = prefix
		return nil
	}
}

// WithMaxPacket sets the greatest length of a packet. Points that do not fit into a packet are dropped. A length
// that is too small for the shortest line, which has the prefix and the tags of every line, is an error. The defaults
// suit most networks: 1432 bytes for UDP, which Ethernet carries in one piece, and for [NewWriter]; 8192 for unixgram,
// or 2048 on systems other than Linux, whose sockets have smaller buffers; 4096 for tcp and unix, the longest line
// that statsd_exporter reads.
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

// WithKeptConnection sends all batches over one connection, for targets of tcp and unix. By default every batch has a
// connection of its own, whose end proves that the server has read the batch. This option is for servers that take each
// connection for another client, or for which connections are expensive.
//
// The sink looks whether the server has closed the connection before each batch, and connects again if so. After each
// batch it listens for another 2 milliseconds. If the server closes or resets the connection in that time, the batch
// counts as failed and is sent again. The sink cannot know more: a nil error means that this machine's kernel has the
// batch. The batch is lost if the server or the network fails before the server has read it. If the server's machine is
// cut off, batches count as delivered until TCP gives up, which takes 15 minutes on Linux: all of them are lost, unless
// the machine comes back before. A batch is doubled if the server has read it, wholly or in part, and then fails in
// these 2 milliseconds or during the batch.
func WithKeptConnection() Option {
	return func(s *Sink) error {
		s.kept = true
		return nil
	}
}

// apply applies the options.
func (s *Sink) apply(opts []Option) error {
	for i, opt := range opts {
		if opt == nil {
			return fmt.Errorf("option %d of %d is nil: leave it out", i+1, len(opts))
		}
		if err := opt(s); err != nil {
			return err
		}
	}
	return nil
}

// configure applies the options, and refuses those that do not go together.
func (s *Sink) configure(opts []Option) error {
	if err := s.apply(opts); err != nil {
		return err
	}
	e := &s.encoder
	switch {
	case s.kept && !s.target.isStream():
		return errors.New("WithKeptConnection is for targets of tcp and unix: leave it out; others have no connections")
	case e.graphite && e.container != "":
		return errors.New("WithContainerID and WithGraphiteTags: no server reads both: leave one out")
	case e.graphite && e.stamped:
		return errors.New("WithTimestamps and WithGraphiteTags: no server reads both: leave one out")
	case e.graphite && e.packing:
		return errors.New("WithPacking and WithGraphiteTags: no server reads both: leave one out")
	case e.graphite && (e.form == Histograms || e.form == Distributions):
		return errors.New("WithTimers(Histograms or Distributions) and WithGraphiteTags: " +
			"servers that read Graphite's tags take |h and |d for counters: use WithTimers(Timings)")
	case e.packing && !e.form.isDistribution():
		return errors.New("WithPacking has nothing to pack: use WithTimers(Timings, Histograms or Distributions)")
	case len(e.quantiles) > 0 && e.form != Parts:
		return errors.New("WithQuantiles adds gauges to Parts: use WithTimers(Parts), too")
	}
	e.prepare()
	s.maxPacket = cmp.Or(s.maxPacket, s.defaultMaxPacket())
	shortest, _ := e.append(nil, &metricsbuffer.Point{Name: "a", Count: 1})
	if s.maxPacket < len(shortest) {
		return fmt.Errorf("a packet of %d bytes has no room for any line: the shortest, %.200q, has %d bytes: "+
			"shorten the prefix and the constant tags, or give WithMaxPacket more bytes", s.maxPacket, shortest, len(shortest))
	}
	// A point is encoded before its length is known: there is room for one of the longest behind a full packet, and
	// a point that is sent never makes the memory grow.
	s.packet = make([]byte, 0, 2*s.maxPacket)
	return nil
}

func (s *Sink) defaultMaxPacket() int {
	switch {
	case s.target.isStream():
		return 4096
	case s.target.network != "unixgram":
		return 1432
	case runtime.GOOS == "linux":
		return 8192
	}
	return 2048
}

// prepare derives the parts that are the same in every line.
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
		e.constant = nil // so that appendTags does not take its own tags for repeated ones
		e.always = string(e.appendTags(nil, tags))
		e.constant = tags
		e.first = e.always + string(e.separator)
	}
}
