package histories

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// A call is one call of the library, or one call of a sink by the library, with its result.
type call struct {
	Client     int
	Begin, End int64 // in the order of all begins and ends
	Kind       string
	Updates    uint64 // as bits; record: the update; write: the acknowledged updates; stats: the recorded updates
	Sink       int    // write
	Failed     uint64 // flush: the sinks that have not acknowledged, as bits
}

// A history collects calls.
type history struct {
	clock atomic.Int64
	mu    sync.Mutex
	calls []call
}

// record runs f as a call. f fills in the result.
func (h *history) record(client int, kind string, f func(c *call)) {
	c := call{Client: client, Kind: kind, Begin: h.clock.Add(1)}
	f(&c)
	c.End = h.clock.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
}

// States of one update, as one sink sees it.
const (
	absent = iota
	pending
	acknowledged
)

// model is the sequential model of one update and one sink.
var model = porcupine.Model{
	Init: func() any { return absent },
	Step: func(state, input, _ any) (bool, any) {
		c := input.(call)
		switch c.Kind {
		case "record":
			return state == absent, pending
		case "write":
			return state == pending, acknowledged
		case "flush":
			return state != pending, state
		}
		return (c.Updates != 0) == (state != absent), state
	},
	DescribeOperation: func(input, _ any) string { return input.(call).Kind },
	DescribeState:     func(state any) string { return []string{"absent", "pending", "acknowledged"}[state.(int)] },
}

// of returns the part of a history that is about one update and one sink.
func of(calls []call, update uint64, sink int) (part []call) {
	for _, c := range calls {
		c.Updates &= update
		switch {
		case c.Kind == "record" && c.Updates == 0:
		case c.Kind == "write" && (c.Updates == 0 || c.Sink != sink):
		case c.Kind == "flush" && c.Failed>>sink&1 != 0:
		default:
			part = append(part, c)
		}
	}
	return part
}

func operations(calls []call) (ops []porcupine.Operation) {
	for _, c := range calls {
		ops = append(ops, porcupine.Operation{ClientId: c.Client, Input: c, Call: c.Begin, Return: c.End})
	}
	return ops
}

func linearizable(calls []call) bool { return porcupine.CheckOperations(model, operations(calls)) }

// shrink leaves out flushes and stats as long as the history stays wrong.
func shrink(calls []call) []call {
	for i := len(calls) - 1; i >= 0; i-- {
		less := slices.Delete(slices.Clone(calls), i, i+1)
		if k := calls[i].Kind; (k == "flush" || k == "stats") && !linearizable(less) {
			calls = less
		}
	}
	return calls
}

// check fails the test if the history of any update is not linearizable.
func check(t *testing.T, calls []call, updates, sinks int, seed uint64) {
	t.Helper()
	for update := range updates {
		for sink := range sinks {
			if part := of(calls, 1<<update, sink); !linearizable(part) {
				report(t, shrink(part), seed)
				return
			}
		}
	}
}

// report prints a wrong history, and writes it to files.
func report(t *testing.T, calls []call, seed uint64) {
	t.Helper()
	directory, err := os.MkdirTemp("", "history-")
	require.NoError(t, err)
	text, err := json.MarshalIndent(calls, "", "\t")
	require.NoError(t, err)
	file := filepath.Join(directory, "history.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	page := filepath.Join(directory, "history.html")
	_, info := porcupine.CheckOperationsVerbose(model, operations(calls), 0)
	require.NoError(t, porcupine.VisualizePath(model, info, page))
	t.Errorf("not linearizable: %s\nto look at it: %s\nto check it again: METRICSBUFFER_HISTORY=%s go test -run Replay\n"+
		"to run similar histories: METRICSBUFFER_SEED=%d go test -run Histories", text, page, file, seed)
}

// TestReplay checks a history from a file.
func TestReplay(t *testing.T) {
	file := os.Getenv("METRICSBUFFER_HISTORY")
	if file == "" {
		t.Skip("set METRICSBUFFER_HISTORY to the file that a failure of TestHistories has named")
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var calls []call
	require.NoError(t, json.Unmarshal(text, &calls))
	require.True(t, linearizable(calls), "%s", text)
}

// TestModel: the model accepts correct histories and refuses wrong ones.
func TestModel(t *testing.T) {
	record := call{Begin: 1, End: 2, Kind: "record", Updates: 1}
	write := call{Client: 1, Begin: 4, End: 5, Kind: "write", Updates: 1}
	flush := call{Client: 2, Begin: 3, End: 6, Kind: "flush"}
	require.True(t, linearizable([]call{record, write, flush}))
	require.False(t, linearizable([]call{record, flush}), "flushed, and not delivered")
	require.False(t, linearizable([]call{record, write, write, flush}), "delivered twice")
	early := write
	early.Begin, early.End = -2, -1
	require.False(t, linearizable([]call{early, record}), "delivered before it was recorded")
	late := write
	late.Begin, late.End = 7, 8
	require.False(t, linearizable([]call{record, flush, late}), "delivered after the flush")
	require.Len(t, shrink([]call{record, flush, flush, flush}), 2, "one flush is enough to be wrong")
	record.End = 9
	require.True(t, linearizable([]call{record, flush, late}), "recorded while it was flushed")
	require.False(t, linearizable([]call{record, {Begin: 10, End: 11, Kind: "stats"}}), "not in the stats")
}
