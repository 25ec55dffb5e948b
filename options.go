package metricsbuffer

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Defaults of the options.
const (
	defaultInterval     = time.Second
	defaultSinkTimeout  = 5 * time.Second
	defaultCloseTimeout = 5 * time.Second
	defaultMaxSeries    = 100_000
)

type config struct {
	interval     time.Duration
	closeTimeout time.Duration
	maxSeries    int64
	idleExpiry   time.Duration
	selfMetrics  bool
	tags         []Tag // of every series, sorted
	onError      func(error)
	sinks        []*outlet
	errs         []error // one for each mistake in the options
}

func (c *config) reject(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("metricsbuffer: "+format, args...))
}

// shortest is the shortest interval or timeout accepted; anything shorter is almost certainly a bare number meant as
// seconds.
const shortest = time.Millisecond

func (c *config) checkInterval(option string, d time.Duration) {
	if d != 0 && d < shortest {
		c.reject("%s: %v is less than %v; write 10*time.Second for ten seconds, and 0 to flush on demand only",
			option, d, shortest)
	}
}

func (c *config) checkTimeout(option string, d time.Duration) {
	if d < shortest {
		c.reject("%s: %v is less than %v; write 10*time.Second for ten seconds, or leave the option out for 5s",
			option, d, shortest)
	}
}

// shortestExpiry is the shortest idle expiry accepted. Tests use one that is far below any interval, and a bare number
// of seconds is less up to 2.7 hours.
const shortestExpiry = 10 * time.Microsecond

// An Option configures a [Buffer].
type Option func(*config)

// A SinkOption configures one sink of a [Buffer].
type SinkOption func(*config, *outlet)

// WithSink adds a sink. It gets every update that is recorded in the buffer, also if there are several sinks. Each sink
// has its own interval, and none affects another. It is an error if the sink is nil, or is given twice.
func WithSink(sink Sink, opts ...SinkOption) Option {
	return func(c *config) {
		v := reflect.ValueOf(sink)
		if sink == nil {
			c.reject("WithSink: the sink is nil: give it a sink, or leave the option out")
			return
		}
		if k := v.Kind(); (k == reflect.Pointer || k == reflect.Func || k == reflect.Map || k == reflect.Chan) && v.IsNil() {
			c.reject("WithSink: the sink is a nil %T: give it a sink, or leave the option out", sink)
			return
		}
		for _, o := range c.sinks {
			if v.Kind() == reflect.Pointer && v.Type().Elem().Size() > 0 && o.sink == sink {
				c.reject("WithSink: the sink %s is given twice; each would be written to by itself, concurrently", o.name)
			}
		}
		o := &outlet{name: sinkName(sink), sink: sink, interval: -1, timeout: defaultSinkTimeout, closed: make(chan struct{})}
		o.closer, _ = optional[io.Closer](sink)
		for i, opt := range opts {
			if opt == nil {
				c.reject("WithSink: option %d of %d is nil; leave it out", i+1, len(opts))
				continue
			}
			opt(c, o)
		}
		c.sinks = append(c.sinks, o)
	}
}

// sinkName returns the default name of a sink.
func sinkName(sink Sink) string {
	if s, ok := sink.(fmt.Stringer); ok {
		if name := textOf(s); name != "" {
			return name
		}
	}
	return fmt.Sprintf("%T", sink)
}

// WithInterval sets how often sinks get a batch: 1 second if not given, and at least a millisecond. If d is 0, sinks
// get batches only by [Buffer.Flush] and [Buffer.Close]. [SinkInterval] sets another interval for one sink. A sink that
// is an [Attacher], such as a page for Prometheus, asks for its batches instead.
func WithInterval(d time.Duration) Option {
	return func(c *config) {
		c.checkInterval("WithInterval", d)
		c.interval = d
	}
}

// WithCloseTimeout limits how long [Buffer.Close] waits for the sinks: 5 seconds if not given, and at least a
// millisecond. The final flush of a buffer that was dropped without Close has the same time.
func WithCloseTimeout(d time.Duration) Option {
	return func(c *config) {
		c.checkTimeout("WithCloseTimeout", d)
		c.closeTimeout = d
	}
}

// WithErrorHandler calls f for every failure to deliver, also of flushes that nobody waits for. The error names
// the sink, and wraps the error that the sink returned. Points that failed stay pending. f is also called when a sink
// drops a point for a reason for which it has not dropped one before, and when a polled function fails ([Buffer.Poll]).
// Without a handler, or if f is nil, only [Buffer.Flush], [Buffer.Close] and [Stats] tell of failures to deliver, and
// only [Stats] tells of the others.
//
// f is called on goroutines of its own, one for each sink and one for each polled function that fails. While it is busy
// with one failure of a sink, only the latest of the failures that follow is kept for it; all drops are kept. Close
// does not wait for f: it returns its errors itself. A panic of f ends the program, like any panic on a goroutine.
//
// A buffer that is dropped without Close flushes only if nothing refers to it. So neither f nor a sink may refer to the
// buffer, unless the program closes it.
func WithErrorHandler(f func(error)) Option {
	return func(c *config) { c.onError = f }
}

