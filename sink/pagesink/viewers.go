package pagesink

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/metricsbuffer/metricsbuffer"
)

const (
	maxViewers   = 32
	maxBehind    = 8                // messages that wait for a viewer
	flushTimeout = 5 * time.Second  // of one batch
	writeTimeout = 10 * time.Second // of one message to a viewer
)

// A message is a list of server-sent events, which all viewers share.
type message [][]byte

// A viewer is an open page. Its channel is closed when the viewer is removed from Sink.viewers.
type viewer struct{ messages chan message }

// serveEvents sends the totals of all series, and then each change, until the viewer leaves or the page is closed.
func (s *Sink) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would collect events
	if r.Method == http.MethodHead {
		return
	}
	stream := http.NewResponseController(w)
	send := func(events message) error {
		// The error is ignored: a deadline is not supported by every server, and the next write tells of a failure.
		_ = stream.SetWriteDeadline(time.Now().Add(writeTimeout))
		for _, event := range events {
			if _, err := w.Write(event); err != nil {
				return err
			}
		}
		return stream.Flush()
	}
	took, err := s.ask(r.Context()) // so that the history does not begin with a batch of many hours
	v, begin := s.join()
	if v == nil {
		http.Error(w, "pagesink: there are 32 viewers already; close one of their pages", http.StatusServiceUnavailable)
		return
	}
	defer s.leave(v)
	if err := stream.Flush(); errors.Is(err, http.ErrNotSupported) { // nothing has been sent yet, so an error can be
		http.Error(w, "pagesink: a handler around the page hides http.Flusher, so that no events can be sent; take it away, "+
			"or give its http.ResponseWriter the method Unwrap() http.ResponseWriter", http.StatusInternalServerError)
		return
	}
	if err := send(append(begin, s.tickEvent(took, err))); err != nil {
		return
	}
	for {
		select {
		case events, ok := <-v.messages:
			switch {
			case ok && send(events) == nil:
				continue
			case !ok && s.isClosed():
				_ = send(message{s.tickEvent(0, metricsbuffer.ErrClosed), endEvent}) // nothing follows, even if it fails
			}
			return
		case <-r.Context().Done():
			return
		}
	}
}

// ask has the buffer write a batch, and returns how long that took.
func (s *Sink) ask(ctx context.Context) (took time.Duration, err error) {
	flush := s.flush.Load()
	if flush == nil {
		return 0, errors.New("pagesink: the page has no buffer; give it to one with metricsbuffer.WithSink")
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	began := time.Now()
	err = (*flush)(ctx)
	return time.Since(began), err
}

// push asks for a batch at every interval, and follows it with the account.
func (s *Sink) push(ctx context.Context) {
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		tick := s.tickEvent(s.ask(ctx))
		s.mu.Lock()
		if ctx.Err() == nil {
			s.broadcast(message{tick})
		}
		s.mu.Unlock()
	}
}

// join adds a viewer, and returns the events of all totals until now. It returns no viewer if there are too many. After
// Close, the channel of the viewer is closed.
func (s *Sink) join() (*viewer, message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.viewers) == maxViewers {
		return nil, nil
	}
	v := &viewer{messages: make(chan message, maxBehind)}
	if s.closed {
		close(v.messages)
		return v, s.allEvents()
	}
	// The present viewers learn of new series before those are in the totals of the new viewer only.
	if events := s.changeEvents(); len(events) > 0 {
		s.broadcast(events)
	}
	s.viewers[v] = struct{}{}
	if s.stop == nil {
		var ctx context.Context
		ctx, s.stop = context.WithCancel(context.Background())
		go s.push(ctx)
	}
	return v, s.allEvents()
}

func (s *Sink) leave(v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(v)
}

// remove removes a viewer, if it was not removed before. The last one ends the push. s.mu is locked.
func (s *Sink) remove(v *viewer) {
	if _, present := s.viewers[v]; !present {
		return
	}
	delete(s.viewers, v)
	close(v.messages)
	if len(s.viewers) == 0 {
		s.stop()
		s.stop, s.changes = nil, changes{}
	}
}

// broadcast sends a message to all viewers, and removes those which are too far behind. s.mu is locked.
func (s *Sink) broadcast(events message) {
	if len(events) == 0 {
		return
	}
	for v := range s.viewers {
		select {
		case v.messages <- events:
		default:
			s.remove(v) // its browser connects again and gets all totals
		}
	}
}

func (s *Sink) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
