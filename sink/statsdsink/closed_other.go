//go:build !unix

package statsdsink

import "net"

// closed returns an error if the server has closed the connection, as far as this machine has been told. It waits for
// as long as listen does.
func closed(conn net.Conn) error { return listen(conn, pause) }
