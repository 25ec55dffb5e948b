// Package receivers runs real servers for tests: StatsD servers, the OpenTelemetry Collector and Prometheus. This
// command installs them, and sets the environment variables that name them to the tests:
//
//	eval "$(.ci/receivers)"
//
// A test is skipped if its server is not installed.
package receivers

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const howToInstall = `: run eval "$(.ci/receivers)" in the repository's root to install and name it`

// A process is a server that can be killed and started again at the same addresses.
type process struct {
	t      testing.TB
	argv   []string
	socket string      // the path of a socket that the server creates, or ""
	ready  func() bool // reports whether the server answers
	cmd    *exec.Cmd   // nil: the server does not run
	done   chan struct{}
	out    strings.Builder
}

// Start starts the server unless it runs already. It returns when the server is ready.
func (p *process) Start() {
	p.t.Helper()
	if p.cmd != nil {
		return
	}
	_ = os.Remove(p.socket) // a killed server leaves its socket behind, and then cannot create it
	p.out.Reset()
	p.cmd = exec.Command(p.argv[0], p.argv[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	require.NoError(p.t, p.cmd.Start())
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) { _ = cmd.Wait(); close(done) }(p.cmd, p.done)
	for deadline := time.Now().Add(20 * time.Second); !p.ready(); {
		select {
		case <-p.done:
			p.cmd = nil
			p.t.Fatalf("%v ended: %s", p.argv, p.out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.Stop()
			p.t.Fatalf("%v is not ready after 20 seconds: %s", p.argv, p.out.String())
		}
	}
}

// Stop kills the server and returns when it has ended. The values in its memory are lost.
func (p *process) Stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	p.cmd = nil
}

// given has the addresses that freeAddress has returned. Some servers have two, which have to be different.
var given sync.Map

// freeAddress returns an address of this machine that is free for TCP and for UDP.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 20 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := stream.Addr().String()
		packets, err := net.ListenPacket("udp", address)
		_ = stream.Close()
		if err != nil {
			continue
		}
		_ = packets.Close()
		if _, again := given.LoadOrStore(address, true); !again {
			return address
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return ""
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
