package pagesink_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/metricsbuffer/metricsbuffer"
	"github.com/metricsbuffer/metricsbuffer/sink/pagesink"
)

// A hostileError panics with itself, so that formatting the panic panics, too. A nil one panics as well.
type hostileError struct{ text string }

func (e *hostileError) Error() string {
	if e.text == "" {
		panic(e)
	}
	return e.text
}

// The error of another sink is foreign code. It must not end the goroutine that serves the viewers, and so the process.
func TestErrorThatPanics(t *testing.T) {
	for name, hostile := range map[string]error{"typed nil": (*hostileError)(nil), "panics": new(hostileError)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				page, err := pagesink.New()
				require.NoError(t, err)
				asked := 0
				require.NoError(t, page.Attach(func(context.Context) error { asked++; return hostile }))
				ctx, leave := context.WithCancel(t.Context())
				answer, left := httptest.NewRecorder(), make(chan struct{})
				go func() {
					defer close(left)
					page.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/events", nil).WithContext(ctx))
				}()
				time.Sleep(2500 * time.Millisecond)
				synctest.Wait()
				leave()
				<-left
				require.Equal(t, 3, asked, "one batch to begin with, and one each second")
				require.Contains(t, answer.Body.String(), `an error of type *pagesink_test.hostileError`)
			})
		})
	}
}

func TestAccountOfErrorThatPanics(t *testing.T) {
	failing := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
		return (*hostileError)(nil)
	})
	buffer, address := newPage(t, metricsbuffer.WithCloseTimeout(time.Second), metricsbuffer.WithSink(failing))
	buffer.IncrCounter("jobs", 1)
	require.Error(t, buffer.Flush(t.Context()))
	seen, err := look(t, address)
	require.NoError(t, err)
	require.EqualValues(t, 1, seen.tick.Buffer.Sinks[0].Pending.Increments)
	require.Contains(t, seen.tick.Buffer.Sinks[0].LastError, "a *pagesink_test.hostileError whose methods panic")
}

// A long text is cut between two characters: half a character would have the whole text quoted.
func TestLongError(t *testing.T) {
	for _, beginning := range []string{"", "a"} {
		failing := metricsbuffer.SinkFunc(func(context.Context, *metricsbuffer.Batch) error {
			return errors.New(beginning + strings.Repeat("é", 200))
		})
		buffer, address := newPage(t, metricsbuffer.WithCloseTimeout(time.Second), metricsbuffer.WithSink(failing))
		buffer.IncrCounter("jobs", 1)
		require.Error(t, buffer.Flush(t.Context()))
		seen, err := look(t, address)
		require.NoError(t, err)
		text := seen.tick.Buffer.Sinks[0].LastError
		require.Regexp(t, "^[^\"].*é… \\(4[0-9]+ bytes\\)$", text)
	}
}
