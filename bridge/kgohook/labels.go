package kgohook

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type brokerLabels struct {
	Broker node `tag:"broker"`
}

type connectLabels struct {
	Broker  node   `tag:"broker"`
	Outcome string `tag:"outcome"`
}

type requestLabels struct {
	Broker  node   `tag:"broker"`
	Request key    `tag:"request"`
	Outcome string `tag:"outcome"`
}

type topicLabels struct {
	Topic   string `tag:"topic"`
	Outcome string `tag:"outcome"`
}

type batchLabels struct {
	Broker node   `tag:"broker"`
	Topic  string `tag:"topic"`
}

// A node is the ID of a broker.
type node int32

// otherNode stands for all nodes beyond the limit. Kafka's IDs are not negative, and kgo's for seeds are below -10.
const otherNode node = -10

func (n node) String() string {
	if n == otherNode {
		return "other"
	}
	return kgo.NodeName(int32(n))
}

// A key says which request of the protocol it is.
type key int16

func (k key) String() string { return kmsg.NameForKey(int16(k)) }

// known returns the key, or one for all requests that kmsg has no name for.
func known(number int16) key {
	if number < 0 || number > kmsg.MaxKey {
		return -1
	}
	return key(number)
}

func outcome(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// produceOutcome returns the outcome of a produced record.
func produceOutcome(err error) string {
	if err == nil {
		return "ok"
	}
	var fromBroker *kerr.Error // on the heap
	switch {
	case errors.As(err, &fromBroker):
		if kerr.TypedErrorForCode(fromBroker.Code) != fromBroker {
			return "error" // somebody made it, and its message may be anything
		}
		return fromBroker.Message
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, kgo.ErrRecordRetries):
		return "retries"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, kgo.ErrClientClosed):
		return "closed"
	case errors.Is(err, kgo.ErrMaxBuffered):
		return "buffer_full"
	case errors.Is(err, kgo.ErrAborting):
		return "aborted"
	}
	return "error"
}

// An admission limits the values of a tag: the first ones are admitted, and another value stands for all that follow.
// Admitted values are never given up, and a lookup takes no lock.
type admission[V comparable] struct {
	limit     uint
	other     V
	clone     func(V) V // a topic's name may be a part of a long string
	admitted  *xsync.MapOf[V, struct{}]
	size      atomic.Uint64 // of admitted, which would count anew at each call
	admitting sync.Mutex    // so that the size never passes the limit
}

func newAdmission[V comparable](limit uint, other V, clone func(V) V) *admission[V] {
	return &admission[V]{limit: limit, other: other, clone: clone, admitted: xsync.NewMapOf[V, struct{}]()}
}

func (a *admission[V]) full() bool { return a.size.Load() >= uint64(a.limit) }

// label returns the value, or the one that stands for it.
func (a *admission[V]) label(v V) V {
	if _, ok := a.admitted.Load(v); ok {
		return v
	}
	if a.full() {
		return a.other
	}
	a.admitting.Lock()
	defer a.admitting.Unlock()
	if _, ok := a.admitted.Load(v); ok {
		return v
	}
	if a.full() {
		return a.other
	}
	a.admitted.Store(a.clone(v), struct{}{})
	a.size.Add(1)
	return v
}
