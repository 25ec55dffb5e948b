package sinktest_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

var errBroken = errors.New("broken")

// A server keeps lines of the form
//
//	name,key=value,… kind/unit=number
//
// in which every name, key, value and unit is escaped and not empty, except that the unit may be. The number of a timer
// is followed by a semicolon and the sum.
type server struct {
	mu     sync.Mutex
	broken bool
	text   strings.Builder

	lenient bool // skips lines that are not valid
}

func (s *server) set(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *server) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

func (s *server) send(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errBroken
	}
	s.text.WriteString(text)
	return nil
}

var validLine = regexp.MustCompile(
	`^([^ ,=]+)((?:,[^ ,=]+=[^ ,=]+)*) (counter|gauge|timer|histogram)/([^ ,=]*)=(-?[0-9.]+(?:e[+-][0-9]+)?)` +
		`(?:;(-?[0-9]+))?$`)

func (s *server) received() (points []metricsbuffer.Point, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimSuffix(s.text.String(), "\n"), "\n") {
		p, err := parseLine(line)
		if err == nil {
			points = append(points, p)
		} else if line != "" && !s.lenient {
			return nil, err
		}
	}
	return points, nil
}

func parseLine(line string) (p metricsbuffer.Point, err error) {
	parts := validLine.FindStringSubmatch(line)
	if parts == nil {
		return p, fmt.Errorf("the line %.100q is not valid", line)
	}
	unescape := func(s string) string {
		s, problem := url.QueryUnescape(s)
		err = errors.Join(err, problem)
		return s
	}
	p.Name, p.Unit = unescape(parts[1]), unescape(parts[4])
	for tag := range strings.SplitSeq(strings.TrimPrefix(parts[2], ","), ",") {
		if key, value, found := strings.Cut(tag, "="); found {
			p.Tags = append(p.Tags, metricsbuffer.Tag{Key: unescape(key), Value: unescape(value)})
		}
	}
	for p.Kind.String() != parts[3] {
		p.Kind++
	}
	number, problem := strconv.ParseFloat(parts[5], 64)
	if p.Kind == metricsbuffer.KindGauge {
		p.Value = number
	} else if p.Count, p.Decimals, problem = sinktest.ParseAmount(parts[5]); p.Kind == metricsbuffer.KindTimer {
		sum, noSum := strconv.ParseInt(parts[6], 10, 64)
		p.Sum, err = sum, errors.Join(err, noSum)
	}
	return p, errors.Join(err, problem)
}

// A sender is a sink that does everything right, unless a function is replaced by one with a defect.
type sender struct {
	server *server
	escape func(s string) string
	tags   func(tags []metricsbuffer.Tag) []metricsbuffer.Tag
	value  func(p *metricsbuffer.Point) string
	sum    func(p *metricsbuffer.Point) int64
	drop   func(p *metricsbuffer.Point) (reason string)
	done   func(err error, batch *metricsbuffer.Batch) error

	unitless bool
}

func newSender() *sender {
	return &sender{
		server: new(server), escape: url.QueryEscape, value: number, drop: inexpressible,
		tags: func(tags []metricsbuffer.Tag) []metricsbuffer.Tag { return tags },
		sum:  func(p *metricsbuffer.Point) int64 { return p.Sum },
		done: func(err error, _ *metricsbuffer.Batch) error { return err },
	}
}

func inexpressible(p *metricsbuffer.Point) string {
	if p.Name == "" {
		return "the name is empty"
	}
	for _, tag := range p.Tags {
		if tag.Key == "" || tag.Value == "" {
			return "a tag is empty"
		}
	}
	return infinite(p)
}

func infinite(p *metricsbuffer.Point) string {
	if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
		return "the value is not a finite number"
	}
	return ""
}

func number(p *metricsbuffer.Point) string {
	if p.Kind == metricsbuffer.KindGauge {
		return strconv.FormatFloat(p.Value, 'g', -1, 64)
	}
	return string(p.AppendAmount(nil))
}

func (s *sender) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var text strings.Builder
	for i := range batch.Points {
		p := &batch.Points[i]
		if reason := s.drop(p); reason != "" {
			batch.Drop(i, reason)
			continue
		}
		text.WriteString(s.escape(p.Name))
		for _, tag := range s.tags(slices.Clone(p.Tags)) {
			text.WriteString("," + s.escape(tag.Key) + "=" + s.escape(tag.Value))
		}
		text.WriteString(" " + p.Kind.String() + "/")
		if !s.unitless {
			text.WriteString(s.escape(p.Unit))
		}
		text.WriteString("=" + s.value(p))
		if p.Kind == metricsbuffer.KindTimer {
			text.WriteString(";" + strconv.FormatInt(s.sum(p), 10))
		}
		text.WriteString("\n")
	}
	return s.done(s.server.send(text.String()), batch)
}
