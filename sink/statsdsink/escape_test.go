package statsdsink

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEscape(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "_x_"},
		{"arroyo.consumer-2.run_count", "arroyo.consumer-2.run_count"},
		{"a b", "a_x20_b"},
		{"a:1|c\nb:1|c|#k:v,w;x=y", "a_x3A_1_x7C_c_x0A_b_x3A_1_x7C_c_x7C__x23_k_x3A_v_x2C_w_x3B_x_x3D_y"},
		{"/v1/users", "_x2F_v1_x2F_users"},
		{"é", "_xC3__xA9_"},
		{"\x00\xff", "_x00__xFF_"},
		{"pos_x", "pos_x"},
		{"pg_xact", "pg_xact"},
		{"_x", "_x"},
		{"_x_", "_x5F_x_"},
		{"_x20_", "_x5F_x20_"},
		{"_x2", "_x5F_x2"},
		{"_x ", "_x5F_x_x20_"},
		{"__x41", "__x5F_x41"},
	} {
		require.Equal(t, test.want, string(appendEscaped(nil, test.in, -1)), "%q", test.in)
		require.Equal(t, test.in, unescape(test.want))
	}
}

func TestNamesThatMeanSomethingElse(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "_x_"},
		{"_", "_x5F_"},
		{"_sc", "_x5F_sc"},
		{"_event", "_x5F_event"},
		{"__proto__", "_x5F__proto__"},
		{"constructor", "_x63_onstructor"},
		{"a.constructor", "a.constructor"},
		{"c", "_x63_"},
		{"a.c", "a.c"},
		{".", "_x2E_"},
		{"-a", "_x2D_a"},
		{"..ns.count", "_x2E_.ns_x2E_count"},
		{"requests.count", "requests.count"},
		{"requests.ns.count", "requests.ns_x2E_count"},
		{".ns.max", "_x2E_ns.max"},
		{"_.ns.sum", "_x5F_.ns_x2E_sum"},
		{"ns.sum", "ns.sum"},
		{"size.hist.min", "size.hist_x2E_min"},
		{"size.hist-bytes.min", "size.hist-bytes_x2E_min"},
		{"size.history.min", "size.history.min"},
		{"requests.ns.median", "requests.ns.median"},
	} {
		require.Equal(t, test.want, string(appendName(nil, test.in, false)), "%q", test.in)
		require.Equal(t, test.in, unescape(test.want))
	}
}

func TestKeysThatMeanSomethingElse(t *testing.T) {
	for in, want := range map[string]string{
		"": "_x_", "le": "_x6C_e", "les": "les", "quantile": "_x71_uantile", "quantile.a": "quantile.a",
		"__name__": "_x5F__name__", ".a": "_x2E_a", "-": "_x2D_", "host": "host",
	} {
		require.Equal(t, want, string(appendKey(nil, in)), "%q", in)
		require.Equal(t, in, unescape(want))
	}
}

// Every string of up to five pieces that matter for escaping reads back as itself, so no two are written alike. No
// name is written like a part of a timer.
func TestEscapeIsInjective(t *testing.T) {
	pieces := []string{"_", "x", "5", "F", "g", " ", ".ns", ".count"}
	var try func(s string, depth int)
	try = func(s string, depth int) {
		escaped, name, key := string(appendEscaped(nil, s, -1)), string(appendName(nil, s, false)), string(appendKey(nil, s))
		if got := unescape(escaped); got != s {
			t.Fatalf("%q is written %q, which reads %q", s, escaped, got)
		}
		if got := unescape(name); got != s || aggregate.MatchString(name) {
			t.Fatalf("the name %q is written %q, which reads %q", s, name, got)
		}
		if got := unescape(key); got != s {
			t.Fatalf("the key %q is written %q, which reads %q", s, key, got)
		}
		if depth > 0 {
			for _, piece := range pieces {
				try(s+piece, depth-1)
			}
		}
	}
	try("", 5)
}

var escape = regexp.MustCompile(`_x([0-9A-F]{2})?_`)

// unescape undoes appendEscaped, as the package documentation describes it.
func unescape(s string) string {
	return escape.ReplaceAllStringFunc(s, func(escape string) string {
		digits := strings.Trim(escape, "_x")
		if digits == "" {
			return ""
		}
		b, err := strconv.ParseUint(digits, 16, 8)
		if err != nil {
			panic(fmt.Sprintf("%q: %v", escape, err))
		}
		return string([]byte{byte(b)})
	})
}
