package statsdsink_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/statsdsink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A reader is a server that keeps the text of the connections that it has read to their end.
type reader struct {
	t        *testing.T
	listener net.Listener
	reading  sync.WaitGroup

	mu      sync.Mutex
	text    strings.Builder
	stalled chan struct{} // not nil: connections are not closed before it is
}

func (r *reader) start(address string) {
	require.Eventually(r.t, func() (ok bool) {
		var err error
		r.listener, err = net.Listen("tcp", address)
		return err == nil
	}, 5*time.Second, time.Millisecond)
	r.reading.Add(1)
	go func(listener net.Listener) {
		defer r.reading.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.read(conn)
		}
	}(r.listener)
}

func (r *reader) read(conn net.Conn) {
	defer conn.Close()
	r.mu.Lock()
	stalled := r.stalled
	r.mu.Unlock()
	if stalled != nil {
		<-stalled
		return
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(text)
}

// stop returns when all accepted connections have been read.
func (r *reader) stop() {
	r.resume()
	_ = r.listener.Close()
	r.reading.Wait()
}

func (r *reader) stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled = make(chan struct{})
}

func (r *reader) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stalled != nil {
		close(r.stalled)
		r.stalled = nil
	}
}

func (r *reader) received() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		r := &reader{t: t}
		r.start("127.0.0.1:0")
		address := r.listener.Addr().String()
		t.Cleanup(func() { r.stop() })
		sink, err := statsdsink.New("tcp://" + address)
		require.NoError(t, err)
		broken := false
		return sinktest.Subject{
			Sink:     sink,
			Received: func() ([]metricsbuffer.Point, error) { return points(r.received()) },
			Break:    func() { broken = true; r.stop() },
			Stall:    r.stall,
			Mend: func() {
				r.resume()
				if broken {
					broken = false
					r.start(address)
				}
			},
		}
	})
}

var raced bool // a build with the race detector

// The other forms, written to a writer.
func TestConformanceOfForms(t *testing.T) {
	if raced {
		t.Skip("the forms differ in text only: TestConformance looks for races")
	}
	for name, opts := range map[string][]statsdsink.Option{
		"parts, graphite":       {parts, statsdsink.WithGraphiteTags()},
		"distributions, packed": {statsdsink.WithTimers(statsdsink.Distributions), statsdsink.WithPacking()},
		"histograms, signed":    {statsdsink.WithTimers(statsdsink.Histograms), statsdsink.WithSignedGauges()},
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Subject {
				w := new(breakable)
				sink, err := statsdsink.NewWriter(w, opts...)
				require.NoError(t, err)
				return sinktest.Subject{
					Sink:     sink,
					Received: func() ([]metricsbuffer.Point, error) { return points(w.String()) },
					Break:    func() { w.set(true) },
					Mend:     func() { w.set(false) },
				}
			})
		})
	}
}

// A breakable is a file on a disk that can be full.
type breakable struct {
	mu   sync.Mutex
	text strings.Builder
	full bool
}

func (b *breakable) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return 0, errors.New("no space left")
	}
	return b.text.Write(p)
}

func (b *breakable) set(full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full = full
}

func (b *breakable) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var (
	line = regexp.MustCompile(
		`^((?:[A-Za-z0-9]|_x)[\w.-]*)((?:;[\w.-]+=[\w.-]+)*):([^|]+)\|(c|g|ms|h|d)(?:\|@([\d.]+))?(?:\|#([\w.:,-]+))?$`)
	partOfName = regexp.MustCompile(`^(.*)\.(ns|hist|hist-\w+)\.(count|sum|min|max)$`)
	ownName    = regexp.MustCompile(`^(.*)\.(hist|hist-\w+)$`)
	escapes    = regexp.MustCompile(`_x([0-9A-F]{2})?_`)
)

// points reads lines as the package documentation describes them.
func points(text string) (all []metricsbuffer.Point, err error) {
	for l := range strings.Lines(text) {
		read, err := pointsOf(strings.TrimSuffix(l, "\n"))
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", l, err)
		}
		all = append(all, read...)
	}
	return all, nil
}

func pointsOf(l string) (all []metricsbuffer.Point, err error) {
	match := line.FindStringSubmatch(l)
	if match == nil {
		return nil, errors.New("no line of StatsD's")
	}
	name, graphite, values, kind, rate, dogstatsd := match[1], match[2], match[3], match[4], match[5], match[6]
	p := metricsbuffer.Point{Name: name}
	var part string
	switch kind {
	case "c", "g":
		p.Kind = map[string]metricsbuffer.Kind{"c": metricsbuffer.KindCounter, "g": metricsbuffer.KindGauge}[kind]
		if match := partOfName.FindStringSubmatch(name); match != nil {
			p.Name, part = match[1], match[3]
			p.Kind, p.Unit = metricsbuffer.KindTimer, ""
			if match[2] != "ns" {
				p.Kind, p.Unit = metricsbuffer.KindHistogram, strings.TrimPrefix(match[2][len("hist"):], "-")
			}
		}
	default:
		p.Kind = metricsbuffer.KindTimer
		if match := ownName.FindStringSubmatch(name); match != nil && kind != "ms" {
			p.Name = match[1]
			p.Kind, p.Unit = metricsbuffer.KindHistogram, strings.TrimPrefix(match[2][len("hist"):], "-")
		}
	}
	p.Name, p.Unit = original(p.Name), original(p.Unit)
	for tag := range strings.FieldsFuncSeq(graphite, func(r rune) bool { return r == ';' }) {
		key, value, _ := strings.Cut(tag, "=")
		p.Tags = append(p.Tags, metricsbuffer.Tag{Key: original(key), Value: original(value)})
	}
	for tag := range strings.SplitSeq(dogstatsd, ",") {
		if key, value, found := strings.Cut(tag, ":"); found && value != "" {
			p.Tags = append(p.Tags, metricsbuffer.Tag{Key: original(key), Value: original(value)})
		} else if dogstatsd != "" {
			return nil, fmt.Errorf("the tag %q has no value", tag)
		}
	}
	slices.SortStableFunc(p.Tags, func(a, b metricsbuffer.Tag) int {
		return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value)
	})
	weight := 1.0
	if rate != "" {
		r, err := strconv.ParseFloat(rate, 64)
		if err != nil {
			return nil, err
		}
		if weight = 1 / r; weight != math.Trunc(weight) {
			return nil, fmt.Errorf("%v observations", weight)
		}
	}
	for written := range strings.SplitSeq(values, ":") {
		value, err := strconv.ParseFloat(written, 64)
		if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, fmt.Errorf("the value %q: %w", written, err)
		}
		p := p
		switch {
		case kind == "ms" || p.Kind == metricsbuffer.KindTimer && part == "":
			p.Count, p.Sum = int64(weight), int64(value*weight*1e6)
		case part == "sum":
			p.Sum, err = strconv.ParseInt(written, 10, 64)
		case part == "min" || part == "max":
			continue
		case p.Kind == metricsbuffer.KindHistogram && part == "":
			p.Count, p.Sum = int64(weight), int64(value*weight)
		case p.Kind == metricsbuffer.KindGauge:
			p.Value = value
		default:
			p.Count, p.Decimals, err = sinktest.ParseAmount(written)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// original undoes the escaping.
func original(s string) string {
	return escapes.ReplaceAllStringFunc(s, func(match string) string {
		b, _ := hex.DecodeString(strings.Trim(match, "_x"))
		return string(b)
	})
}
