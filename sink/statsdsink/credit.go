package statsdsink

import "github.com/metricsbuffer/metricsbuffer"

// The shares of a point can be in several packets, and a Write can fail between two of them. The buffer then merges
// all observations of the point into the next batch. A credit remembers which of them a server has already, so that
// they are not sent again. Its keys are the name and tags of the series as they are sent, and the start of the batch.
// A batch that is merged keeps its start, and a batch of another buffer has another one. Each failure adds one series
// at most.
type credit map[string]*metricsbuffer.Buckets

// of returns the observations that a server has of the series that e was last set to, or nil.
func (c credit) of(e *encoder) *metricsbuffer.Buckets {
	if len(c) == 0 {
		return nil
	}
	return c[e.key()]
}

// settle acknowledges all points before end, which a server has, and uses up their credit. The shares before end of the
// next point become credit.
func (s *Sink) settle(batch *metricsbuffer.Batch, end place) {
	batch.Acknowledge(end.points)
	if len(s.received) > 0 {
		for i := range batch.Points[:end.points] {
			p := &batch.Points[i]
			if _, dropped := batch.Dropped(i); !dropped && s.encoder.isShared(p) {
				s.encoder.series(p)
				s.received.use(&s.encoder, p.Buckets)
			}
		}
	}
	if end.shares > 0 {
		p := &batch.Points[end.points]
		s.encoder.series(p)
		s.add(p, end.shares)
	}
}

// use takes the observations in sent off the credit. Nothing is left of it, unless two buffers share the series.
func (c credit) use(e *encoder, sent *metricsbuffer.Buckets) {
	key := e.key()
	has := c[key]
	if has == nil {
		return
	}
	left := has.Zeros - min(has.Zeros, sent.Zeros)
	has.Zeros = left
	for i, n := range has.Counts {
		if at := countOf(sent, has.Offset+i); at != nil {
			n -= min(n, *at)
		}
		has.Counts[i] = n
		left |= n
	}
	if left == 0 {
		delete(c, key)
	}
}

// add gives credit for the first shares of p.
func (s *Sink) add(p *metricsbuffer.Point, shares int) {
	key := s.encoder.key()
	has := s.received[key]
	sent := metricsbuffer.Buckets{Offset: p.Buckets.Offset, Counts: make([]uint64, len(p.Buckets.Counts))}
	d := distribution{buckets: p.Buckets, credit: has, packing: s.encoder.packing}
	for next := range d.each {
		*countOf(&sent, next.bucket) += next.weight
		if shares--; shares == 0 {
			break
		}
	}
	if has == nil {
		if s.received == nil {
			s.received = make(credit)
		}
		s.received[key] = &sent
		return
	}
	has.Add(&sent)
}

// countOf returns b's counter of a bucket, or nil if it has none.
func countOf(b *metricsbuffer.Buckets, bucket int) *uint64 {
	if bucket == zeros {
		return &b.Zeros
	}
	if i := bucket - b.Offset; i >= 0 && i < len(b.Counts) {
		return &b.Counts[i]
	}
	return nil
}
