package statsdsink

import "github.com/metricsbuffer/metricsbuffer"

// A point that goes out as shares can be in several packets, and a Write can fail between them. The buffer then merges
// the point into the next batch, with all its observations: credit remembers which of them the receiver has, by what
// the series is called in its lines and when its batch started, so that they are not sent again. (A batch that is
// merged keeps its start, and another buffer's has another.) Each failure adds to one series at most.
type credit map[string]*metricsbuffer.Buckets

// of returns what the receiver has of the series that e was last told of, or nil.
func (c credit) of(e *encoder) *metricsbuffer.Buckets {
	if len(c) == 0 {
		return nil
	}
	return c[e.key()]
}

// settle acknowledges what the receiver has: some points, whose credit is thereby used up, and maybe shares of the
// next.
func (s *Sink) settle(batch *metricsbuffer.Batch, has place) {
	batch.Acknowledge(has.points)
	if len(s.credit) > 0 {
		for i := range batch.Points[:has.points] {
			p := &batch.Points[i]
			if _, dropped := batch.Dropped(i); !dropped && s.encoder.isShared(p) {
				s.encoder.series(p)
				s.credit.use(&s.encoder, p.Buckets)
			}
		}
	}
	if has.shares > 0 {
		p := &batch.Points[has.points]
		s.encoder.series(p)
		s.add(p, has.shares)
	}
}

// use takes what p's buckets contained off the credit: all of it, unless the series is that of two buffers.
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
	has := s.credit[key]
	sent := metricsbuffer.Buckets{Offset: p.Buckets.Offset, Counts: make([]uint64, len(p.Buckets.Counts))}
	d := distribution{buckets: p.Buckets, credit: has, packing: s.encoder.packing}
	for next := range d.each {
		*countOf(&sent, next.bucket) += next.weight
		if shares--; shares == 0 {
			break
		}
	}
	if has == nil {
		if s.credit == nil {
			s.credit = make(credit)
		}
		s.credit[key] = &sent
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
