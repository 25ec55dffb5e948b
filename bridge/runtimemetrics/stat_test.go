package runtimemetrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lineOf returns a line as the kernel writes it; see do_task_stat in fs/proc/array.c.
func lineOf(name string, threads, started, virtual, pages uint64) []byte {
	return fmt.Appendf(nil, "4242 (%s) S 1 4242 4242 0 -1 4194560 1 0 2 0 77 8 0 0 20 0 %d 0 %d %d %d "+
		"18446744073709551615 1 1 0 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		name, threads, started, virtual, pages)
}

func TestParseStat(t *testing.T) {
	line := lineOf("a) R 9 (b", 12, 345, 6789, 10)
	stat, err := parseStat(line)
	require.NoError(t, err)
	require.Equal(t, statLine{threads: 12, started: 3450 * time.Millisecond, virtual: 6789, pages: 10}, stat)
	negative := strings.ReplaceAll(string(line), "6789", "-1")
	for _, bad := range []string{"", "4242 (a", "4242 (a)", "4242 (a) S 1 2", negative} {
		_, err := parseStat([]byte(bad))
		require.ErrorIs(t, err, errStat, bad)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("name", uint64(1), uint64(2), uint64(3), uint64(4))
	f.Add(") R 1 ", uint64(1)<<63, uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, name string, threads, started, virtual, pages uint64) {
		started %= 1 << 32
		line := lineOf(name, threads, started, virtual, pages)
		stat, err := parseStat(line)
		require.NoError(t, err)
		require.Equal(t, statLine{threads, time.Duration(started) * tick, virtual, pages}, stat)
		_, _ = parseStat([]byte(name)) // does not panic
	})
}
