package statsdsink

import (
	"cmp"
	"context"
	"errors"
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
	dial := s.names.dial
	if s.target.isUDP() && s.target.host != "" {
		dial = s.names.dialUDP
	}
	conn, err := dial(ctx, s.target)
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
// looked up again before the first batch after lookupInterval. A lookup delays that batch by lookupTimeout at most, and
// by half of the time that the batch has.
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

func (n *names) dial(ctx context.Context, t target) (net.Conn, error) {
	dialer := net.Dialer{Resolver: n.resolver}
	return dialer.DialContext(ctx, t.network, t.address)
}

// dialUDP connects to the first address of the host that this machine has a way to, and takes those of IPv4 first.
// Package net takes those of IPv6 first, and tries another one if nobody answers there; but nobody answers when UDP
// connects. The name localhost is mostly ::1, too, and servers that listen there mostly listen on 127.0.0.1 only.
func (n *names) dialUDP(ctx context.Context, t target) (net.Conn, error) {
	found, err := n.lookUp(ctx, t)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: t.network, Err: err}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	_, port, _ := net.SplitHostPort(t.address) // New has checked it
	var errs []error
	for _, ip := range found {
		conn, err := n.dial(ctx, target{network: t.network, address: net.JoinHostPort(ip.String(), port)})
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// lookUp returns the addresses of the host, at least one.
func (n *names) lookUp(ctx context.Context, t target) ([]netip.Addr, error) {
	kind := "ip" + strings.TrimPrefix(t.network, "udp")
	found, err := cmp.Or(n.resolver, net.DefaultResolver).LookupNetIP(ctx, kind, t.host)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, err
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
	timeout := lookupTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := n.lookUp(ctx, t)
	if err != nil {
		return false
	}
	return !slices.Contains(found, address.AddrPort().Addr().Unmap())
}
