package promsink_test

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

func TestConformance(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		sink := newSink(t)
		registry := registryOf(sink)
		return sinktest.Subject{
			Sink:     sink,
			Received: func() ([]metricsbuffer.Point, error) { return received(t, registry) },
		}
	})
}

// received reads the page back.
func received(t *testing.T, registry prometheus.Gatherer) (points []metricsbuffer.Point, err error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text(t, registry)))
	if err != nil {
		return nil, err
	}
	return pointsOf(maps.Values(families))
}

// pointsOf returns the series of the families. The help text has the kind, the name and the unit as they were recorded,
// unless the name was described. Then it was one of letters and underscores, and had no unit.
func pointsOf(families iter.Seq[*dto.MetricFamily]) (points []metricsbuffer.Point, err error) {
	for family := range families {
		about := helpText.FindStringSubmatch(family.GetHelp())
		if about == nil {
			name, kind := strings.TrimSuffix(family.GetName(), "_total"), strings.ToLower(family.GetType().String())
			if timer, ok := strings.CutSuffix(name, "_seconds"); ok && kind == "histogram" {
				name, kind = timer, "timer"
			}
			about = []string{"", kind, strconv.Quote(name), ""}
		}
		name, err := strconv.Unquote(about[2])
		if err != nil {
			return nil, fmt.Errorf("%s has the help text %q: %w", family.GetName(), family.GetHelp(), err)
		}
		for _, m := range family.Metric {
			p := metricsbuffer.Point{Name: name, Unit: about[3], Kind: kinds[about[1]], Value: m.GetGauge().GetValue()}
			for _, label := range m.Label {
				p.Tags = append(p.Tags, tag{Key: label.GetName(), Value: label.GetValue()})
			}
			if v := m.GetCounter().GetValue(); v != math.Trunc(v) {
				p.Count, p.Decimals, err = sinktest.ParseAmount(strconv.FormatFloat(v, 'f', -1, 64))
				if err != nil {
					return nil, err
				}
			} else {
				p.Count = count(m)
			}
			p.Sum = int64(math.Min(m.GetHistogram().GetSampleSum()*units[p.Kind], math.MaxInt64/2))
			points = append(points, p)
		}
	}
	return points, nil
}

// count returns a counter's value or a histogram's count. MaxInt64 has become a float64, which is larger by one.
func count(m *dto.Metric) int64 {
	v := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
	if v >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(v)
}

var (
	helpText = regexp.MustCompile(`^The (counter|gauge|timer|histogram) ("(?:[^"\\]|\\.)*")(?:, in (".*"))?\.$`)
	kinds    = map[string]metricsbuffer.Kind{
		"counter": metricsbuffer.KindCounter, "gauge": metricsbuffer.KindGauge,
		"timer": metricsbuffer.KindTimer, "histogram": metricsbuffer.KindHistogram,
	}
	units = map[metricsbuffer.Kind]float64{metricsbuffer.KindTimer: 1e9, metricsbuffer.KindHistogram: 1}
)
