package viptest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

// EchoOptions say who asks whom, and how often.
type EchoOptions struct {
	From *labtest.Host
	To   netip.Addr
	// Port is that of a UDP service that sends back what it gets; 0: ICMP echoes, which the kernel answers as long as it
	// has the address.
	Port uint16
	Each time.Duration // between two echoes; 0: 2 ms
	// Patience is how late an answer may be; a later one counts as lost. 0: 100 ms.
	Patience time.Duration
}

// Bounds of an Echo.
const (
	maxEchoes    = 60_000 // two minutes at 2 ms; numbers of ICMP echoes are 16 bits
	echoEach     = 2 * time.Millisecond
	echoPatience = 100 * time.Millisecond
)

// Echo sends echoes until it is stopped, or 60 000.
type Echo struct {
	t    testing.TB
	o    EchoOptions
	fd   int
	to   unix.Sockaddr
	base time.Time
	quit atomic.Bool
	done chan struct{}

	// The thread's until done is closed; times since base.
	sent, answered []time.Duration // answered is 0 where no answer came
	buf            [256]byte
}

// StartEcho begins to ask. It ends with the test if it is not stopped before.
func StartEcho(t testing.TB, o EchoOptions) *Echo {
	t.Helper()
	if o.Each == 0 {
		o.Each = echoEach
	}
	if o.Patience == 0 {
		o.Patience = echoPatience
	}
	e := &Echo{t: t, o: o, base: time.Now(), done: make(chan struct{}), to: sockaddr(o.To, o.Port)}
	e.sent, e.answered = make([]time.Duration, 0, maxEchoes), make([]time.Duration, maxEchoes)
	err := o.From.In(func() (err error) { e.fd, err = echoSocket(o.To.Is6(), o.Port == 0); return err })
	if err != nil {
		t.Fatalf("viptest: echo from %s to %s: %v", o.From.Name, o.To, err)
	}
	go func() {
		defer close(e.done)
		instrument(e.run)
	}()
	t.Cleanup(func() { e.Stop() })
	return e
}

// echoSocket opens a socket of icmp(7)'s "ping" kind or one of UDP.
func echoSocket(six, icmp bool) (int, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_UDP
	if six {
		family = unix.AF_INET6
	}
	switch {
	case icmp && six:
		protocol = unix.IPPROTO_ICMPV6
	case icmp:
		protocol = unix.IPPROTO_ICMP
	}
	return unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
}

func sockaddr(a netip.Addr, port uint16) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: int(port)}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: int(port)}
}

// run sends and receives until it is stopped, then waits for the last answers.
func (e *Echo) run() {
	next := e.o.Each
	for !e.quit.Load() && len(e.sent) < maxEchoes {
		e.receive(next)
		e.send()
		// What is late is not made up for in a burst.
		for now := time.Since(e.base); next <= now; {
			next += e.o.Each
		}
	}
	e.receive(time.Since(e.base) + e.o.Patience)
}

// send sends the next echo. One that the system does not let go, as when no neighbour answers, is one without answer.
func (e *Echo) send() {
	n := len(e.sent)
	b := e.buf[:16]
	clear(b)
	if e.o.Port == 0 {
		b[0] = 8 // echo request (RFC 792)
		if e.o.To.Is6() {
			b[0] = 128 // RFC 4443
		}
		binary.BigEndian.PutUint16(b[6:], uint16(n)) // the kernel fills checksum and identifier
	}
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	e.sent = append(e.sent, time.Since(e.base))
	_ = unix.Sendto(e.fd, b, unix.MSG_DONTWAIT, e.to)
}

// receive takes answers until an instant.
func (e *Echo) receive(until time.Duration) {
	fds := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
	for {
		left := until - time.Since(e.base)
		if left <= 0 {
			return
		}
		if poll(fds, left) {
			e.drain()
		}
	}
}

// drain takes what the socket has.
func (e *Echo) drain() {
	for {
		n, _, err := unix.Recvfrom(e.fd, e.buf[:], unix.MSG_DONTWAIT)
		at := time.Since(e.base)
		if err != nil {
			return // nothing left, or the error of an earlier echo, which the call has taken away
		}
		if n != 16 {
			continue
		}
		i := binary.BigEndian.Uint64(e.buf[8:])
		if i < uint64(len(e.sent)) && e.answered[i] == 0 && at-e.sent[i] <= e.o.Patience {
			e.answered[i] = at
		}
	}
}

// Stop ends the asking, waits for the last answers and returns what there was. It may be called again.
func (e *Echo) Stop() Echoes {
	e.quit.Store(true)
	<-e.done
	if e.fd >= 0 {
		unix.Close(e.fd)
		e.fd = -1
	}
	return e.echoes()
}

// Late returns by how much the prober itself was held up at worst between two instants: the longest time between two
// echoes, above what it was to be. Stop comes first.
func (e *Echo) Late(from, to time.Time) (late time.Duration) {
	for i := 1; i < len(e.sent); i++ {
		if e.base.Add(e.sent[i]).After(from) && e.base.Add(e.sent[i-1]).Before(to) {
			late = max(late, e.sent[i]-e.sent[i-1]-e.o.Each)
		}
	}
	return late
}

// Echoes is what an Echo found.
type Echoes struct {
	Sent, Lost int
	Losses     []Loss
	Slowest    time.Duration // answer that was not lost
	Late       time.Duration // longest time between two echoes: above Each the prober itself was held up
}

// Loss is a window in which no echo was answered: from the sending of the first that was not to that of the first that
// was again. A window that the end of the asking cut short has Cut.
type Loss struct {
	Began time.Time
	For   time.Duration
	Lost  int
	Cut   bool
}

func (e *Echo) echoes() Echoes {
	r := Echoes{Sent: len(e.sent)}
	var open *Loss
	for i, sent := range e.sent {
		if i > 0 {
			r.Late = max(r.Late, sent-e.sent[i-1])
		}
		if got := e.answered[i]; got != 0 {
			r.Slowest = max(r.Slowest, got-sent)
			if open != nil {
				open.For = e.base.Add(sent).Sub(open.Began)
				open = nil
			}
			continue
		}
		r.Lost++
		if open == nil {
			r.Losses = append(r.Losses, Loss{Began: e.base.Add(sent)})
			open = &r.Losses[len(r.Losses)-1]
		}
		open.Lost++
	}
	if open != nil {
		open.Cut, open.For = true, e.base.Add(e.sent[len(e.sent)-1]+e.o.Each).Sub(open.Began)
	}
	return r
}

// Longest returns the longest loss, a zero Loss if there was none.
func (r Echoes) Longest() Loss {
	if len(r.Losses) == 0 {
		return Loss{}
	}
	return slices.MaxFunc(r.Losses, func(a, b Loss) int { return int(a.For - b.For) })
}

// Outage returns the time from the first loss's beginning to the last one's end.
func (r Echoes) Outage() time.Duration {
	if len(r.Losses) == 0 {
		return 0
	}
	last := r.Losses[len(r.Losses)-1]
	return last.Began.Add(last.For).Sub(r.Losses[0].Began)
}

// String is one line.
func (r Echoes) String() string {
	return fmt.Sprintf("%d echoes, %d lost in %d windows, the longest %v; slowest answer %v, prober late by %v", r.Sent, r.Lost, len(r.Losses),
		round(r.Longest().For), round(r.Slowest), round(r.Late))
}
