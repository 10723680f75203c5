package member

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/hashicorp/memberlist"
)

const (
	handshakeTime    = 2 * time.Second // for dial and hello together, and for an accepted stream's hello
	maxHandshakes    = 128             // accepted streams that have not proved themselves yet
	maxHandshakesPer = 16              // of them from one address
	maxPacket        = 4096            // bytes; memberlist's packets have at most 1400 and headers
	acceptPause      = 50 * time.Millisecond
)

// guard stands between memberlist and the Transport: it opens every stream with the hello, drops packets of other
// fleets, counts, and can hand memberlist a packet of its own making. It implements memberlist.Transport.
type guard struct {
	t         Transport
	advertise netip.AddrPort
	rep       *report
	party     func() *party // a fresh one for each stream, as keys may change

	packets chan *memberlist.Packet
	streams chan net.Conn
	done    context.Context
	stop    context.CancelFunc
	tasks   sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{} // all open ones, so that Shutdown ends them
	waiting map[netip.Addr]int    // handshakes in progress by address
	total   int                   // of waiting
}

func newGuard(t Transport, advertise netip.AddrPort, rep *report, p func() *party) *guard {
	g := &guard{
		t: t, advertise: advertise, rep: rep, party: p,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		conns:   map[net.Conn]struct{}{},
		waiting: map[netip.Addr]int{},
	}
	g.done, g.stop = context.WithCancel(context.Background())
	g.tasks.Go(g.readPackets)
	g.tasks.Go(g.acceptStreams)
	return g
}

// FinalAdvertiseAddr returns the address chosen by us, whatever memberlist proposes.
func (g *guard) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.advertise.Addr().AsSlice(), int(g.advertise.Port()), nil
}

func (g *guard) PacketCh() <-chan *memberlist.Packet { return g.packets }
func (g *guard) StreamCh() <-chan net.Conn           { return g.streams }

// WriteTo sends a packet.
func (g *guard) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return time.Time{}, fault.Wrap(fault.Invalid, err, "member: send to %s", addr)
	}
	g.rep.packetsOut.Inc()
	g.rep.bytesOut.Add(uint64(len(b)))
	// A send that fails at once (no route, interface down) is a lost packet to the failure detector, which then
	// asks others and tries a stream; told as an error it would skip the probe.
	if err := g.t.WriteTo(b, unmap(to)); err != nil {
		g.rep.sendErrors.Inc()
	}
	return time.Now(), nil
}

// DialTimeout opens a stream to a member and proves both sides to each other.
func (g *guard) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "member: dial %s", addr)
	}
	c, _, err := g.dial(unmap(to), min(timeout, handshakeTime))
	return c, err
}

func (g *guard) dial(to netip.AddrPort, timeout time.Duration) (net.Conn, hello, error) {
	ctx, cancel := context.WithTimeout(g.done, timeout)
	defer cancel()
	raw, err := g.t.Dial(ctx, to)
	if err != nil {
		return nil, hello{}, err
	}
	c := g.track(raw)
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	peer, err := g.party().dial(c)
	if err != nil {
		c.Close()
		if refused, ok := errors.AsType[*refusedError](err); ok {
			g.rep.joinRefused(to, refused)
		}
		return nil, peer, err
	}
	c.SetDeadline(time.Time{})
	return c, peer, nil
}

func (g *guard) acceptStreams() {
	for {
		raw, err := g.t.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !g.pause(acceptPause) {
				return
			}
			continue
		}
		from := remoteAddr(raw)
		if !g.enter(from) {
			g.rep.strangers.With("busy").Inc()
			raw.Close()
			continue
		}
		g.tasks.Go(func() { g.welcome(g.track(raw), from) })
	}
}

// welcome runs the hello of an accepted stream and hands it to memberlist.
func (g *guard) welcome(c net.Conn, from netip.AddrPort) {
	c.SetDeadline(time.Now().Add(handshakeTime))
	_, err := g.party().accept(c)
	g.leave(from)
	if err != nil {
		c.Close()
		if refused, ok := errors.AsType[*refusedError](err); ok {
			g.rep.stranger(from, refused)
		}
		return
	}
	c.SetDeadline(time.Time{})
	select {
	case g.streams <- c:
	case <-g.done.Done():
		c.Close()
	}
}

// enter takes a place for a handshake.
func (g *guard) enter(from netip.AddrPort) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxHandshakes || g.waiting[from.Addr()] >= maxHandshakesPer {
		return false
	}
	g.total++
	g.waiting[from.Addr()]++
	return true
}

func (g *guard) leave(from netip.AddrPort) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.waiting[from.Addr()]--; g.waiting[from.Addr()] == 0 {
		delete(g.waiting, from.Addr())
	}
}

func (g *guard) readPackets() {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := g.t.ReadFrom(buf)
		now := time.Now()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !g.pause(acceptPause) {
				return
			}
			continue
		}
		g.rep.packetsIn.Inc()
		g.rep.bytesIn.Add(uint64(n))
		if !g.rep.ours(buf[:n], from) {
			continue
		}
		if !g.deliver(&memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: net.UDPAddrFromAddrPort(from), Timestamp: now}) {
			return
		}
	}
}

// deliver hands memberlist a packet; it reports false once the guard is shut down.
func (g *guard) deliver(p *memberlist.Packet) bool {
	select {
	case g.packets <- p:
		return true
	case <-g.done.Done():
		return false
	}
}

// pause waits after an error that may pass (no file descriptors left); false means shut down.
func (g *guard) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.done.Done():
		return false
	}
}

// Shutdown closes the transport and all streams and waits for what the guard runs.
func (g *guard) Shutdown() error {
	g.stop()
	err := g.t.Close()
	g.mu.Lock()
	for c := range g.conns {
		c.SetDeadline(time.Unix(1, 0))
	}
	g.mu.Unlock()
	g.tasks.Wait()
	return err
}

// track counts a stream's bytes and remembers it until it is closed.
func (g *guard) track(raw net.Conn) net.Conn {
	c := &trackedConn{Conn: raw, g: g}
	g.mu.Lock()
	g.conns[c] = struct{}{}
	g.mu.Unlock()
	return c
}

type trackedConn struct {
	net.Conn
	g *guard
}

func (c *trackedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.g.rep.bytesIn.Add(uint64(n))
	return n, err
}

func (c *trackedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.g.rep.bytesOut.Add(uint64(n))
	return n, err
}

func (c *trackedConn) Close() error {
	c.g.mu.Lock()
	delete(c.g.conns, c)
	c.g.mu.Unlock()
	return c.Conn.Close()
}

func remoteAddr(c net.Conn) netip.AddrPort {
	a, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return unmap(a)
}
