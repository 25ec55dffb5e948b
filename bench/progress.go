package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A progress is a bar on a terminal, and a line now and then elsewhere. A failure to write it is ignored.
type progress struct {
	w           io.Writer
	terminal    bool
	done, total int
	begin, last time.Time
}

func newProgress(f *os.File, total int) *progress {
	info, err := f.Stat()
	return &progress{
		w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, total: total, begin: time.Now(), last: time.Now(),
	}
}

// step announces the next step.
func (p *progress) step(next string) {
	now := time.Now()
	pause := 10 * time.Second
	if p.terminal {
		pause = 100 * time.Millisecond
	}
	if now.Sub(p.last) >= pause {
		p.last = now
		share := float64(p.done) / float64(p.total)
		left := time.Duration(float64(now.Sub(p.begin)) * (1/share - 1)).Round(time.Second)
		if p.done == 0 {
			left = 0
		}
		text := fmt.Sprintf("%3.0f %%, about %v left: %s", share*100, left, next)
		if p.terminal {
			const width = 30
			full := int(share * width)
			_, _ = fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat(" ", width-full), text)
		} else {
			_, _ = fmt.Fprintln(p.w, text)
		}
	}
	p.done++
}

func (p *progress) finish() {
	if p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
