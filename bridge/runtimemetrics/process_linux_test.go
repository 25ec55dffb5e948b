package runtimemetrics

import (
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcess(t *testing.T) {
	p, err := openProcess()
	require.NoError(t, err)
	defer p.close()
	read := func() (u usage) {
		require.True(t, p.read(&u))
		return u
	}
	debug.FreeOSMemory() // so that what is touched below is not in the process yet
	before := read()
	require.Equal(t, p.started, before.started)
	require.True(t, before.started.Before(time.Now()))
	executable, err := os.Stat(os.Args[0]) // go test builds it and runs it at once
	require.NoError(t, err)
	require.False(t, before.started.Before(executable.ModTime().Add(-time.Minute)))
	require.GreaterOrEqual(t, before.threads, 1.0)
	require.Greater(t, before.virtual, before.resident)
	require.GreaterOrEqual(t, before.maxVirtual, before.virtual)
	require.Greater(t, before.maxDescriptors, before.descriptors)

	const more = 20
	for range more {
		file, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer file.Close()
	}
	touched := make([]byte, 64<<20)
	for i := 0; i < len(touched); i += 4096 {
		touched[i] = 1
	}
	after := read()
	require.InDelta(t, more, after.descriptors-before.descriptors, 0)
	require.Greater(t, after.resident, before.resident+float64(len(touched))/2)
	for after.user+after.system < before.user+before.system+10*time.Millisecond {
		after = read() // takes processor time
	}
	require.NotZero(t, touched[0])
}

// The entries of the directory are counted on a kernel that does not tell its size, in several reads of the directory.
func TestCountEntries(t *testing.T) {
	for _, n := range []int{0, 1, 500} {
		dir := t.TempDir()
		for range n {
			file, err := os.CreateTemp(dir, "")
			require.NoError(t, err)
			require.NoError(t, file.Close())
		}
		open, err := os.Open(dir)
		require.NoError(t, err)
		defer open.Close()
		scratch := make([]byte, 1024)
		for range 2 { // it begins anew
			entries, err := countEntries(int(open.Fd()), scratch)
			require.NoError(t, err)
			require.EqualValues(t, n, entries)
		}
		_, err = countEntries(-1, scratch)
		require.Error(t, err)
	}
}
