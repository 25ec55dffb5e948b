package option_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer/sink/internal/option"
)

func TestTarget(t *testing.T) {
	check := func(target any) error { return option.Target("xsink: New", "writer", target, "give it os.Stderr") }
	require.EqualError(t, check(nil), "xsink: New: the writer is nil; give it os.Stderr")
	require.EqualError(t, check((*os.File)(nil)), "xsink: New: the writer is a nil *os.File; give it os.Stderr")
	require.EqualError(t, check((func())(nil)), "xsink: New: the writer is a nil func(); give it os.Stderr")
	require.EqualError(t, check(map[string]int(nil)), "xsink: New: the writer is a nil map[string]int; give it os.Stderr")
	require.EqualError(t, check((chan int)(nil)), "xsink: New: the writer is a nil chan int; give it os.Stderr")
	require.NoError(t, check(io.Discard))
	require.NoError(t, check(os.Stderr))
}

func TestApply(t *testing.T) {
	type sink struct{ rows int }
	set := func(s *sink) error { s.rows++; return nil }
	refuse := func(*sink) error { return errors.New("WithRows: -1 is negative") }
	var s sink
	require.NoError(t, option.Apply("xsink: New", &s, []func(*sink) error{set, set}))
	require.Equal(t, 2, s.rows)
	require.EqualError(t, option.Apply("xsink: New", &s, []func(*sink) error{refuse, nil, set}),
		"xsink: New: WithRows: -1 is negative\nxsink: New: option 2 of 3 is nil; leave it out")
	require.Equal(t, 3, s.rows)
}
