// Package visible shows strings to people such that different strings look different.
package visible

import (
	"strconv"
	"strings"
	"unicode"
)

// Rune says whether the rune prints and can be seen. Go takes some runes for printable that fonts draw as nothing, or
// as a blank: fillers, joiners and variation selectors.
func Rune(r rune) bool {
	const blankBraille, nullNotehead = '\u2800', '\U0001d159'
	return strconv.IsPrint(r) && r != blankBraille && r != nullNotehead &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Quote is [strconv.Quote], but also escapes the printable runes that cannot be seen.
func Quote(s string) string {
	quoted := strconv.Quote(s)
	var b strings.Builder
	for _, r := range quoted {
		if Rune(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}
