package statsdsink

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A stream is a connection that can be closed in one direction: one of TCP, or of a unix socket for streams.
type stream interface {
	net.Conn
	CloseWrite() error
}

// connect makes conn a connection that can carry the next batch.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil && s.isStale(ctx) {
		_ = s.disconnect()
	}
	if s.conn != nil {
		return nil
	}
	dialer := net.Dialer{Resolver: s.names.resolver}
	conn, err := dialer.DialContext(ctx, s.target.network, s.target.address)
	if err != nil {
		return err
	}
	s.conn, s.names.lookedUp = conn, time.Now()
	return nil
}

func (s *Sink) disconnect() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// isStale reports whether conn no longer leads to the server: a stream that the server has closed, or a UDP socket for
// an address that the host's name does not stand for any more.
func (s *Sink) isStale(ctx context.Context) bool {
	switch {
	case s.target.isStream():
		return closed(s.conn) != nil
	case s.target.isUDP():
		return s.target.host != "" && s.names.haveMoved(ctx, s.target, s.conn.RemoteAddr())
	}
	return false
}

// UDP does not tell that a server has moved to another address: packets to the old one vanish. So a host's name is
// looked up again before the first batch after lookupInterval. A lookup delays that batch by lookupTimeout at most.
const (
	lookupInterval = 30 * time.Second
	lookupTimeout  = time.Second
)

// names is how the name of a host is looked up.
type names struct {
	resolver *net.Resolver // nil: the default one
	interval time.Duration // 0: lookupInterval
	lookedUp time.Time
}

// haveMoved reports whether the lookup is due and does not find the address that is in use. If the lookup fails, the
// address in use stays the best one known.
func (n *names) haveMoved(ctx context.Context, t target, inUse net.Addr) bool {
	interval := n.interval
	if interval == 0 {
		interval = lookupInterval
	}
	address, ok := inUse.(*net.UDPAddr)
	if !ok || time.Since(n.lookedUp) < interval {
		return false
	}
	n.lookedUp = time.Now()
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	resolver := n.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	found, err := resolver.LookupNetIP(ctx, "ip"+strings.TrimPrefix(t.network, "udp"), t.host)
	if err != nil {
		return false
	}
	used := address.AddrPort().Addr().Unmap()
	return !slices.ContainsFunc(found, func(a netip.Addr) bool { return a.Unmap() == used })
}
