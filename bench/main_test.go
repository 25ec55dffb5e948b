package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHelpIsNoErrorAndHasExamples(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, run([]string{"-h"}, &text), "the exit status is 0")
	require.Contains(t, text.String(), "go -C bench run . [options]")
	require.Contains(t, text.String(), "go -C bench run . -quick")
	require.Contains(t, text.String(), "-baseline file")
	require.NotContains(t, text.String(), "-child", "it is no option for people")
}

func TestWrongOptionsAreErrors(t *testing.T) {
	var text bytes.Buffer
	for _, args := range [][]string{
		{"-nosuch"}, {"-child"}, {"surplus"}, {"-cpu", "0"}, {"-run", "nosuch"}, {"-with", "nosuch"},
	} {
		require.Error(t, run(args, &text), "%v", args)
	}
	require.Empty(t, text.String())
}

// A value that makes no sense is not the default.
func TestSenselessOptionsAreErrors(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "-3"}, {"-rounds", "0"}, {"-duration", "-1s"}, {"-duration", "0"},
		{"-run", ","}, {"-with", ","}, {"-cpu", ",,"},
	} {
		err := run(append(args, "-baseline", "nosuch"), io.Discard) // it measures nothing without that file
		require.ErrorContains(t, err, args[0], "%v", args)
	}
}

func TestListNamesAll(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, run([]string{"-list"}, &text))
	require.Contains(t, text.String(), "memory-64p")
	require.Contains(t, text.String(), "rcrowley/go-metrics")
}
