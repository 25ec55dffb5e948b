// Package kgohook records the work of a franz-go Kafka client in a buffer:
//
//	client, err := kgo.NewClient(kgo.WithHooks(kgohook.New(buffer)), …)
//
// # Series
//
//	name                            kind        tags                      one update for each
//	kafka.produce.records           counter     topic, outcome            record whose promise is called
//	kafka.produce.batch             histogram   broker, topic             batch that a broker stored: its records
//	kafka.produce.bytes             counter     broker, topic             such a batch: its bytes before compression
//	kafka.produce.compressed_bytes  counter     broker, topic             such a batch: its bytes as sent
//	kafka.fetch.records             counter     topic, outcome            record that leaves the client
//	kafka.fetch.batch               histogram   broker, topic             batch that was read: its records
//	kafka.fetch.bytes               counter     broker, topic             such a batch: its bytes after decompression
//	kafka.fetch.compressed_bytes    counter     broker, topic             such a batch: its bytes as received
//	kafka.request                   timer       broker, request, outcome  request, from the write to the end of the read
//	kafka.request.write_wait        timer       broker                    request: the time before the write
//	kafka.request.write             timer       broker                    request: the write
//	kafka.request.read_wait         timer       broker                    request: the time before the read
//	kafka.request.read              timer       broker                    request: the read
//	kafka.request.bytes             counter     broker                    request: the bytes written
//	kafka.response.bytes            counter     broker                    request: the bytes read
//	kafka.connect                   timer       broker, outcome           attempt to connect, with its handshake
//	kafka.disconnects               counter     broker                    connection that was closed
//	kafka.throttle                  timer       broker                    response that throttles: the interval
//	kafka.group.errors              counter                               error that ends a group session
//
// The updates of one request arrive in the same batch of a sink, and so do those of one Kafka batch.
//
// Records are counted on the goroutine that calls the promise or polls, before the promise is called and before the
// poll returns. So after [kgo.Client.Flush] the counter of produced records is complete. Batches that a broker stored,
// and discarded records, are reported by the client on a goroutine of its own, somewhat later. A batch counts as stored
// when it was sent if no answer is asked for ([kgo.NoAck]). A fetched batch may contain control records, which the
// client does not return, and the records of a batch that the client discards. The client does not report the batches
// that it fetches for a share group ([kgo.ShareGroup]).
//
// # Tags
//
// The tag outcome is
//
//   - ok, or error, for requests and connections;
//   - polled, or discarded, for fetched records: the client discards records when an assignment ends;
//   - ok, the name of a Kafka error such as MESSAGE_TOO_LARGE, timeout, retries, canceled, closed, buffer_full,
//     aborted, or error, for produced records.
//
// The tag broker is a node ID, or seed_0 and so on for the addresses that the client starts from. The tag request is
// the request's name, such as Produce. The tag topic is the topic.
//
// All tags have few values. Requests and outcomes are known in advance. The first 1,000 topics and the first 1,000
// brokers have series of their own, and all others share the tag value "other". [WithMaxTopics] sets the number of
// topics.
//
// After the first update of a series on each P, no hook allocates memory, except for records that failed.
package kgohook

import (
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
)

const (
	defaultMaxTopics = 1000
	maxBrokers       = 1000
)

// Hooks are hooks for [kgo.WithHooks]. [New] makes them. Several clients may share them, and all methods may be called
// concurrently.
type Hooks struct {
	topics  *admission[string]
	brokers *admission[node]

	connects    *timers[connectLabels]
	disconnects *counters[brokerLabels]
	throttles   *timers[brokerLabels]
	groupErrors *metricsbuffer.Counter

	requests      *timers[requestLabels]
	writeWaits    *timers[brokerLabels]
	writes        *timers[brokerLabels]
	readWaits     *timers[brokerLabels]
	reads         *timers[brokerLabels]
	requestBytes  *counters[brokerLabels]
	responseBytes *counters[brokerLabels]

	produced batches
	fetched  batches
}

// An Option configures [Hooks]. The zero Option does nothing.
type Option struct{ apply func(*Hooks) }

// WithMaxTopics sets how many topics have series of their own, 1,000 if not given. All others share the tag value
// "other". With 0, all topics do.
func WithMaxTopics(n uint) Option {
	return Option{func(h *Hooks) { h.topics.limit = n }}
}

// New returns hooks that record into the buffer. If the buffer is nil, they do nothing.
func New(buffer *metricsbuffer.Buffer, opts ...Option) *Hooks {
	h := &Hooks{
		topics:  newAdmission(defaultMaxTopics, "other", strings.Clone),
		brokers: newAdmission(maxBrokers, otherNode, func(n node) node { return n }),

		connects:    metricsbuffer.Must(metricsbuffer.NewTimerVec[connectLabels](buffer, "kafka.connect")),
		disconnects: metricsbuffer.Must(metricsbuffer.NewCounterVec[brokerLabels](buffer, "kafka.disconnects")),
		throttles:   metricsbuffer.Must(metricsbuffer.NewTimerVec[brokerLabels](buffer, "kafka.throttle")),
		groupErrors: buffer.Counter("kafka.group.errors"),

		requests:      metricsbuffer.Must(metricsbuffer.NewTimerVec[requestLabels](buffer, "kafka.request")),
		writeWaits:    metricsbuffer.Must(metricsbuffer.NewTimerVec[brokerLabels](buffer, "kafka.request.write_wait")),
		writes:        metricsbuffer.Must(metricsbuffer.NewTimerVec[brokerLabels](buffer, "kafka.request.write")),
		readWaits:     metricsbuffer.Must(metricsbuffer.NewTimerVec[brokerLabels](buffer, "kafka.request.read_wait")),
		reads:         metricsbuffer.Must(metricsbuffer.NewTimerVec[brokerLabels](buffer, "kafka.request.read")),
		requestBytes:  metricsbuffer.Must(metricsbuffer.NewCounterVec[brokerLabels](buffer, "kafka.request.bytes")),
		responseBytes: metricsbuffer.Must(metricsbuffer.NewCounterVec[brokerLabels](buffer, "kafka.response.bytes")),

		produced: newBatches(buffer, "kafka.produce"),
		fetched:  newBatches(buffer, "kafka.fetch"),
	}
	for _, opt := range opts {
		if opt.apply != nil {
			opt.apply(h)
		}
	}
	return h
}

type (
	counters[K comparable]   = metricsbuffer.Vec[K, metricsbuffer.Counter]
	timers[K comparable]     = metricsbuffer.Vec[K, metricsbuffer.Timer]
	histograms[K comparable] = metricsbuffer.Vec[K, metricsbuffer.Histogram]
)
