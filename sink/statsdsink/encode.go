package statsdsink

import (
	"math"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// Why a point is dropped. The reasons are constant, because they are counted under these names.
const (
	notFinite   = "not a finite number: StatsD cannot carry NaN and infinities"
	negative    = "below zero, which servers refuse in timers and histograms"
	noBuckets   = "without buckets, which are what Timings, Histograms and Distributions send"
	unknownKind = "of a kind this sink does not know"
	tooLong     = "longer than the maximum packet: see WithMaxPacket"
)

// An encoder writes points as lines.
type encoder struct {
	prefix    string
	graphite  bool // tags as name;key=value instead of |#key:value
	form      Form
	packing   bool
	stamped   bool
	quantiles []quantile
	constant  []metricsbuffer.Tag
	container string // the whole field

	// Derived by prepare: what the tags begin with and are separated by, and what stands for them if there are none.
	first, always    string
	separator, equal byte

	start int64  // of the batch: one that is written again keeps it, and no other buffer has the same
	stamp []byte // the whole field with the time of the batch being encoded, or empty

	// Of the point being encoded, if it has several lines; kept for their memory.
	name, tags []byte
	tail       []byte // of the line of shares that is open
	number     [32]byte
}

// begin is called for each batch.
func (e *encoder) begin(batch *metricsbuffer.Batch) {
	e.start = batch.Start.UnixNano()
	if e.stamp = e.stamp[:0]; e.stamped && batch.End.Unix() > 0 {
		e.stamp = strconv.AppendInt(append(e.stamp, "|T"...), batch.End.Unix(), 10)
	}
}

// append appends the lines of p, which is not sent as shares, to packet. A reason says why p cannot be sent; packet is
// then returned unchanged.
func (e *encoder) append(packet []byte, p *metricsbuffer.Point) (_ []byte, reason string) {
	switch p.Kind {
	case metricsbuffer.KindCounter:
		packet = append(e.appendSeries(packet, p), ':')
		return e.endLine(strconv.AppendInt(packet, p.Count, 10), "|c", p), ""
	case metricsbuffer.KindGauge:
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return packet, notFinite
		}
		// A sign makes most receivers add to the gauge instead, so that a negative value can only be reached from
		// zero. The two lines are in one packet, in this order, as all lines of a point are.
		if p.Value < 0 && !e.stamped {
			packet = e.endLine(append(e.appendSeries(packet, p), ":0"...), "|g", p)
		}
		packet = append(e.appendSeries(packet, p), ':')
		return e.endLine(appendFloat(packet, p.Value), "|g", p), ""
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		e.series(p)
		if e.form == Sum && p.Kind == metricsbuffer.KindTimer {
			return e.appendSum(packet, p)
		}
		return e.appendParts(packet, p), ""
	}
	return packet, unknownKind
}

// appendSeries appends what is in front of the colon in the line of a counter or a gauge.
func (e *encoder) appendSeries(packet []byte, p *metricsbuffer.Point) []byte {
	packet = appendName(append(packet, e.prefix...), p.Name, false)
	if e.graphite {
		packet = e.appendTags(packet, p.Tags)
	}
	return packet
}

// endLine appends what is behind the number in the line of a counter or a gauge.
func (e *encoder) endLine(packet []byte, kind string, p *metricsbuffer.Point) []byte {
	packet = append(packet, kind...)
	if !e.graphite {
		packet = e.appendTags(packet, p.Tags)
	}
	packet = append(packet, e.container...)
	packet = append(packet, e.stamp...)
	return append(packet, '\n')
}

// series sets the name and the tags of a point with several lines.
func (e *encoder) series(p *metricsbuffer.Point) {
	timer := p.Kind == metricsbuffer.KindTimer
	e.name = appendName(append(e.name[:0], e.prefix...), p.Name, timer && e.form >= Histograms)
	switch {
	case timer && e.form == Parts:
		e.name = append(e.name, nanoseconds...)
	case !timer:
		e.name = appendUnit(append(e.name, histogram...), p.Unit)
	}
	e.tags = e.appendTags(e.tags[:0], p.Tags)
}

// key tells apart the points whose name and tags series sets.
func (e *encoder) key() string {
	return string(strconv.AppendInt(append(append(e.name, e.tags...), '\n'), e.start, 10))
}

// appendTags appends the constant tags and these. Receivers keep one value per key: of a key that stands there twice,
// the second is sent as another key, marked by an escape that means nothing, the third by two, and so on. Equal keys
// stand side by side: tags are sorted.
func (e *encoder) appendTags(dst []byte, tags []metricsbuffer.Tag) []byte {
	if len(tags) == 0 {
		return append(dst, e.always...)
	}
	dst = append(dst, e.first...)
	repeats := 0
	for i := range tags {
		tag := &tags[i]
		if i > 0 {
			dst = append(dst, e.separator)
		}
		if repeats++; i == 0 || tag.Key != tags[i-1].Key {
			repeats = 0
			for j := range e.constant {
				if e.constant[j].Key == tag.Key {
					repeats++
				}
			}
		}
		for range repeats {
			dst = append(dst, "_x_"...)
		}
		dst = append(appendKey(dst, tag.Key), e.equal)
		dst = appendEscaped(dst, tag.Value, -1)
	}
	return dst
}

// appendFloat appends the shortest decimal that reads back as f: without an exponent where people write none, for some
// receivers' patterns know digits and a point only, and without a sign for zero.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f+0, format, -1, 64) // -0 + 0 is 0
}
