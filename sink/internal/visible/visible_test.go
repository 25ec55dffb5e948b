package visible_test

import (
	"strconv"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/visible"
)

// The runes that Unicode calls ignorable, and blanks of which it does not, are escaped. All others are as in strconv.
func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"plain":      `"plain"`,
		"größe 日本 🚀": `"größe 日本 🚀"`, "e\u0301": "\"e\u0301\"", `"`: `"\""`, "\xff": `"\xff"`,
		"a\u3164": `"a\u3164"`, "a\ufe0f": `"a\ufe0f"`, "a\u034f": `"a\u034f"`, "a\u2800": `"a\u2800"`,
		"\u115f\u1160\u17b4\uffa0\u180b": `"\u115f\u1160\u17b4\uffa0\u180b"`,
		"a\U000e0100":                    `"a\U000e0100"`, "a\U0001d159": `"a\U0001d159"`,
	} {
		require.Equal(t, want, visible.Quote(s))
	}
	for r := range rune(unicode.MaxRune + 1) {
		s := string(r)
		quoted := visible.Quote(s)
		unquoted, err := strconv.Unquote(quoted)
		if err != nil || unquoted != s || visible.Rune(r) && quoted != strconv.Quote(s) {
			t.Fatalf("%U is quoted as %s, which means %q (%v)", r, quoted, unquoted, err)
		}
	}
}
