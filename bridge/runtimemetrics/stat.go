package runtimemetrics

import (
	"bytes"
	"errors"
	"strconv"
	"time"
)

// A statLine is a part of /proc/PID/stat, which proc_pid_stat(5) defines.
type statLine struct {
	threads uint64
	started time.Duration // since boot
	virtual uint64        // bytes
	pages   uint64        // resident
}

// tick is the unit of times there. The kernel scales them to 100 ticks per second on every processor that Go runs on.
const tick = time.Second / 100

// parseStat parses the line. It allocates nothing.
func parseStat(line []byte) (s statLine, err error) {
	// The second field is the program's name in parentheses. It may have any characters, also spaces and parentheses.
	name := bytes.LastIndexByte(line, ')')
	if name < 0 {
		return s, errStat
	}
	rest := bytes.TrimSpace(line[name+1:])
	var fields [25]uint64 // by their numbers in the manual
	for i := 3; i < len(fields); i++ {
		var text []byte
		text, rest, _ = bytes.Cut(rest, []byte(" "))
		if i < 20 || i == 21 {
			continue // not needed, and some are no numbers
		}
		if fields[i], err = strconv.ParseUint(string(text), 10, 64); err != nil {
			return s, errStat
		}
	}
	return statLine{
		threads: fields[20], started: time.Duration(fields[22]) * tick, virtual: fields[23], pages: fields[24],
	}, nil
}

var errStat = errors.New("/proc/self/stat does not have the fields of proc_pid_stat(5)")
