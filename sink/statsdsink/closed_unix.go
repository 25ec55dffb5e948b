//go:build unix

package statsdsink

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// closed returns an error if the server has closed the connection, as far as this machine has been told. It does not
// wait. Go's own Read would: it waits for data or a deadline, and does not look at the socket once a deadline is past.
func closed(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var found error
	err = raw.Read(func(fd uintptr) bool {
		var answer [64]byte // StatsD has no answers: read it away
		for range 100 {
			n, err := syscall.Read(int(fd), answer[:])
			switch {
			case n > 0 || errors.Is(err, syscall.EINTR):
				continue
			case err == nil:
				found = io.EOF
			case !errors.Is(err, syscall.EAGAIN):
				found = err
			}
			break
		}
		return true
	})
	return errors.Join(found, err)
}
