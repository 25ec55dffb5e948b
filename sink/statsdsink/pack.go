package statsdsink

import (
	"github.com/metricsbuffer/metricsbuffer"
)

// A place in a batch is after a number of points, and after a number of shares of the next point.
type place struct{ points, shares int }

// pack writes the batch's points into packets and calls send with each. The place is the one up to which the batch is
// sent when that packet is. All lines of a point are in one packet, so that the point is sent as a whole or not at all.
// Only the shares of a point can be in several packets.
func (s *Sink) pack(batch *metricsbuffer.Batch, send func(packet []byte, end place) error) error {
	packet := s.packet
	for i := range batch.Points {
		p := &batch.Points[i]
		if s.encoder.isShared(p) {
			var err error
			if packet, err = s.packShares(packet, batch, i, send); err != nil {
				return err
			}
			continue
		}
		full := len(packet)
		var reason string
		if packet, reason = s.encoder.append(packet, p); reason != "" {
			batch.Drop(i, reason)
			continue
		}
		if len(packet) <= s.maxPacket {
			continue
		}
		if full > 0 {
			if err := send(packet[:full], place{points: i}); err != nil {
				return err
			}
			packet = packet[:copy(packet, packet[full:])]
		}
		if len(packet) > s.maxPacket {
			batch.Drop(i, tooLong)
			packet = s.packet
		}
	}
	if len(packet) == 0 {
		return nil
	}
	return send(packet, place{points: len(batch.Points)})
}

// packShares appends the shares of point i to packet, and calls send whenever it is full.
func (s *Sink) packShares(
	packet []byte, batch *metricsbuffer.Batch, i int, send func(packet []byte, end place) error,
) ([]byte, error) {
	p, e := &batch.Points[i], &s.encoder
	e.series(p)
	switch {
	case p.Buckets == nil:
		batch.Drop(i, noBuckets)
		return packet, nil
	case p.Max < 0:
		batch.Drop(i, negative)
		return packet, nil
	case e.longestShare() > s.maxPacket: // before any of it is sent
		batch.Drop(i, tooLong)
		return packet, nil
	}
	d := distribution{buckets: p.Buckets, credit: s.received.of(e), packing: e.packing}
	shares, weight := 0, uint64(0) // weight of the line that is open and needs its tail; 0: no line is open
	for next := range d.each {
		number := appendValue(e.number[:0], p, next.bucket)
		if e.packing && next.weight == weight && len(packet)+len(":")+len(number)+len(e.tail) <= s.maxPacket {
			packet = append(append(packet, ':'), number...)
			shares++
			continue
		}
		if weight > 0 {
			packet = append(packet, e.tail...)
		}
		if weight != next.weight {
			weight = next.weight
			e.tail = e.appendTail(e.tail[:0], weight)
		}
		full := len(packet)
		packet = append(append(e.appendOwnName(packet), ':'), number...)
		if len(packet)+len(e.tail) > s.maxPacket {
			if err := send(packet[:full], place{i, shares}); err != nil {
				return packet, err
			}
			packet = packet[:copy(packet, packet[full:])]
		}
		shares++
	}
	if weight > 0 {
		packet = append(packet, e.tail...)
	}
	return packet, nil
}
