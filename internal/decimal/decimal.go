// Package decimal writes and reads numbers with a fixed number of digits behind the point.
package decimal

import (
	"fmt"
	"strconv"
	"strings"
)

// Most is the greatest number of decimals: 10^18 is the greatest power of ten below 2^63.
const Most = 18

// Power returns 10^decimals. Fewer than none are none, and more than [Most] are Most.
func Power(decimals int) int64 {
	power := int64(1)
	for range min(decimals, Most) {
		power *= 10
	}
	return power
}

// Append appends n / 10^decimals, with all decimals: 2.50 for 250 and 2.
func Append(dst []byte, n int64, decimals int) []byte {
	if decimals <= 0 { // nearly always
		return strconv.AppendInt(dst, n, 10)
	}
	if n < 0 {
		dst = append(dst, '-')
	}
	size := uint64(n)
	if n < 0 {
		size = -size // also right for math.MinInt64
	}
	power := uint64(Power(decimals))
	dst = strconv.AppendUint(dst, size/power, 10)
	at := len(dst)
	dst = strconv.AppendUint(dst, power+size%power, 10)
	dst[at] = '.' // instead of the 1 of the power
	return dst
}

// AppendShort appends n / 10^decimals, without zeros at the end of the decimals: 2.5 for 250 and 2, 3 for 300 and 2.
func AppendShort(dst []byte, n int64, decimals int) []byte {
	for decimals > 0 && n%10 == 0 {
		n /= 10
		decimals--
	}
	return Append(dst, n, decimals)
}

// Parse reads what [Append] writes, and any other decimal number without an exponent that an int64 has room for.
func Parse(text string) (n int64, decimals int, err error) {
	whole, fraction, found := strings.Cut(text, ".")
	if found && fraction == "" || len(fraction) > Most || strings.ContainsAny(fraction, "+-_") {
		return 0, 0, fmt.Errorf("%q is not a decimal number of at most %d decimals", text, Most)
	}
	if n, err = strconv.ParseInt(whole+fraction, 10, 64); err != nil {
		return 0, 0, err
	}
	return n, len(fraction), nil
}
