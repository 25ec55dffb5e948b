// Package pagesink serves a live page with all series of a buffer. It needs a browser and nothing else.
//
//	page, err := pagesink.New()
//	…
//	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(page))
//	…
//	page.Watch(buffer)
//	http.Handle("/debug/metrics/", page)
//
// Each series has a row with its total or value, its rate, a sparkline, and the quantiles p50, p90 and p99. A click
// opens charts of the rate and the quantiles, and a heat map of the buckets, over the last 300 intervals, and shows the
// unit and the help text of [metricsbuffer.Buffer.Describe]. Rows can be searched and sorted. Above them is the account
// of the buffer: recorded, acknowledged, pending and dropped updates, per sink, with the durations of the last
// deliveries and the names that overflow.
//
// # Cost
//
// While nobody looks at the page, no batch is written to it, and it has no goroutine. Updates stay in the buffer, added
// up, until somebody looks, or until [metricsbuffer.Buffer.Flush] or Close. The page keeps the total of each series,
// about 330 bytes, and for a timer or histogram 8 bytes more for each bucket between its smallest and its largest
// observation.
//
// While somebody looks, the page asks the buffer for a batch each second, and sends all viewers the same bytes, about
// 20 for a counter that has changed and 50 to 150 for a timer. There are at most 32 viewers. A viewer that is eight
// messages behind, or that takes more than ten seconds for one, is disconnected, and its browser connects again. The
// first message has all series, with about 180 bytes for a timer with two tags.
//
// The history is in the browser: 300 values (five minutes, by default) of each series, in 1.2 KB for a counter or gauge
// and 5 to 20 KB for a timer or histogram. It begins when the page is opened.
//
// A new series has a row at once, with zero or with what was recorded in it. A gauge has one once it is set. The row
// and the total stay until the buffer forgets the series ([metricsbuffer.WithIdleExpiry]). One that comes back begins
// at zero.
//
// A page that nobody looks at has not acknowledged the last updates of a series. This delays
// [metricsbuffer.WithIdleExpiry], which waits for all sinks. If you use that, give the page an interval, too:
//
//	metricsbuffer.WithSink(page, metricsbuffer.SinkInterval(time.Minute))
//
// # Security
//
// The page has no authentication: guard it as you guard net/http/pprof. It contacts no other host, and its content
// security policy allows neither foreign nor inline scripts and styles. Names, tags and units are shown as text. A
// string with characters that cannot be seen, or one that begins with a quotation mark, is shown as a quoted Go string,
// so that no two series look alike because of characters that cannot be seen.
package pagesink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/cumulative"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

const (
	defaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
)

// A Sink is the page of one buffer. It is an [net/http.Handler] and a [metricsbuffer.Attacher]. All methods but Write
// may be called concurrently.
type Sink struct {
	interval time.Duration
	flush    atomic.Pointer[func(context.Context) error]        // the buffer's; nil before Attach
	watched  atomic.Pointer[weak.Pointer[metricsbuffer.Buffer]] // nil before Watch

	mu      sync.Mutex // guards the fields below
	totals  cumulative.Totals[uint32]
	lastID  uint32
	changes changes // that viewers have not been told of
	viewers map[*viewer]struct{}
	stop    context.CancelFunc // ends the push of the present viewers
	closed  bool
}

// changes are recorded only while there are viewers.
type changes struct {
	described []*series // that began, or got another unit or help text
	ended     []uint32
}

// A series has its number on the page as Detail.
type series = cumulative.Series[uint32]

// An Option is given to [New].
type Option func(*Sink) error

// WithInterval sets how often the page asks for a batch while somebody looks at it: 1 second if not given, and at
// least 100 milliseconds. The history in the browser has 300 intervals.
func WithInterval(d time.Duration) Option {
	return func(s *Sink) error {
		if d < minInterval {
			return fmt.Errorf("WithInterval: %v is less than %v; write time.Second for a second", d, minInterval)
		}
		s.interval = d
		return nil
	}
}

// New returns a page without any series. Give it to one buffer, with [metricsbuffer.WithSink].
func New(opts ...Option) (*Sink, error) {
	s := &Sink{interval: defaultInterval, viewers: make(map[*viewer]struct{})}
	s.totals.Signed = true
	s.totals.Admit = s.begin
	s.totals.Release = s.end
	s.totals.Redescribe = s.describe
	if err := option.Apply("pagesink: New", s, opts); err != nil {
		return nil, err
	}
	return s, nil
}

// String returns "page".
func (s *Sink) String() string { return "page" }

// Attach gives the page its buffer. [metricsbuffer.New] calls it. It returns an error if the page has a buffer already.
func (s *Sink) Attach(flush func(context.Context) error) error {
	if !s.flush.CompareAndSwap(nil, &flush) {
		return errors.New("pagesink: the page has been given to another buffer; make a page for each with pagesink.New")
	}
	return nil
}

// Watch gives the page the buffer whose [metricsbuffer.Stats] it shows. Without it the page has no account. The page
// does not keep the buffer from being collected as garbage. A nil buffer ends the account.
func (s *Sink) Watch(b *metricsbuffer.Buffer) {
	if b == nil {
		s.watched.Store(nil)
		return
	}
	root, _, _ := b.Resolve("") // b may be a scope, which nobody else keeps
	pointer := weak.Make(root)
	s.watched.Store(&pointer)
}

// Write adds the batch to the totals, and tells the viewers. It does not wait for them.
func (s *Sink) Write(_ context.Context, batch *metricsbuffer.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.totals.Add(batch)
	if len(s.viewers) > 0 {
		s.broadcast(s.updateEvents(batch))
	}
	return err
}

// begin is called by s.totals, within Write.
func (s *Sink) begin(total *series) (refused string, err error) {
	s.lastID++
	total.Detail = s.lastID
	s.describe(total)
	return "", nil
}

// describe is called by s.totals, with s.mu locked, and by begin.
func (s *Sink) describe(total *series) {
	if len(s.viewers) > 0 {
		s.changes.described = append(s.changes.described, total)
	}
}

// end is called by s.totals, with s.mu locked.
func (s *Sink) end(total *series) {
	if len(s.viewers) > 0 {
		s.changes.ended = append(s.changes.ended, total.Detail)
	}
}

// Close ends the connections of all viewers. Their pages keep the last values. A page that is opened later shows them,
// too, and is not updated. The buffer calls Close after its last batch. Call it yourself before
// [net/http.Server.Shutdown] if the buffer is closed after that: Shutdown waits for viewers.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for v := range s.viewers {
		s.remove(v)
	}
	return nil
}
