package kgohook

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metricsbuffer/metricsbuffer"
)

var (
	_ kgo.HookProduceRecordUnbuffered = (*Hooks)(nil)
	_ kgo.HookProduceBatchWritten     = (*Hooks)(nil)
	_ kgo.HookFetchRecordUnbuffered   = (*Hooks)(nil)
	_ kgo.HookFetchBatchRead          = (*Hooks)(nil)
)

// batches has the sets of one direction.
type batches struct {
	records         *counters[topicLabels]
	batch           *histograms[batchLabels]
	bytes           *counters[batchLabels]
	compressedBytes *counters[batchLabels]
}

func newBatches(buffer *metricsbuffer.Buffer, prefix string) batches {
	return batches{
		records:         metricsbuffer.Must(metricsbuffer.NewCounterVec[topicLabels](buffer, prefix+".records")),
		batch:           metricsbuffer.Must(metricsbuffer.NewHistogramVec[batchLabels](buffer, prefix+".batch", "records")),
		bytes:           metricsbuffer.Must(metricsbuffer.NewCounterVec[batchLabels](buffer, prefix+".bytes")),
		compressedBytes: metricsbuffer.Must(metricsbuffer.NewCounterVec[batchLabels](buffer, prefix+".compressed_bytes")),
	}
}

func (b *batches) observe(labels batchLabels, records, bytes, compressedBytes int) {
	metricsbuffer.Record(
		b.batch.With(labels).Size(int64(records)),
		b.bytes.With(labels).Delta(int64(bytes)),
		b.compressedBytes.With(labels).Delta(int64(compressedBytes)),
	)
}

// OnProduceRecordUnbuffered implements [kgo.HookProduceRecordUnbuffered].
func (h *Hooks) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	h.produced.records.With(topicLabels{h.topics.label(r.Topic), produceOutcome(err)}).Inc()
}

// OnProduceBatchWritten implements [kgo.HookProduceBatchWritten].
func (h *Hooks) OnProduceBatchWritten(meta kgo.BrokerMetadata, topic string, _ int32, m kgo.ProduceBatchMetrics) {
	h.produced.observe(h.batch(meta, topic), m.NumRecords, m.UncompressedBytes, m.CompressedBytes)
}

// OnFetchRecordUnbuffered implements [kgo.HookFetchRecordUnbuffered].
func (h *Hooks) OnFetchRecordUnbuffered(r *kgo.Record, polled bool) {
	labels := topicLabels{h.topics.label(r.Topic), "discarded"}
	if polled {
		labels.Outcome = "polled"
	}
	h.fetched.records.With(labels).Inc()
}

// OnFetchBatchRead implements [kgo.HookFetchBatchRead].
func (h *Hooks) OnFetchBatchRead(meta kgo.BrokerMetadata, topic string, _ int32, m kgo.FetchBatchMetrics) {
	h.fetched.observe(h.batch(meta, topic), m.NumRecords, m.UncompressedBytes, m.CompressedBytes)
}

func (h *Hooks) batch(meta kgo.BrokerMetadata, topic string) batchLabels {
	return batchLabels{h.brokers.label(node(meta.NodeID)), h.topics.label(topic)}
}
