//go:build unix

package consolesink

import "golang.org/x/sys/unix"

// windowSize returns the size of the terminal that fd is, or false if it is none.
func windowSize(fd uintptr) (columns, rows int, ok bool) {
	size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
