// Package selfquery asks this server what a client would ask, over the network, to find out whether it still answers, and rightly.
// A process that lives, and even one whose event loop turns, may be a server that answers nothing.
//
// A round asks over UDP and TCP at each address at once. Over UDP the question goes out up to three times, for a datagram that is
// lost in a burst is no server that is dead. An address that this host does not have now, such as a virtual one that another
// host holds, is passed over: a question there would be answered by the other host. When all are, the answer is asked of the
// engine itself, which is all that can be known then.
//
// Round owns its goroutines and waits for them; it ends within Patience. Machine is pure.
package selfquery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/miekg/dns"
)

const (
	// Every is the time from one round to the next.
	Every = 500 * time.Millisecond
	// Patience bounds a round.
	Patience = time.Second
	// sends is how often a question goes out over UDP, spread evenly over Patience.
	sends = 3
)

// Question is what is asked, and what answer is right.
type Question struct {
	Ask   *dns.Msg // its Id is replaced
	Check func(answer *dns.Msg) error
}

// Targets returns where a server that listens on addr, bound as at, can be asked on this host: a wildcard at loopback of its families,
// which a client reaches by the same socket.
func Targets(addr conf.Addr, at netip.AddrPort) []netip.AddrPort {
	ip := at.Addr().Unmap()
	if !ip.IsUnspecified() {
		return []netip.AddrPort{netip.AddrPortFrom(ip, at.Port())}
	}
	four, six := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()), netip.AddrPortFrom(netip.IPv6Loopback(), at.Port())
	switch host, _, _ := addr.HostPort(); {
	case ip.Is4():
		return []netip.AddrPort{four}
	case host == "":
		return []netip.AddrPort{four, six}
	}
	return []netip.AddrPort{six}
}

// errElsewhere says that this host does not have the address.
var errElsewhere = errors.New("this host does not have the address")

// here reports whether this host has the address: only then is it the source of what is sent to it. That holds whatever
// net.ipv4.ip_nonlocal_bind lets a socket be bound to. Nothing is sent.
func here(a netip.AddrPort) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a))
	if err != nil {
		return false // no route to it
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap() == a.Addr()
}

// Round asks at all addresses and returns what is wrong, each with its address and transport. engine answers a question without the
// network.
func Round(ctx context.Context, at []netip.AddrPort, q Question, engine func(*dns.Msg) *dns.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
		here bool
	)
	for _, a := range at {
		for _, network := range []string{"udp", "tcp"} {
			wg.Go(func() {
				err := ask(ctx, network, a, q)
				mu.Lock()
				defer mu.Unlock()
				if errors.Is(err, errElsewhere) {
					return
				}
				here = true
				if err != nil {
					errs = append(errs, fault.Wrap(fault.Unavailable, err, "dnsd: self-query at %s over %s", a, network))
				}
			})
		}
	}
	wg.Wait()
	if !here {
		return fault.Wrap(fault.Unavailable, q.Check(engine(q.Ask.Copy())), "dnsd: self-query")
	}
	return errors.Join(errs...)
}

// ask asks one address over one transport.
func ask(ctx context.Context, network string, at netip.AddrPort, q Question) error {
	if !here(at) {
		return errElsewhere
	}
	c, err := new(net.Dialer).DialContext(ctx, network, at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	end, _ := ctx.Deadline()
	conn := &dns.Conn{Conn: c, UDPSize: dns.MinMsgSize}
	question := q.Ask.Copy()
	question.Id = dns.Id()
	times := 1
	if network == "udp" {
		times = sends
	}
	begin := time.Now()
	for i := range times {
		c.SetDeadline(begin.Add(end.Sub(begin) * time.Duration(i+1) / time.Duration(times)))
		if err = conn.WriteMsg(question); err != nil {
			return err
		}
		var answer *dns.Msg
		if answer, err = read(conn, question.Id); err == nil {
			return q.Check(answer)
		}
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// read returns the answer with the id; others are of an earlier question.
func read(c *dns.Conn, id uint16) (*dns.Msg, error) {
	for {
		m, err := c.ReadMsg()
		if err != nil || m.Id == id {
			return m, err
		}
	}
}
