package statsdsink

import (
	"math"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
)

// The reasons for which a point is dropped. They are constant, because drops are counted by reason.
const (
	notFinite   = "the gauge is NaN or infinite, which StatsD has no way to write: set finite values"
	negative    = "the timer or histogram is below zero, which servers refuse: use WithTimers(Parts)"
	noBuckets   = "the timer or histogram has no buckets, which its form sends: use WithTimers(Parts)"
	unknownKind = "the kind of point is unknown to this version"
	tooLong     = "the lines are longer than a packet: shorten names and tags, or use WithMaxPacket"
)

// An encoder writes points as lines.
type encoder struct {
	prefix    string
	graphite  bool // tags as name;key=value instead of |#key:value
	form      Form
	packing   bool
	signed    bool // a negative gauge is one line
	stamped   bool
	quantiles []quantile
	constant  []metricsbuffer.Tag
	container string // the whole field

	// prepare derives these.
	first            string // in front of a series' own tags: constant tags, if any, and punctuation
	always           string // in place of them: the constant tags, or empty
	separator, equal byte

	start int64  // of the batch: it identifies a batch and the buffer, also when the batch is sent again
	stamp []byte // the whole field with the time of the batch, or empty

	// These belong to the current point, if it has several lines. Their memory is used again.
	name, tags []byte
	tail       []byte // the end of the open line of shares
	number     [32]byte
}

// begin prepares for the points of a batch.
func (e *encoder) begin(batch *metricsbuffer.Batch) {
	e.start = batch.Start.UnixNano()
	if e.stamp = e.stamp[:0]; e.stamped && batch.End.Unix() > 0 {
		e.stamp = strconv.AppendInt(append(e.stamp, "|T"...), batch.End.Unix(), 10)
	}
}

// append appends the lines of p, a point that is not sent as shares, to packet. If p cannot be sent, it returns packet
// unchanged and a reason.
func (e *encoder) append(packet []byte, p *metricsbuffer.Point) (_ []byte, reason string) {
	switch p.Kind {
	case metricsbuffer.KindCounter:
		packet = append(e.appendSeries(packet, p), ':')
		return e.endLine(p.AppendAmount(packet), "|c", p), ""
	case metricsbuffer.KindGauge:
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return packet, notFinite
		}
		// Most servers take a sign for "add this to the gauge". A negative value is then reached from zero only. Both
		// lines are in one packet, in this order.
		if p.Value < 0 && !e.signed {
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

// appendSeries appends the part of a counter's or gauge's line that is before the colon.
func (e *encoder) appendSeries(packet []byte, p *metricsbuffer.Point) []byte {
	packet = appendName(append(packet, e.prefix...), p.Name, false)
	if e.graphite {
		packet = e.appendTags(packet, p.Tags)
	}
	return packet
}

// endLine appends the part of a counter's or gauge's line that is after the number.
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
	besideHistograms := e.form == Histograms || e.form == Distributions
	e.name = appendName(append(e.name[:0], e.prefix...), p.Name, timer && besideHistograms)
	switch {
	case timer && e.form == Parts:
		e.name = append(e.name, nanoseconds...)
	case !timer:
		e.name = appendUnit(append(e.name, histogram...), p.Unit)
	}
	e.tags = e.appendTags(e.tags[:0], p.Tags)
}

// key identifies the series that the method series has set, and its batch.
func (e *encoder) key() string {
	return string(strconv.AppendInt(append(append(e.name, e.tags...), '\n'), e.start, 10))
}

// appendTags appends the constant tags and these. Servers keep one value per key. So the second tag of a key is sent
// under another key, which begins with an escape that stands for nothing; the third has two such escapes, and so on.
// Tags are sorted, so that equal keys are neighbours.
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

// appendFloat appends the shortest decimal that reads back as f. It has an exponent for very large and very small
// numbers only, because some servers read no more than digits and a point. Zero has no sign.
func appendFloat(dst []byte, f float64) []byte {
	format := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f+0, format, -1, 64) // -0 + 0 is 0
}
