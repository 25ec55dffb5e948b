package pagesink

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/metricsbuffer/metricsbuffer"
)

// A tick is the data of the event that ends an interval.
type tick struct {
	Time     int64   `json:"time"`     // milliseconds since 1970
	Interval float64 `json:"interval"` // seconds between ticks
	Flush    float64 `json:"flush"`    // seconds that the page waited for its batch
	Error    string  `json:"error"`    // for which there was no batch
	Buffer   *buffer `json:"buffer"`
}

// A buffer is the part of [metricsbuffer.Stats] that the page shows.
type buffer struct {
	Recorded   amount     `json:"recorded"`
	Overflowed amount     `json:"overflowed"`
	Overflows  []overflow `json:"overflows"`
	Negatives  exact      `json:"negatives"`
	Series     int        `json:"series"`
	Shards     int        `json:"shards"`
	Bytes      exact      `json:"bytes"`
	Flips      exact      `json:"flips"`
	Fence      string     `json:"fence"`
	Sinks      []sink     `json:"sinks"`
}

type overflow struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Count exact  `json:"count"`
}

type sink struct {
	Name          string           `json:"name"`
	Acknowledged  amount           `json:"acknowledged"`
	Pending       amount           `json:"pending"`
	Dropped       amount           `json:"dropped"`
	PendingSeries int              `json:"pendingSeries"`
	DroppedSeries int              `json:"droppedSeries"`
	Drops         map[string]exact `json:"drops"`
	Batches       exact            `json:"batches"`
	Failures      exact            `json:"failures"`
	LastError     string           `json:"lastError"`
	LastSeconds   float64          `json:"lastSeconds"`
}

type amount struct {
	Increments   exact `json:"increments"`
	Observations exact `json:"observations"`
}

// exact is an integer that JavaScript reads without a loss.
type exact int64

// MarshalJSON returns a number, or a string beyond 2^53.
func (n exact) MarshalJSON() ([]byte, error) { return event(nil).integer(int64(n)), nil }

// tickEvent returns the account after a batch for which the page waited so long. s.mu need not be locked.
func (s *Sink) tickEvent(took time.Duration, err error) []byte {
	t := tick{
		Time: time.Now().UnixMilli(), Interval: s.interval.Seconds(), Flush: took.Seconds(), Buffer: s.account(),
	}
	if err != nil {
		t.Error = textOf(err)
	}
	return begin("tick").json(t).end()
}

// account returns nil if there is no buffer.
func (s *Sink) account() *buffer {
	watched := s.watched.Load()
	if watched == nil {
		return nil
	}
	b := watched.Value()
	if b == nil {
		return nil
	}
	stats := b.Stats()
	account := &buffer{
		Recorded: amountOf(stats.Recorded), Overflowed: amountOf(stats.Overflowed), Overflows: []overflow{},
		Negatives: exact(stats.Negatives), Series: stats.Series, Shards: stats.Shards, Bytes: exact(stats.Bytes),
		Flips: exact(stats.Flips), Fence: stats.Fence, Sinks: []sink{},
	}
	for _, o := range stats.Overflows {
		account.Overflows = append(account.Overflows, overflow{visible(o.Name), o.Kind.String(), exact(o.Count)})
	}
	for i := range stats.Sinks {
		account.Sinks = append(account.Sinks, sinkOf(&stats.Sinks[i]))
	}
	return account
}

func sinkOf(s *metricsbuffer.SinkStats) sink {
	drops := make(map[string]exact, len(s.Drops))
	for reason, n := range s.Drops {
		drops[visible(reason)] = exact(n)
	}
	shown := sink{
		Name:         visible(s.Name),
		Acknowledged: amountOf(s.Acknowledged), Pending: amountOf(s.Pending), Dropped: amountOf(s.Dropped),
		PendingSeries: s.PendingSeries, DroppedSeries: s.DroppedSeries, Drops: drops,
		Batches: exact(s.Batches), Failures: exact(s.Failures), LastSeconds: s.LastDuration.Seconds(),
	}
	if s.LastError != nil {
		shown.LastError = textOf(s.LastError)
	}
	return shown
}

// textOf returns the beginning of an error's text. The error is the code of another sink: a panic of it must not end
// the process. Package fmt would not do, as it panics if the value of the panic cannot be formatted either.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("an error of type %T, whose method Error panics", err)
		}
	}()
	const longest = 300
	text = err.Error()
	if len(text) > longest {
		end := longest
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "… (" + strconv.Itoa(len(text)) + " bytes)"
	}
	return visible(text)
}

func amountOf(t metricsbuffer.Totals) amount {
	return amount{exact(t.Increments), exact(t.Observations)}
}
