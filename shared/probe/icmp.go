package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/everup/everup/shared/fault"
)

// ICMPConfig is a check by echo requests (RFC 792, RFC 4443), one after the other; each waits for its part of
// the timeout. One reply is enough; a lost one warns.
type ICMPConfig struct {
	Count int `yaml:"count" default:"1" min:"1" max:"20" doc:"Echo requests of one check."`
	Size  int `yaml:"size" default:"56" min:"16" max:"1400" doc:"Bytes of data in each."`
}

type icmpCheck struct {
	*ICMPConfig
	dialer dialer
}

func newICMP(cfg *Config, d dialer) (checkFunc, error) {
	c := &icmpCheck{ICMPConfig: sectionOr(cfg.ICMP), dialer: d}
	if c.Count < 1 || c.Size < tokenSize {
		return nil, fault.New(fault.Config, "count %d, size %d", c.Count, c.Size)
	}
	return c.check, nil
}

func (c *icmpCheck) check(ctx context.Context, t Target) (outcome, error) {
	addr := t.Addr.Addr()
	if !addr.IsValid() {
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", t.Host)
		if err != nil {
			return outcome{}, fault.Wrap(classOf(ctx, err), err, "icmp")
		}
		addr = found[0].Unmap()
	}
	p, err := openPing(c.dialer, addr)
	if err != nil {
		return outcome{}, fault.Wrap(classOf(ctx, err), err, "icmp: %s", addr)
	}
	defer p.Close()
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return c.run(ctx, p)
}

func (c *icmpCheck) run(ctx context.Context, p *pinger) (outcome, error) {
	var best time.Duration
	var lost int
	var last error
	for i := range c.Count {
		rtt, err := p.echo(uint16(i+1), c.Size, partDeadline(ctx, c.Count-i))
		switch {
		case err != nil:
			lost, last = lost+1, err
		case best == 0 || rtt < best:
			best = rtt
		}
	}
	if lost == c.Count {
		return outcome{}, fault.Wrap(classOf(ctx, last), last, "icmp: no reply to %d requests", c.Count)
	}
	return outcome{detail: fmt.Sprintf("reply in %s, %d of %d lost", best, lost, c.Count), warn: lost > 0}, nil
}

// partDeadline returns the end of the next of n equal parts of the time that ctx leaves.
func partDeadline(ctx context.Context, n int) time.Time {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(time.Second)
	}
	return time.Now().Add(time.Until(end) / time.Duration(n))
}

// tokenSize is how many random bytes tell our echo from everybody's: the kernel of an unprivileged socket
// picks the id, and sequence numbers are small.
const tokenSize = 16

// echo sends one request and waits for its reply until the deadline.
func (p *pinger) echo(seq uint16, size int, deadline time.Time) (time.Duration, error) {
	data := make([]byte, size)
	binary.BigEndian.PutUint64(data, rand.Uint64())
	binary.BigEndian.PutUint64(data[8:], rand.Uint64())
	if err := p.file.SetDeadline(deadline); err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := p.file.Write(marshalEcho(p.v6, p.id, seq, data)); err != nil {
		return 0, err
	}
	buf := make([]byte, 60+8+size) // an IPv4 header of full length before the message
	for {
		n, err := p.file.Read(buf)
		if err != nil {
			return 0, err
		}
		r, ok := parseEchoReply(p.v6, p.raw, buf[:n])
		if ok && r.seq == seq && string(r.data) == string(data) && (!p.raw || r.id == p.id) {
			return time.Since(start), nil
		}
	}
}

// The types of message, by family.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// marshalEcho returns an echo request. Over IPv6 the kernel fills in the checksum, which covers addresses.
func marshalEcho(v6 bool, id, seq uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	b[0] = echoRequest4
	if v6 {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	b = append(b, data...)
	if !v6 {
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum + sum>>16)
}

type echoReply struct {
	id, seq uint16
	data    []byte // aliases the packet
}

// parseEchoReply reads what a socket returned. A raw IPv4 socket returns the IP header too.
func parseEchoReply(v6, raw bool, b []byte) (echoReply, bool) {
	if raw && !v6 {
		if len(b) < 20 || b[0]>>4 != 4 || len(b) < int(b[0]&15)*4 || b[0]&15 < 5 {
			return echoReply{}, false
		}
		b = b[int(b[0]&15)*4:]
	}
	want := byte(echoReply4)
	if v6 {
		want = echoReply6
	}
	if len(b) < 8 || b[0] != want || b[1] != 0 {
		return echoReply{}, false
	}
	return echoReply{binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]), b[8:]}, true
}

// errNoPing says what an operator can do where neither kind of socket may be opened.
func errNoPing(dgram, raw error) error {
	return fault.Wrap(fault.Denied, errors.Join(dgram, raw),
		"may not open an ICMP socket: add the daemon's group to sysctl net.ipv4.ping_group_range, or give it CAP_NET_RAW")
}

// zoneID returns the interface index of a scoped address, 0 for none.
func zoneID(addr netip.Addr) (uint32, error) {
	if addr.Zone() == "" {
		return 0, nil
	}
	ifi, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return 0, err
	}
	return uint32(ifi.Index), nil
}
