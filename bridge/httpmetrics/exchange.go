package httpmetrics

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// An exchange measures one request and its response. Handlers may keep the body, and read it after they have returned,
// as the transport of a reverse proxy does. Therefore exchanges are not reused.
type exchange struct {
	writer   http.ResponseWriter
	request  *http.Request
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

// responseWriter returns a ResponseWriter with those optional interfaces that the server's has. It has Hijack and Flush
// also if only a [http.ResponseController] finds them, by Unwrap: it would go around the exchange otherwise. The types
// hold one pointer, so nothing is allocated.
func (x *exchange) responseWriter() http.ResponseWriter {
	flushes, hijacks := controls(x.writer)
	_, readsFrom := x.writer.(io.ReaderFrom)
	_, pushes := x.writer.(http.Pusher)
	switch {
	case flushes && hijacks && readsFrom:
		return http1{flusherHijacker{flusher{writer{x}}}}
	case flushes && hijacks:
		return flusherHijacker{flusher{writer{x}}}
	case flushes && pushes:
		return http2{flusher{writer{x}}}
	case flushes:
		return flusher{writer{x}}
	case hijacks:
		return hijacker{writer{x}}
	}
	return writer{x}
}

// controls says which of its methods a [http.ResponseController] finds at w.
func controls(w http.ResponseWriter) (flushes, hijacks bool) {
	for {
		switch w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			flushes = true
		}
		if _, ok := w.(http.Hijacker); ok {
			hijacks = true
		}
		inner, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok || flushes && hijacks {
			return flushes, hijacks
		}
		w = inner.Unwrap()
	}
}

type (
	writer          struct{ x *exchange }
	flusher         struct{ writer }
	hijacker        struct{ writer }
	flusherHijacker struct{ flusher }
	http1           struct{ flusherHijacker }
	http2           struct{ flusher }
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

// CloseNotify implements [http.CloseNotifier], which is deprecated. But gin needs it to stream, as do older programs.
// The server ends the request's context when it would notify.
func (w flusher) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.x.request.Context(), func() { gone <- true })
	return gone
}

func (w hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.x.hijack() }

func (w flusherHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.x.hijack() }

func (x *exchange) hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(x.writer).Hijack()
	x.hijacked = x.hijacked || err == nil
	return conn, buffered, err
}

// ReadFrom keeps the server's way to send a file without copying it. The server writes the header once it has read
// something, and does not tell. Therefore the first bytes go through Write, as many as the server copies in any case.
func (w http1) ReadFrom(r io.Reader) (int64, error) {
	const first = 512
	var copied int64
	if w.x.status == 0 {
		var err error
		copied, err = io.Copy(struct{ io.Writer }{w}, io.LimitReader(r, first))
		if err != nil || copied < first {
			return copied, err
		}
	}
	n, err := w.x.writer.(io.ReaderFrom).ReadFrom(r)
	w.x.wrote(n)
	return copied + n, err
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
