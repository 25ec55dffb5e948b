package kgohook

import (
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metricsbuffer/metricsbuffer"
)

var (
	_ kgo.HookBrokerConnect    = (*Hooks)(nil)
	_ kgo.HookBrokerDisconnect = (*Hooks)(nil)
	_ kgo.HookBrokerE2E        = (*Hooks)(nil)
	_ kgo.HookBrokerThrottle   = (*Hooks)(nil)
	_ kgo.HookGroupManageError = (*Hooks)(nil)
)

// OnBrokerConnect implements [kgo.HookBrokerConnect].
func (h *Hooks) OnBrokerConnect(meta kgo.BrokerMetadata, initDur time.Duration, _ net.Conn, err error) {
	broker := h.brokers.label(node(meta.NodeID))
	h.connects.With(connectLabels{broker, outcome(err)}).Observe(initDur)
}

// OnBrokerDisconnect implements [kgo.HookBrokerDisconnect].
func (h *Hooks) OnBrokerDisconnect(meta kgo.BrokerMetadata, _ net.Conn) {
	h.disconnects.With(h.broker(meta)).Inc()
}

// OnBrokerE2E implements [kgo.HookBrokerE2E].
func (h *Hooks) OnBrokerE2E(meta kgo.BrokerMetadata, number int16, e2e kgo.BrokerE2E) {
	broker := h.broker(meta)
	request := requestLabels{broker.Broker, known(number), outcome(e2e.Err())}
	metricsbuffer.Record(
		h.requests.With(request).Took(e2e.DurationE2E()),
		h.writeWaits.With(broker).Took(e2e.WriteWait),
		h.writes.With(broker).Took(e2e.TimeToWrite),
		h.readWaits.With(broker).Took(e2e.ReadWait),
		h.reads.With(broker).Took(e2e.TimeToRead),
		h.requestBytes.With(broker).Delta(int64(e2e.BytesWritten)),
		h.responseBytes.With(broker).Delta(int64(e2e.BytesRead)),
	)
}

// OnBrokerThrottle implements [kgo.HookBrokerThrottle].
func (h *Hooks) OnBrokerThrottle(meta kgo.BrokerMetadata, interval time.Duration, _ bool) {
	h.throttles.With(h.broker(meta)).Observe(interval)
}

// OnGroupManageError implements [kgo.HookGroupManageError].
func (h *Hooks) OnGroupManageError(error) { h.groupErrors.Inc() }

func (h *Hooks) broker(meta kgo.BrokerMetadata) brokerLabels {
	return brokerLabels{h.brokers.label(node(meta.NodeID))}
}
