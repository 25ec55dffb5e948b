package openmetricssink

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// flushTimeout is how long a request waits for the flush.
const flushTimeout = 5 * time.Second

// ServeHTTP flushes the buffer to this sink and answers with the totals. It takes GET and HEAD. It waits at most 5
// seconds for the flush. An error of the flush does not fail the request: pending updates are in a later one, and the
// buffer's error handler is told. The totals of a closed buffer remain.
//
// The page is complete before the first byte is sent, so a slow client delays nobody. It only keeps the memory of its
// page; the server's WriteTimeout limits that. The sink keeps the memory of one page for the next request.
//
// A sink without a buffer answers with the status 500, and a request whose context has ended is answered with 503.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "openmetricssink: the method is "+r.Method+"; use GET", http.StatusMethodNotAllowed)
		return
	}
	flush := s.flush.Load()
	if flush == nil {
		http.Error(w, "openmetricssink: the sink has no buffer, so there is nothing to serve: "+
			"give it to metricsbuffer.New, by metricsbuffer.WithSink(sink)", http.StatusInternalServerError)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), flushTimeout)
	_ = (*flush)(ctx) // see above
	cancel()
	if err := r.Context().Err(); err != nil { // the client has gone, mostly
		http.Error(w, "openmetricssink: the request ended before its page was made: "+err.Error()+
			"; do not end the contexts of requests that are to be answered", http.StatusServiceUnavailable)
		return
	}

	f := formatOf(r.Header)
	page := s.render(f)
	defer s.spare.Store(page)

	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("X-Content-Type-Options", "nosniff") // tags may contain HTML
	header.Set("Vary", "Accept, Accept-Encoding")
	switch {
	case takesGzip(r.Header):
		header.Set("Content-Encoding", "gzip")
		if r.Method == http.MethodGet {
			compress(w, *page)
		}
	default:
		header.Set("Content-Length", strconv.Itoa(len(*page)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(*page) // its error is that the client has gone
		}
	}
}

// render returns the page with the totals of one moment. It uses the memory of the page that was sent last.
func (s *Sink) render(f *format) *[]byte {
	page := s.spare.Swap(nil)
	if page == nil || cap(*page) > 4*len(*page) { // it was far too large
		page = new([]byte)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	*page = f.render(s, (*page)[:0])
	return page
}

// compress writes the page. Its error would be that the client has gone.
func compress(w io.Writer, page []byte) {
	z := compressors.Get().(*gzip.Writer)
	defer compressors.Put(z)
	z.Reset(w)
	if _, err := z.Write(page); err == nil {
		_ = z.Close()
	}
}

var compressors = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // its error is that there is no such level
	return z
}}
