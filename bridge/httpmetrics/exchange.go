package httpmetrics

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// An exchange measures one request and its response. Handlers may keep the body, and read it after they have returned,
// as the transport of a reverse proxy does. Therefore exchanges are not reused.
type exchange struct {
	writer   http.ResponseWriter
	body     io.ReadCloser
	read     atomic.Int64 // bytes of the request's body
	written  int64        // bytes of the response's body
	status   int          // 0 until the header is written
	head     bool         // the response has no body
	hijacked bool
}

func (x *exchange) finalStatus(returned bool) int {
	switch {
	case x.status != 0:
		return x.status
	case x.hijacked:
		return http.StatusSwitchingProtocols
	case !returned:
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

// wrote counts the bytes of the response that the server has taken.
func (x *exchange) wrote(n int64) {
	x.begin(http.StatusOK)
	if !x.head {
		x.written += n
	}
}

// begin keeps the first status that is not informational. The server sends none on a hijacked connection.
func (x *exchange) begin(status int) {
	if x.status == 0 && !x.hijacked && (status >= 200 || status == http.StatusSwitchingProtocols) {
		x.status = status
	}
}

// responseWriter returns a ResponseWriter with those optional interfaces that the server's has. They are pointers, so
// nothing is allocated.
func (x *exchange) responseWriter() http.ResponseWriter {
	_, flushes := x.writer.(http.Flusher)
	_, hijacks := x.writer.(http.Hijacker)
	_, readsFrom := x.writer.(io.ReaderFrom)
	_, pushes := x.writer.(http.Pusher)
	switch {
	case flushes && hijacks && readsFrom:
		return http1{flusher{writer{x}}}
	case flushes && pushes:
		return http2{flusher{writer{x}}}
	case flushes:
		return flusher{writer{x}}
	}
	return writer{x}
}

type (
	writer  struct{ x *exchange }
	flusher struct{ writer }
	http1   struct{ flusher }
	http2   struct{ flusher }
)

// Unwrap is for [http.ResponseController].
func (w writer) Unwrap() http.ResponseWriter { return w.x.writer }

func (w writer) Header() http.Header { return w.x.writer.Header() }

func (w writer) WriteHeader(status int) {
	w.x.writer.WriteHeader(status)
	w.x.begin(status)
}

func (w writer) Write(p []byte) (int, error) {
	n, err := w.x.writer.Write(p)
	w.x.wrote(int64(n))
	return n, err
}

// WriteString implements [io.StringWriter].
func (w writer) WriteString(s string) (int, error) {
	n, err := io.WriteString(w.x.writer, s)
	w.x.wrote(int64(n))
	return n, err
}

func (w flusher) Flush() { _ = w.FlushError() }

// FlushError is the method that [http.ResponseController] prefers to Flush.
func (w flusher) FlushError() error {
	w.x.begin(http.StatusOK)
	return http.NewResponseController(w.x.writer).Flush()
}

func (w http1) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.x.writer).Hijack()
	w.x.hijacked = w.x.hijacked || err == nil
	return conn, buffered, err
}

// ReadFrom keeps the server's way to send a file without copying it.
func (w http1) ReadFrom(r io.Reader) (int64, error) {
	n, err := w.x.writer.(io.ReaderFrom).ReadFrom(r)
	w.x.wrote(n)
	return n, err
}

func (w http2) Push(target string, opts *http.PushOptions) error {
	return w.x.writer.(http.Pusher).Push(target, opts)
}

// A requestBody counts the bytes that are read from the body of the exchange.
type requestBody exchange

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func (b *requestBody) Close() error { return b.body.Close() }