// WithMaxSeries limits the number of series, 100,000 if not given, and at least one. Updates of a series beyond the
// limit go to the overflow series of its name: it has the same name, kind, unit and decimals, and the one tag
// overflow=true. So totals per name stay right. [Stats] counts these updates. If several goroutines are the first to
// use a series, at the same moment, it counts once for each of them until one has added it. If there are more than n
// overflow series, too, the updates of the others go to an overflow series with the name "metricsbuffer.overflow", of
// the same kind, unit and decimals.
//
// If a program uses exactly the tag overflow=true, its updates go to the overflow series of the name, and count as
// overflowed. A series that has expired ([WithIdleExpiry]) counts against the limit until every sink has acknowledged
// its end. So memory is bounded also while a sink hangs.
//
// For any n there can be at most 7,798,724 counters, 196,606 timers and histograms, and 2,097,152 gauges, and about as
// many overflow series of each. Histograms can have 256 units; those of further units all get the unit "other".
func WithMaxSeries(n int) Option {
	return func(c *config) {
		if n < 1 {
			c.reject("WithMaxSeries: %d is not positive; leave the option out for 100,000 series", n)
		}
		c.maxSeries = int64(n)
	}
}

// WithIdleExpiry forgets series that were not used for d, and frees their memory. A name that comes back is a new
// series; no update is lost in between. Series that an instrument refers to are never forgotten. d is at least
// 10 microseconds, for a shorter one is nearly always a bare number meant as seconds. Without the option, no series is
// forgotten.
//
// The check runs at deliveries. A series is removed between d and 1.25 d plus three intervals after its last use, and
// not before all sinks have acknowledged that use. So a page that nobody scrapes keeps the series that wait for it. A
// buffer without sinks forgets nothing.
func WithIdleExpiry(d time.Duration) Option {
	return func(c *config) {
		if d < shortestExpiry {
			c.reject("WithIdleExpiry: %v is less than %v; write 10*time.Minute for ten minutes, or leave the option out "+
				"to keep all series", d, shortestExpiry)
		}
		c.idleExpiry = d
	}
}

// WithTags adds constant tags, such as host, service and version, to every series that sinks get. Recording is not
// slower for them. If a series or its scope ([Buffer.With]) has a tag with the same key, that tag is taken instead.
// Overflow series have the constant tags, too. A call by name need not repeat a constant tag. If it does, each call
// removes the tag again, which allocates if there are more than 16 tags.
//
// It is an error if a key is empty, is given twice, also by two such options, or is "overflow", which is the key of
// overflow series.
func WithTags(tags ...Tag) Option {
	return func(c *config) {
		for _, t := range tags {
			switch {
			case t.Key == "":
				c.reject("WithTags: the tag with the value %.200q has no key: give it one, or leave it out", t.Value)
			case t.Key == overflowTags[0].Key:
				c.reject("WithTags: the key %q belongs to overflow series: take another key", t.Key)
			case hasKey(c.tags, t.Key):
				c.reject("WithTags: the key %.200q is given twice: remove one of its tags", t.Key)
			}
			c.tags = append(c.tags, Tag{strings.Clone(t.Key), strings.Clone(t.Value)})
		}
		slices.SortFunc(c.tags, compareTags)
	}
}

// WithSelfMetrics makes the buffer record figures of [Stats] as series of its own, which count against [WithMaxSeries].
// Their names begin with "metricsbuffer.". The gauges are series, shards, bytes, sink.pending_series and
// sink.last_duration_seconds; the counters are flips, negatives, rejected, overflowed, sink.batches,
// sink.failures and sink.dropped_points. The series of a sink have the tag sink with its name. A buffer without sinks
// has none of them.
func WithSelfMetrics() Option {
	return func(c *config) { c.selfMetrics = true }
}

// SinkName sets the sink's name in errors and in [SinkStats]. It is an error if it is empty, or if two sinks are given
// the same name. The default is the text that the sink's String method returns, or else its type; if that is taken, a
// number is appended, as in "statsd #2".
func SinkName(name string) SinkOption {
	return func(c *config, o *outlet) {
		if name == "" {
			c.reject("SinkName: the name is empty; leave the option out for the default name")
		}
		for _, other := range c.sinks {
			if other.named && other.name == name {
				c.reject("SinkName: two sinks are named %q; errors and Stats could not tell them apart", name)
			}
		}
		o.name, o.named = strings.Clone(name), true
	}
}

// SinkInterval sets how often the sink gets a batch, instead of the buffer's interval: at least a millisecond. If d is
// 0, the sink gets batches only by [Buffer.Flush] and [Buffer.Close], and when an [Attacher] asks.
func SinkInterval(d time.Duration) SinkOption {
	return func(c *config, o *outlet) {
		c.checkInterval("SinkInterval", d)
		o.interval = d
	}
}

// SinkTimeout limits one Write of the sink: 5 seconds if not given, and at least a millisecond. After that time the
// context of the Write ends. Go cannot interrupt a Write that ignores the end of its context, but nobody waits for it
// any longer.
func SinkTimeout(d time.Duration) SinkOption {
	return func(c *config, o *outlet) {
		c.checkTimeout("SinkTimeout", d)
		o.timeout = d
	}
}

// configure applies the options.
func configure(opts []Option) (*config, error) {
	c := &config{interval: defaultInterval, closeTimeout: defaultCloseTimeout, maxSeries: defaultMaxSeries}
	for i, opt := range opts {
		if opt == nil {
			c.reject("New: option %d of %d is nil; leave it out", i+1, len(opts))
			continue
		}
		opt(c)
	}
	taken := make(map[string]bool)
	for _, o := range c.sinks {
		taken[o.name] = taken[o.name] || o.named
	}
	for _, o := range c.sinks {
		o.onError = c.onError
		if _, attached := optional[Attacher](o.sink); o.interval < 0 && attached {
			o.interval = 0
		} else if o.interval < 0 {
			o.interval = c.interval
		}
		for base, n := o.name, 2; !o.named && taken[o.name]; n++ {
			o.name = fmt.Sprintf("%s #%d", base, n)
		}
		taken[o.name] = true
	}
	return c, errors.Join(c.errs...)
}
