package consolesink

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/metricsbuffer/metricsbuffer"
)

// A style is the escape sequence that begins a line of a terminal, or "".
type style string

const (
	plain   style = ""
	heading style = "\x1b[1;36m" // bold, cyan
	faint   style = "\x1b[90m"   // grey
	warning style = "\x1b[33m"   // yellow
)

// A terminal shows tables in place of one another.
type terminal struct {
	file  syscall.RawConn
	color bool

	drawn   int   // lines of the last table, which the next one replaces
	columns int   // the terminal's width then
	rows    []row // in the last table
}

// openTerminal returns nil if w is not a terminal, or one that knows no escape sequences.
func openTerminal(w io.Writer) *terminal {
	file, ok := w.(syscall.Conn) // as an os.File, whose method Fd would make it block
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	t := &terminal{file: raw, color: os.Getenv("NO_COLOR") == ""}
	if _, _, ok := t.size(); !ok {
		return nil
	}
	return t
}

// size returns the terminal's columns and rows. A terminal that does not know them has 80 and 24.
func (t *terminal) size() (columns, rows int, ok bool) {
	if err := t.file.Control(func(fd uintptr) { columns, rows, ok = windowSize(fd) }); err != nil {
		ok = false
	}
	if columns <= 0 || rows <= 0 {
		columns, rows = 80, 24
	}
	return columns, rows, ok
}

// scroll prints the batch below the last one.
func (t *terminal) scroll(out *bytes.Buffer, table *table, batch *metricsbuffer.Batch, maxRows int) {
	columns, _, _ := t.size()
	rows, leftOut := limitRows(rowsOf(batch.Points), maxRows)
	t.print(out, table.lines(batch, rows, leftOut, columns))
	out.WriteByte('\n')
}

// redraw prints the batch in place of the last one, with no more rows than fit on the terminal. A table that cannot
// fit, or that was drawn at another width and may have been wrapped since, is left standing.
func (t *terminal) redraw(out *bytes.Buffer, table *table, batch *metricsbuffer.Batch, maxRows int) {
	columns, height, _ := t.size()
	rows := rowsOf(batch.Points)
	rows = append(rows, carryOver(t.rows, rows)...)
	var lines []line
	for leftOut := 0; ; {
		kept, more := limitRows(rows, maxRows)
		rows, leftOut = kept, leftOut+more
		lines = table.lines(batch, rows, leftOut, columns)
		excess := linesOnScreen(lines, columns) - (height - 1) // the cursor is on the last line
		if excess <= 0 || len(rows) <= 1 {
			break
		}
		maxRows = max(1, len(rows)-excess)
	}
	if t.drawn > 0 && t.columns == columns {
		fmt.Fprintf(out, "\x1b[%dA\r\x1b[J", t.drawn) // up, to the left, erase to the end
	}
	t.print(out, lines)
	t.rows, t.columns, t.drawn = rows, columns, linesOnScreen(lines, columns)
	if t.drawn >= height {
		t.drawn = 0
	}
}

// forget leaves the last table standing, because the cursor may not be at its end. A nil terminal does nothing.
func (t *terminal) forget() {
	if t != nil {
		t.drawn = 0
	}
}

func (t *terminal) print(out *bytes.Buffer, lines []line) {
	for _, l := range lines {
		if t.color && l.style != plain {
			out.WriteString(string(l.style) + l.text + "\x1b[0m\n")
		} else {
			out.WriteString(l.text + "\n")
		}
	}
}

// linesOnScreen counts lines as often as the terminal wraps them.
func linesOnScreen(lines []line, columns int) (n int) {
	for _, l := range lines {
		n += max(1, (l.width+columns-1)/columns)
	}
	return n
}
