package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultsOfAPlatformAreFound checks a module whose test has a constant over int, which overflows on 32 bits, a
// field that is not aligned there, and a file that only Windows compiles.
func TestFaultsOfAPlatformAreFound(t *testing.T) {
	checkout := t.TempDir()
	for name, text := range map[string]string{
		"go.work":       "go 1.25.0\nuse ./nested\n",
		"nested/go.mod": "module example.org/nested\n\ngo 1.25.0\n",
		"nested/a.go":   "package nested\n\nfunc take(int) {}\n",
		"nested/b.go": "package nested\n\nimport \"sync/atomic\"\n\nvar x struct {\n\ta int32\n\tn int64\n}\n\n" +
			"func add() { atomic.AddInt64(&x.n, 1) }\n",
		"nested/c.go":      "//go:build windows\n\npackage nested\n\nvar wrong int = \"\"\n",
		"nested/a_test.go": "package nested\n\nimport \"testing\"\n\nfunc TestA(*testing.T) { take(1 << 40) }\n",
	} {
		path := filepath.Join(checkout, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		os, arch string
		say      []string
	}{
		{"linux", "amd64", nil},
		{"linux", "arm", []string{"1 << 40", "non 64-bit aligned field"}},
		{"windows", "amd64", []string{"c.go:5"}},
	} {
		faults, err := check([]string{checkout}, test.os, test.arch, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(faults) != len(test.say) {
			t.Errorf("%s/%s: %q, but expected %d faults", test.os, test.arch, faults, len(test.say))
		}
		all := strings.Join(faults, "\n")
		for _, say := range test.say {
			if !strings.Contains(all, say) {
				t.Errorf("%s/%s: %q does not name %q", test.os, test.arch, faults, say)
			}
		}
	}
}
