package openmetricssink_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

type (
	tag   = metricsbuffer.Tag
	point = metricsbuffer.Point
)

// A family is a metric on a page.
type family struct {
	name, help, typeName, unit string
	samples                    []sample
}

// A sample is a line with a value.
type sample struct {
	suffix string // of its name, after that of the family
	labels []tag
	le     string // of a bucket
	value  float64

	exemplar string
}

var (
	comment = regexp.MustCompile(`^# (HELP|TYPE|UNIT) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$`)
	line    = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(` + labels + `)\})? (` + number + `)` +
		`( # \{` + labels + `\} (?:` + number + `) (?:` + number + `))?$`)
	oneLabel = regexp.MustCompile(label)
	types    = []string{"counter", "gauge", "histogram"}
)

const (
	label  = `[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])+"`
	labels = label + `(?:,` + label + `)*`
	number = `[-+]?[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]+)?|NaN|[-+]Inf`
)

// parse reads a page as strictly as the formats are defined. A page that one of the real parsers might refuse is an
// error: the tests of promsink's module have those parsers.
func parse(page string, open bool) (families []*family, err error) {
	if open {
		var found bool
		if page, found = strings.CutSuffix(page, "# EOF\n"); !found {
			return nil, errors.New("the page has no EOF")
		}
	}
	names := make(map[string]bool)
	var f *family
	for text := range strings.Lines(page) {
		text, whole := strings.CutSuffix(text, "\n")
		switch about := comment.FindStringSubmatch(text); {
		case !whole:
			return nil, fmt.Errorf("%q: the last line does not end", text)
		case about != nil && about[1] == "HELP":
			if names[about[2]] {
				return nil, fmt.Errorf("%q: a second family of the name", text)
			}
			names[about[2]] = true
			f = &family{name: about[2], help: unescape(about[3])}
			families = append(families, f)
		case about != nil && (f == nil || about[2] != f.name || len(f.samples) > 0):
			return nil, fmt.Errorf("%q: misplaced", text)
		case about != nil && about[1] == "TYPE":
			f.typeName = about[3]
			if !slices.Contains(types, f.typeName) {
				return nil, fmt.Errorf("%q: no such type", text)
			}
		case about != nil:
			f.unit = about[3]
			if !open || !strings.HasSuffix(f.name, "_"+f.unit) {
				return nil, fmt.Errorf("%q: the format has no units, or the name does not end in this one", text)
			}
		case f == nil:
			return nil, fmt.Errorf("%q: before any family", text)
		default:
			if err := f.add(text); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range families {
		if err := f.check(open); err != nil {
			return nil, err
		}
	}
	return families, nil
}

func (f *family) add(text string) (err error) {
	parts := line.FindStringSubmatch(text)
	if parts == nil {
		return fmt.Errorf("%q: not a sample", text)
	}
	s := sample{}
	var found bool
	if s.suffix, found = strings.CutPrefix(parts[1], f.name); !found {
		return fmt.Errorf("%q: not of the family %s", text, f.name)
	}
	names := make(map[string]bool)
	for _, l := range oneLabel.FindAllString(parts[2], -1) {
		name, value, _ := strings.Cut(l, "=")
		if names[name] {
			return fmt.Errorf("%q: the label %s twice", text, name)
		}
		names[name] = true
		if value = unescape(value[1 : len(value)-1]); name == "le" && s.suffix == "_bucket" {
			s.le = value
		} else {
			s.labels = append(s.labels, tag{Key: name, Value: value})
		}
	}
	if s.exemplar = parts[4]; s.exemplar != "" && s.suffix != "_bucket" {
		return fmt.Errorf("%q: an exemplar that is of no bucket", text)
	}
	s.value, err = strconv.ParseFloat(parts[3], 64)
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	f.samples = append(f.samples, s)
	return nil
}

// check tells whether the samples are complete, and those of a series stand together.
func (f *family) check(open bool) error {
	if len(f.samples) == 0 || f.typeName == "" {
		return fmt.Errorf("the family %s lacks samples or a type", f.name)
	}
	seen, last := make(map[string]bool), ""
	for _, s := range f.samples {
		key := fmt.Sprintf("%q", s.labels)
		if key != last && seen[key] {
			return fmt.Errorf("%s%s is in two places", f.name, key)
		}
		sampleKey := fmt.Sprint(key, s.suffix, "\xff", s.le)
		if seen[sampleKey] {
			return fmt.Errorf("%s%s%s is there twice", f.name, s.suffix, key)
		}
		seen[key], seen[sampleKey], last = true, true, key
		want := map[string][]string{"gauge": {""}, "counter": {"", "_total", "_created"},
			"histogram": {"_bucket", "_sum", "_count", "_created"}}[f.typeName]
		if s.exemplar != "" && !open {
			return fmt.Errorf("%s%s: the format has no exemplars", f.name, s.suffix)
		}
		if !slices.Contains(want, s.suffix) || s.suffix == "_created" && !open ||
			f.typeName == "counter" && (s.suffix == "_total") != open && s.suffix != "_created" {
			return fmt.Errorf("%s%s: a %s has no such sample", f.name, s.suffix, f.typeName)
		}
	}
	if f.typeName == "histogram" {
		return f.checkBuckets()
	}
	return nil
}

func (f *family) checkBuckets() error {
	bound, below := math.Inf(-1), -1.0
	for _, s := range f.samples {
		switch s.suffix {
		case "_bucket":
			le, err := strconv.ParseFloat(s.le, 64)
			if err != nil || le <= bound || s.value < below {
				return fmt.Errorf("%s: le=%q %v after %v %v: %w", f.name, s.le, s.value, bound, below, err)
			}
			bound, below = le, s.value
		case "_count":
			if !math.IsInf(bound, 1) || s.value != below {
				return fmt.Errorf("%s: %v up to %v, but %v in all", f.name, below, bound, s.value)
			}
			bound, below = math.Inf(-1), -1.0
		}
	}
	return nil
}

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(s)
}

var helpText = regexp.MustCompile(`^The (counter|gauge|timer|histogram) ("(?:[^"\\]|\\.)*")(?:, in (".*"))?\.$`)

// pointsOf returns the series of a page. The help text has the kind, the name and the unit as they were recorded,
// unless the name was described. Then it was one of letters and underscores, and had no unit.
func pointsOf(families []*family) ([]point, error) {
	var points []point
	for _, f := range families {
		about := helpText.FindStringSubmatch(f.help)
		if about == nil {
			name, kind := strings.TrimSuffix(f.name, "_total"), f.typeName
			if timer, ok := strings.CutSuffix(f.name, "_seconds"); ok && kind == "histogram" {
				name, kind = timer, "timer"
			}
			about = []string{"", kind, strconv.Quote(name), ""}
		}
		name, err := strconv.Unquote(about[2])
		if err != nil {
			return nil, fmt.Errorf("%s has the help text %q: %w", f.name, f.help, err)
		}
		byLabels := make(map[string]*point)
		for _, s := range f.samples {
			key := fmt.Sprintf("%q", s.labels)
			p := byLabels[key]
			if p == nil {
				p = &point{Name: name, Unit: about[3], Tags: s.labels, Kind: kindOf[about[1]]}
				byLabels[key] = p
			}
			switch {
			case s.suffix == "_created" || s.suffix == "_bucket":
			case p.Kind == metricsbuffer.KindGauge:
				p.Value = s.value
			case s.suffix == "_sum" && p.Kind == metricsbuffer.KindTimer:
				p.Sum = whole(s.value * 1e9)
			case s.suffix == "_sum":
				p.Sum = whole(s.value)
			case s.value != math.Trunc(s.value):
				p.Count, p.Decimals, err = sinktest.ParseAmount(strconv.FormatFloat(s.value, 'f', -1, 64))
				if err != nil {
					return nil, err
				}
			default:
				p.Count = whole(s.value)
			}
		}
		for p := range maps.Values(byLabels) {
			points = append(points, *p)
		}
	}
	return points, nil
}

// whole returns an int64. MaxInt64 has become a float64, which is larger by one.
func whole(v float64) int64 {
	if v >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(v)
}

var kindOf = map[string]metricsbuffer.Kind{
	"counter": metricsbuffer.KindCounter, "gauge": metricsbuffer.KindGauge,
	"timer": metricsbuffer.KindTimer, "histogram": metricsbuffer.KindHistogram,
}
