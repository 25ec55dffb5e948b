// Command collector runs the statsdreceiver of the OpenTelemetry Collector for tests, and nothing else of the
// Collector. The script .ci/receivers builds it in a module of its own. Its argument is the receiver's configuration
// as JSON. It writes each data point as a line of JSON to standard output. The first line, of the kind "ready", says
// that it listens.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/receiver/statsdreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
)

// A point is a line of output. A histogram has Count, Sum, Min and Max; a sum and a gauge have Value.
type point struct {
	Kind, Name           string
	Tags                 map[string]any
	Value, Sum, Min, Max float64
	Count                uint64
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(settings string) error {
	var values map[string]any
	if err := json.Unmarshal([]byte(settings), &values); err != nil {
		return err
	}
	factory := statsdreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(values).Unmarshal(config); err != nil {
		return err
	}
	next, err := consumer.NewMetrics(printer())
	if err != nil {
		return err
	}
	set := receiver.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}
	r, err := factory.CreateMetrics(context.Background(), set, config, next)
	if err != nil {
		return err
	}
	if err := r.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(point{Kind: "ready"}); err != nil {
		return err
	}
	select {} // until it is killed
}

func printer() consumer.ConsumeMetricsFunc {
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	return func(_ context.Context, metrics pmetric.Metrics) error {
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range metrics.ResourceMetrics().All() {
			for _, scope := range resource.ScopeMetrics().All() {
				for _, metric := range scope.Metrics().All() {
					for _, p := range points(metric) {
						if err := out.Encode(p); err != nil {
							return err
						}
					}
				}
			}
		}
		return nil
	}
}

func points(m pmetric.Metric) (all []point) {
	add := func(tags pcommon.Map, p point) {
		p.Kind, p.Name, p.Tags = m.Type().String(), m.Name(), tags.AsRaw()
		all = append(all, p)
	}
	number := func(p pmetric.NumberDataPoint) point {
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			return point{Value: float64(p.IntValue())}
		}
		return point{Value: p.DoubleValue()}
	}
	switch m.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			add(p.Attributes(), number(p))
		}
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			add(p.Attributes(), number(p))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			add(p.Attributes(), point{Count: p.Count(), Sum: p.Sum(), Min: p.Min(), Max: p.Max()})
		}
	default:
		add(pcommon.NewMap(), point{})
	}
	return all
}
