package statsdsink

import "strings"

// Escaping must be injective: unescape(escape(s)) == s for every s, so that no two series are written alike. It is per
// byte, and its output consists of the plain bytes only. Read from the left, an escape is
//
//	_x_     nothing: an empty string, or in front of a repeated key
//	_xHH_   the byte with that hexadecimal number
//
// and an underscore that would begin something that reads like one of the two is escaped itself.

// The classes of bytes: a set, so that the classes of a whole string can be told from their union.
const (
	special     = 1 << iota // always escaped
	underscore              // escaped if it would begin an escape
	letterX                 // follows the underscore of an escape
	digit                   // follows "_x" in an escape
	punctuation             // not the first of a name or key
)

var class = func() (class [256]uint8) {
	for b := range class {
		class[b] = special
	}
	for _, b := range []byte("abcdefghijklmnopqrstuvwyzGHIJKLMNOPQRSTUVWXYZ") {
		class[b] = 0
	}
	for _, b := range []byte("0123456789ABCDEF") {
		class[b] = digit
	}
	class['.'], class['-'] = punctuation, punctuation
	class['_'] = underscore | punctuation
	class['x'] = letterX
	return class
}()

// appendEscaped appends s, escaped where it must be, and the byte at index also (if there is one) in any case.
func appendEscaped(dst []byte, s string, also int) []byte {
	if c := classes(s); also < 0 && s != "" && c&special == 0 && c&(underscore|letterX) != underscore|letterX {
		return append(dst, s...) // nearly always
	}
	return appendEscapedSlow(dst, s, also)
}

// classes returns the union of the classes of the bytes of s. It is most of what encoding costs, hence by four.
func classes(s string) (found uint8) {
	for ; len(s) >= 4; s = s[4:] {
		found |= class[s[0]] | class[s[1]] | class[s[2]] | class[s[3]]
	}
	for i := range len(s) {
		found |= class[s[i]]
	}
	return found
}

func appendEscapedSlow(dst []byte, s string, also int) []byte {
	if s == "" {
		return append(dst, "_x_"...)
	}
	done := 0
	for i := range len(s) {
		if class[s[i]]&special != 0 || i == also || s[i] == '_' && beginsEscape(s[i:]) {
			dst = appendByte(append(dst, s[done:i]...), s[i])
			done = i + 1
		}
	}
	return append(dst, s[done:]...)
}

func appendByte(dst []byte, b byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '_', 'x', hex[b>>4], hex[b&15], '_')
}

// beginsEscape reports whether the underscore in front of s could be taken for the beginning of an escape: what
// follows "_x" is a digit, an underscore, or something that will become one because it is escaped.
func beginsEscape(s string) bool {
	return len(s) > 2 && s[1] == 'x' && class[s[2]]&(digit|underscore|special) != 0
}

// What is appended to the escaped name of a timer or histogram.
const (
	nanoseconds = ".ns"
	histogram   = ".hist" // and the unit, which may be anything
)

// appendUnit appends the unit of a histogram: the same name in two units is two series.
func appendUnit(dst []byte, unit string) []byte {
	if unit == "" {
		return dst
	}
	dst = append(dst, '-')
	for i := range len(unit) {
		if b := unit[i]; b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' {
			dst = append(dst, b)
		} else {
			dst = appendByte(dst, b)
		}
	}
	return dst
}

// appendName appends the name of a series. Names that mean something else as a whole have a byte escaped for that: the
// first, if it is punctuation (to Datadog's agent a line that begins with "_sc" is a service check, to telegraf one
// that begins with "_e" an event), and the one that reserved finds. A name that stands beside histograms' must not end
// like one of those.
func appendName(dst []byte, name string, besideHistograms bool) []byte {
	if name != "" && class[name[0]]&punctuation != 0 {
		dst = appendByte(dst, name[0])
		if name = name[1:]; name == "" {
			return dst
		}
	}
	also := reserved(name)
	if besideHistograms {
		if dot := strings.LastIndexByte(name, '.'); dot >= 0 && isHistogram(name[dot:]) {
			also = dot
		}
	}
	return appendEscaped(dst, name, also)
}

// appendKey appends the key of a tag. It does not begin with punctuation: statsd_exporter writes dots and dashes as
// underscores, and one key that has become "__…" keeps it from showing any metric at all.
func appendKey(dst []byte, key string) []byte {
	if key != "" && class[key[0]]&punctuation != 0 {
		return appendEscaped(dst, key, 0)
	}
	return appendEscaped(dst, key, -1)
}

// reserved returns the index of the byte to escape in a name that must not be sent as it is, and -1 for all others.
func reserved(name string) int {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		// StatsD 0.9.0 keeps its counters in a JavaScript object, takes these, which every object has, for counters
		// it knows, and adds to a function.
		switch name {
		case "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
			"toLocaleString", "toString", "valueOf":
			return 0
		case "c": // telegraf takes "c:1|c" for the id of a container, and loses the line
			return 0
		}
		return -1
	}
	if !isPart(name[dot:]) {
		return -1
	}
	series := name[max(0, strings.LastIndexByte(name[:dot], '.')):dot]
	if series == nanoseconds || isHistogram(series) {
		return dot // a counter of this name and a timer's count would be the same series
	}
	return -1
}

// isPart says that lines of timers and histograms are called this: for a quantile, p and digits.
func isPart(s string) bool {
	switch s {
	case ".count", ".sum", ".min", ".max":
		return true
	}
	return len(s) > 2 && s[:2] == ".p" && strings.Trim(s[2:], "0123456789_") == ""
}

func isHistogram(s string) bool {
	return strings.HasPrefix(s, histogram) && (len(s) == len(histogram) || s[len(histogram)] == '-')
}
