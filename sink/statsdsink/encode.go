package statsdsink

import (
	"math"
	"strconv"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/internal/slot"
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

	texts   slot.Cache[text] // of series with tags
	written []byte           // the memory in which a text is written, so that one that is kept has no more than it needs

	// These belong to the current point. The memory of tail is used again.
	name, tags []byte // a part of the series' text
	tail       []byte // the end of the open line of shares
	number     [32]byte
}

// A text is the name of a series with the prefix, and then its tags, as they are sent.
type text struct {
	bytes []byte
	name  int // the length of the name
}

// begin prepares for the points of a batch.
func (e *encoder) begin(batch *metricsbuffer.Batch) {
	e.texts.Forget(batch.Ended)
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
		e.series(p)
		packet = append(e.appendOwnName(packet), ':')
		return e.endLine(p.AppendAmount(packet), "|c"), ""
	case metricsbuffer.KindGauge:
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			return packet, notFinite
		}
		e.series(p)
		// Most servers take a sign for "add this to the gauge". A negative value is then reached from zero only. Both
		// lines are in one packet, in this order.
		if p.Value < 0 && !e.signed {
			packet = e.endLine(append(e.appendOwnName(packet), ":0"...), "|g")
		}
		packet = append(e.appendOwnName(packet), ':')
		return e.endLine(appendFloat(packet, p.Value), "|g"), ""
	case metricsbuffer.KindTimer, metricsbuffer.KindHistogram:
		e.series(p)
		if e.form == Sum && p.Kind == metricsbuffer.KindTimer {
			return e.appendSum(packet, p)
		}
		return e.appendParts(packet, p), ""
	}
	return packet, unknownKind
}

// endLine appends the part of a line that is after the number.
func (e *encoder) endLine(packet []byte, kind string) []byte {
	packet = append(packet, kind...)
	if !e.graphite {
		packet = append(packet, e.tags...)
	}
	packet = append(packet, e.container...)
	packet = append(packet, e.stamp...)
	return append(packet, '\n')
}

// series sets the name and the tags of the point's series. The text of a series without tags is written each time: that
// takes no longer than to find it, and needs no memory.
func (e *encoder) series(p *metricsbuffer.Point) {
	if len(p.Tags) == 0 {
		e.set(e.write(p))
		return
	}
	t, known := e.texts.Of(p)
	if !known {
		written := e.write(p)
		t.bytes, t.name = append(t.bytes[:0], written.bytes...), written.name
	}
	e.set(*t)
}

func (e *encoder) set(t text) { e.name, e.tags = t.bytes[:t.name:t.name], t.bytes[t.name:] }

// write returns the text of the point's series, which is valid until the next call.
func (e *encoder) write(p *metricsbuffer.Point) text {
	timer := p.Kind == metricsbuffer.KindTimer
	besideHistograms := e.form == Histograms || e.form == Distributions
	written := appendName(append(e.written[:0], e.prefix...), p.Name, timer && besideHistograms)
	switch {
	case timer && e.form == Parts:
		written = append(written, nanoseconds...)
	case p.Kind == metricsbuffer.KindHistogram:
		written = appendUnit(append(written, histogram...), p.Unit)
	}
	name := len(written)
	e.written = e.appendTags(written, p.Tags)
	return text{e.written, name}
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
