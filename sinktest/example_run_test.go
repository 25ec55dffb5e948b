package sinktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sinktest"
)

// A poster is a sink. It posts each batch as lines. As %q keeps all bytes of names and tags, it has nothing to drop.
type poster struct{ url string }

func (s *poster) Write(ctx context.Context, batch *metricsbuffer.Batch) error {
	var body bytes.Buffer
	for i := range batch.Points {
		p := &batch.Points[i]
		fmt.Fprintf(&body, "%v %q %q %s %d %v", p.Kind, p.Name, p.Unit, p.AppendAmount(nil), p.Sum, p.Value)
		for _, tag := range p.Tags {
			fmt.Fprintf(&body, " %q %q", tag.Key, tag.Value)
		}
		body.WriteByte('\n')
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, &body)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// A backend keeps the lines that were posted to it.
type backend struct {
	broken atomic.Bool
	mu     sync.Mutex
	text   strings.Builder
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || b.broken.Load() {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	b.text.Write(body)
}

// received returns a point for each line. The suite adds up those of one series.
func (b *backend) received() (points []metricsbuffer.Point, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		p, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("the line %q: %w", line, err)
		}
		points = append(points, p)
	}
	return points, nil
}

func parse(line string) (p metricsbuffer.Point, err error) {
	var kind, amount string
	text := strings.NewReader(line)
	_, err = fmt.Fscanf(text, "%s %q %q %s %d %g", &kind, &p.Name, &p.Unit, &amount, &p.Sum, &p.Value)
	if err != nil {
		return p, err
	}
	at := slices.Index([]string{"counter", "timer", "gauge", "histogram"}, kind)
	if at < 0 {
		return p, errors.New("the kind is unknown")
	}
	p.Kind = metricsbuffer.Kind(at)
	for text.Len() > len("\n") {
		var tag metricsbuffer.Tag
		if _, err := fmt.Fscanf(text, " %q %q", &tag.Key, &tag.Value); err != nil {
			return p, err
		}
		p.Tags = append(p.Tags, tag)
	}
	p.Count, p.Decimals, err = sinktest.ParseAmount(amount)
	return p, err
}

// begin starts a backend for one subtest.
func begin(t *testing.T) sinktest.Subject {
	backend := new(backend)
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	return sinktest.Subject{
		Sink: &poster{server.URL}, Received: backend.received,
		Break: func() { backend.broken.Store(true) }, Mend: func() { backend.broken.Store(false) },
	}
}

// The test of a sink of one's own is a function begin and this call.
func ExampleRun() {
	var t *testing.T // the parameter of func TestPoster(t *testing.T)
	sinktest.Run(t, begin)
}
