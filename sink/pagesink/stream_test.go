package pagesink_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A stream reads the events of a page, and is as strict as a browser.
type stream struct {
	lines  *bufio.Reader
	header http.Header
	close  func()
}

// connect opens the events of the page at the address.
func connect(t *testing.T, address string) *stream {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"events", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	return &stream{bufio.NewReader(response.Body), response.Header, cancel}
}

// next returns the name and the data of the next event.
func (s *stream) next() (name string, data []byte, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		line, _ = strings.CutSuffix(line, "\n")
		field, value, ok := strings.Cut(line, ": ")
		switch {
		case err != nil:
			return "", nil, err
		case line == "" && data != nil:
			if !json.Valid(data) {
				return "", nil, fmt.Errorf("event %s is not JSON: %.200q", name, data)
			}
			return name, data, nil
		case line == "":
		case ok && field == "event":
			name = value
		case ok && field == "data" && data == nil:
			data = []byte(value)
		case !ok || field != "retry":
			return "", nil, fmt.Errorf("the line %.200q is of no event", line)
		}
	}
}

// A snapshot has all that the events until a tick said.
type snapshot struct {
	series map[float64]metricsbuffer.Point
	tick   account
	live   int // rows of batches
	timed  int // events of rows that tell the time of their batch
}

type account struct {
	Time   int64
	Flush  float64
	Error  string
	Buffer *struct {
		Recorded  totals
		Overflows []struct{ Name string }
		Sinks     []struct {
			Name                           string
			Acknowledged, Pending, Dropped totals
			LastError                      string
			Drops                          map[string]int64
		}
	}
}

type totals struct{ Increments, Observations exact }

// exact is an integer that is a string beyond 2^53.
type exact int64

func (n *exact) UnmarshalJSON(text []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*n = exact(v)
	return err
}

var kinds = map[string]metricsbuffer.Kind{
	"counter": metricsbuffer.KindCounter, "timer": metricsbuffer.KindTimer,
	"gauge": metricsbuffer.KindGauge, "histogram": metricsbuffer.KindHistogram,
}

// until reads events up to the next one with the name, and adds them to the snapshot.
func (s *stream) until(last string, to *snapshot) error {
	for {
		name, data, err := s.next()
		if err != nil {
			return err
		}
		switch name {
		case "series":
			err = to.addSeries(data)
		case "rows":
			err = to.addRows(data)
		case "ended":
			var ids []float64
			err = json.Unmarshal(data, &ids)
			for _, id := range ids {
				delete(to.series, id)
			}
		case "tick":
			to.tick = account{}
			err = json.Unmarshal(data, &to.tick)
		case "end":
		default:
			err = fmt.Errorf("unknown event %q", name)
		}
		if err != nil || name == last {
			return err
		}
	}
}

func (s *snapshot) addSeries(data []byte) error {
	var all [][6]any
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	if s.series == nil {
		s.series = make(map[float64]metricsbuffer.Point)
	}
	for _, one := range all {
		kind, ok := kinds[one[1].(string)]
		if !ok {
			return fmt.Errorf("the kind %v is unknown", one[1])
		}
		p := s.series[one[0].(float64)] // which is described anew, or new
		p.Kind, p.Name, p.Unit, p.Help, p.Tags = kind, one[2].(string), one[3].(string), one[5].(string), nil
		for _, pair := range one[4].([]any) {
			pair := pair.([]any)
			p.Tags = append(p.Tags, metricsbuffer.Tag{Key: pair[0].(string), Value: pair[1].(string)})
		}
		s.series[one[0].(float64)] = p
	}
	return nil
}

func (s *snapshot) addRows(data []byte) error {
	var event struct {
		Seconds float64
		Rows    [][]any
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&event); err != nil {
		return err
	}
	if event.Seconds > 0 {
		s.timed++
	}
	if s.timed > 0 {
		s.live += len(event.Rows)
	}
	for _, row := range event.Rows {
		id, err := number(row[0])
		p, known := s.series[id]
		if err != nil || !known {
			return fmt.Errorf("a row of the unknown series %v", row[0])
		}
		switch p.Kind {
		case metricsbuffer.KindGauge:
			p.Value, err = number(row[1])
		case metricsbuffer.KindCounter:
			if text := fmt.Sprint(row[1]); strings.Contains(text, ".") {
				p.Count, p.Decimals, err = sinktest.ParseAmount(text)
			} else {
				p.Count, err = integer(row[1])
				p.Decimals = 0
			}
		default:
			if len(row) != 10 {
				return fmt.Errorf("a row of %d columns", len(row))
			}
			var err2 error
			p.Count, err = integer(row[1])
			p.Sum, err2 = integer(row[3])
			err = errors.Join(err, err2)
		}
		if err != nil {
			return err
		}
		s.series[id] = p
	}
	return nil
}

// number reads a JSON number, or a string with the name of a value that is none.
func number(v any) (float64, error) { return strconv.ParseFloat(fmt.Sprint(v), 64) }

// integer reads a JSON number that JavaScript reads without a loss, or a string.
func integer(v any) (int64, error) {
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	if _, isNumber := v.(json.Number); isNumber && (n > 1<<53 || n < -1<<53) {
		return 0, fmt.Errorf("%v is beyond 2^53", v)
	}
	return n, err
}

// serve serves a page as users do.
func serve(t *testing.T, page *pagesink.Sink) (address string) {
	mux := http.NewServeMux()
	mux.Handle("/debug/metrics/", page)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { _ = page.Close() }) // before server.Close, which waits for the viewers
	return server.URL + "/debug/metrics/"
}

// look returns the snapshot with which a new viewer begins.
func look(t *testing.T, address string) (snapshot, error) {
	var seen snapshot
	stream := connect(t, address)
	defer stream.close()
	return seen, stream.until("tick", &seen)
}

// ticksUntil reads ticks until the condition holds. The page may have begun one before the updates of which it is to
// tell.
func ticksUntil(t *testing.T, events *stream, seen *snapshot, holds func() bool) {
	t.Helper()
	for {
		require.NoError(t, events.until("tick", seen))
		if holds() {
			return
		}
	}
}

// find returns the series of a snapshot that has the name.
func (s *snapshot) find(name string) metricsbuffer.Point {
	for _, p := range s.series {
		if p.Name == name {
			return p
		}
	}
	return metricsbuffer.Point{Count: math.MinInt64}
}
