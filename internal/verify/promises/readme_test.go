package promises

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCodeOfTheREADME: every block of Go in the README is part of an example that is compiled and run.
func TestCodeOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("../../../example_test.go")
	require.NoError(t, err)
	unindented := regexp.MustCompile(`(?m)^\t`).ReplaceAllString(string(examples), "")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 1)
	for _, block := range blocks {
		require.Contains(t, unindented, block[1], "not in example_test.go")
	}
}
