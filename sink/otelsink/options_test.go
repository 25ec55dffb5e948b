package otelsink_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/otelsink"
)

func TestOptionErrors(t *testing.T) {
	var none *otlpmetricgrpc.Exporter
	for _, c := range []struct {
		exporter sdk.Exporter
		opts     []otelsink.Option
		want     string
	}{
		{nil, nil, "otelsink: New: the exporter is nil; make one"},
		{none, nil, "otelsink: New: the exporter is a nil *otlpmetricgrpc.Exporter; make one"},
		{new(closing), []otelsink.Option{nil}, "otelsink: New: option 1 of 1 is nil"},
		{new(closing), []otelsink.Option{otelsink.WithResource(nil)}, "otelsink: New: WithResource: the resource is nil"},
	} {
		sink, err := otelsink.New(c.exporter, c.opts...)
		require.ErrorContains(t, err, c.want)
		require.Nil(t, sink)
	}
	for want, opt := range map[string]otelsink.Option{
		"otelsink: NewProducer: option 1 of 1 is nil":           nil,
		"otelsink: NewProducer: WithResource is for New; give ": otelsink.WithResource(resource.Empty()),
	} {
		producer, err := otelsink.NewProducer(opt)
		require.ErrorContains(t, err, want)
		require.Nil(t, producer)
	}
}

// A closing exporter only counts how often it is shut down, and says why it cannot.
type closing struct {
	sdk.Exporter
	shutdowns int
	err       error
}

func (c *closing) Shutdown(ctx context.Context) error {
	c.shutdowns++
	if _, limited := ctx.Deadline(); !limited {
		return errors.New("it may take for ever")
	}
	return c.err
}

// The buffer's Close shuts the exporter down, once, and returns its error.
func TestClose(t *testing.T) {
	exporter := &closing{err: errors.New("injected")}
	buffer, err := metricsbuffer.New(metricsbuffer.WithSink(newSink(t, exporter)))
	require.NoError(t, err)
	err = buffer.Close()
	require.ErrorContains(t, err, "otelsink: shutting the exporter down: injected")
	require.ErrorIs(t, err, exporter.err)
	require.Equal(t, err, buffer.Close())
	require.Equal(t, 1, exporter.shutdowns)

	// Everything recorded is exported before.
	receiver, real := startGRPC(t)
	buffer, err = metricsbuffer.New(metricsbuffer.WithSink(newSink(t, real)))
	require.NoError(t, err)
	buffer.IncrCounter("jobs", 3)
	require.NoError(t, buffer.Close())
	require.InDelta(t, 3, receiver.total("jobs").value, 0)
	require.Error(t, real.Shutdown(t.Context()), "it is shut down already")
}
