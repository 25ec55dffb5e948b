package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/metricsbuffer/metricsbuffer"
)

// An auditedSink passes batches on to a sink and adds up the points that the sink acknowledged: these updates have left
// the buffer. It does not ask the buffer, so that its totals are independent.
type auditedSink struct {
	name string
	sink metricsbuffer.Sink

	mu     sync.Mutex // a Write that outlives Buffer.Close may meet the audit
	totals map[series]int64
}

// A series has the parts of a metric that the audit tells apart. It adds all producers up.
type series struct{ metric, status string }

// String names the sink in the buffer's errors.
func (s *auditedSink) String() string { return s.name }

// Write implements [metricsbuffer.Sink].
func (s *auditedSink) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	err := s.sink.Write(ctx, batch)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.totals == nil {
		s.totals = make(map[series]int64)
	}
	for i, point := range batch.Points {
		if _, dropped := batch.Dropped(i); dropped || err != nil && i >= batch.Acknowledged() {
			continue
		}
		key := series{metric: point.Name}
		for _, tag := range point.Tags {
			if tag.Key == "status" {
				key.status = tag.Value
			}
		}
		s.totals[key] += point.Count
	}
	return err
}

// total returns the acknowledged total of a metric: a counter's sum, or a timer's number of observations.
func (s *auditedSink) total(metric, status string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals[series{metric, status}]
}

// An audit has the number of messages from each party that counted them independently: the producers' callbacks, the
// broker, the consumer, and the sinks.
type audit struct {
	produced           tally
	stored, consumed   int64
	sinks              []*auditedSink
	toReject, rejected int64 // produce requests
}

// A row has one party's counts. All counts in one column must be equal.
type row struct {
	party  string
	counts [3]int64
}

var columns = [3]string{"messages", "successes", "errors"}

// unknown stands for a number that a party cannot know: the broker keeps no errors.
const unknown = -1

// rows lists all counts; the first knows every column.
func (a *audit) rows() []row {
	rows := []row{
		{"delivery callbacks", [3]int64{a.produced.succeeded + a.produced.failed, a.produced.succeeded, a.produced.failed}},
		{"produced", [3]int64{a.produced.attempted, unknown, unknown}},
		{"broker end offsets", [3]int64{unknown, a.stored, unknown}},
		{"consumed", [3]int64{unknown, a.consumed, unknown}},
	}
	const (
		status     = "arroyo.producer.produce_status"
		latency    = "arroyo.producer.callback_latency"
		processing = "arroyo.consumer.processing.time"
	)
	for _, sink := range a.sinks {
		success, failed := sink.total(status, "success"), sink.total(status, "error")
		rows = append(rows,
			row{sink.name + ": " + status, [3]int64{success + failed, success, failed}},
			row{sink.name + ": " + latency, [3]int64{sink.total(latency, ""), unknown, unknown}},
			row{sink.name + ": " + processing, [3]int64{unknown, sink.total(processing, ""), unknown}},
		)
	}
	return rows
}

// check returns an error that says which counts differ, or nil.
func (a *audit) check() error {
	rows := a.rows()
	reference := rows[0]
	var errs []error
	for _, row := range rows {
		for i, count := range row.counts {
			if count != unknown && count != reference.counts[i] {
				errs = append(errs, fmt.Errorf("audit: %s differ: %d (%s), but %d (%s)",
					columns[i], reference.counts[i], reference.party, count, row.party))
			}
		}
	}
	return errors.Join(errs...)
}

// String returns the audit as a table. The verdict is the last line.
func (a *audit) String() string {
	var text strings.Builder
	if a.toReject > 0 {
		fmt.Fprintf(&text, "The broker rejected %d of the %d produce requests that it should.\n\n", a.rejected, a.toReject)
	}
	fmt.Fprintf(&text, "%-44s%10s%10s%10s\n", "audit", columns[0], columns[1], columns[2])
	for _, row := range a.rows() {
		fmt.Fprintf(&text, "%-44s", row.party)
		for _, count := range row.counts {
			if count == unknown {
				fmt.Fprintf(&text, "%10s", "-")
			} else {
				fmt.Fprintf(&text, "%10d", count)
			}
		}
		text.WriteByte('\n')
	}
	if a.check() == nil {
		fmt.Fprintf(&text, "\nEXACT: %d messages were produced, called back and delivered to each sink; "+
			"%d were stored and consumed; %d failed.\n", a.produced.attempted, a.stored, a.produced.failed)
	} else {
		text.WriteString("\nNOT EXACT: counts in one column differ.\n")
	}
	return text.String()
}
