package statsdsink

import "strings"

// Escaping can be undone, unescape(escape(s)) == s for every s, so no two series are written alike. It works byte by
// byte, and its result has plain bytes only. Read from the left, an escape is
//
//	_x_     nothing: an empty string, or the mark of a repeated key
//	_xHH_   the byte with that hexadecimal number
//
// An underscore is escaped if it could be read as the beginning of an escape.

// The classes of bytes. They are bits, so that a set of them describes a whole string.
const (
	special     = 1 << iota // always escaped
	underscore              // escaped if it could begin an escape
	letterX                 // the x of an escape
	digit                   // a hexadecimal digit of an escape
	punctuation             // escaped at the start of a name or key
	dot                     // may be in front of a name's last part
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
	class['.'], class['-'] = punctuation|dot, punctuation
	class['_'] = underscore | punctuation
	class['x'] = letterX
	return class
}()

// appendEscaped appends s with its escapes. The byte at index also is escaped in any case; -1 stands for none.
func appendEscaped(dst []byte, s string, also int) []byte {
	if also < 0 && s != "" && isPlain(classes(s)) {
		return append(dst, s...) // nearly always
	}
	return appendEscapedSlow(dst, s, also)
}

// isPlain reports whether a string with bytes of these classes has nothing to escape.
func isPlain(classes uint8) bool {
	return classes&special == 0 && classes&(underscore|letterX) != underscore|letterX
}

// classes returns the set of the classes of the bytes in s. Encoding spends most of its time here, hence four bytes at
// a time.
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

// beginsEscape reports whether the underscore at the start of s could be read as the beginning of an escape: "_x" and
// then a digit, an underscore, or a byte that becomes an underscore because it is escaped.
func beginsEscape(s string) bool {
	return len(s) > 2 && s[1] == 'x' && class[s[2]]&(digit|underscore|special) != 0
}

// These are appended to the escaped name of a timer or histogram.
const (
	nanoseconds = ".ns"
	histogram   = ".hist" // then the unit, if there is one
)

// appendUnit appends the unit of a histogram. A name in two units is two series.
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

// appendName appends the name of a series. Some names mean something else to a server, and have one byte escaped: the
// first one if it is punctuation, because a line that begins with "_sc" is a service check to Datadog's agent and one
// that begins with "_e" an event to telegraf; and the byte that reserved finds. A timer's name that is sent beside
// names of histograms must not end like one of them.
func appendName(dst []byte, name string, besideHistograms bool) []byte {
	if c := classes(name); c&dot == 0 && isPlain(c) && len(name) > longestReserved && class[name[0]]&punctuation == 0 {
		return append(dst, name...)
	}
	return appendNameSlow(dst, name, besideHistograms)
}

func appendNameSlow(dst []byte, name string, besideHistograms bool) []byte {
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

// appendKey appends the key of a tag. The first byte of some keys is escaped to protect statsd_exporter: it panics if a
// timer has one of Prometheus' own labels, "quantile" or "le", and shows no metric at all if a key begins with two
// underscores, as which it writes dots and dashes, too.
func appendKey(dst []byte, key string) []byte {
	if key == "quantile" || key == "le" || key != "" && class[key[0]]&punctuation != 0 {
		return appendEscaped(dst, key, 0)
	}
	return appendEscaped(dst, key, -1)
}

// longestReserved is the length of the longest name without a dot that reserved finds.
const longestReserved = len("propertyIsEnumerable")

// reserved returns the index of the byte to escape in a name that cannot be sent as it is, and -1 for all other names.
func reserved(name string) int {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		// StatsD 0.9.0 keeps its counters in a JavaScript object. Every object has functions of these names, and
		// StatsD adds the counter to the function.
		switch name {
		case "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
			"toLocaleString", "toString", "valueOf":
			return 0
		case "c": // telegraf takes "c:1|c" for the id of a container and loses the line
			return 0
		}
		return -1
	}
	if !isPart(name[dot:]) {
		return -1
	}
	series := name[max(0, strings.LastIndexByte(name[:dot], '.')):dot]
	if series == nanoseconds || isHistogram(series) {
		return dot // otherwise a counter of this name and the count of a timer could be one series
	}
	return -1
}

// isPart reports whether s is the last part of a timer's or histogram's name. For a quantile it is p and digits.
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
