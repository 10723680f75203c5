package viptest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

// maxChanges bounds what a Holders remembers; more changes fail the test.
const maxChanges = 100_000

// Holders knows which hosts have an address, and since when. It hears the kernels' own events: no holder is too brief
// to be seen.
type Holders struct {
	t     testing.TB
	addr  netip.Addr
	names []string

	socks []int // rtnetlink, one in each namespace
	stop  [2]int
	done  chan struct{}

	mu      sync.Mutex
	links   []map[uint32]bool // of each host: the interfaces that have the address
	changes []change
	changed chan struct{} // closed at the next change
	stalls  []stall
	err     error
}

// stall is a stretch of time in which the thread of Holders did not run, and hence probably nothing else.
type stall struct{ from, to time.Time }

// noStall is how long a poll may last that is no stall.
const noStall = longestPoll + 3*time.Millisecond

// change is who has the address from an instant on.
type change struct {
	at   time.Time
	have []string
}

// WatchHolders begins to watch. It ends with the test.
func WatchHolders(t testing.TB, addr netip.Addr, hosts ...*labtest.Host) *Holders {
	t.Helper()
	h := &Holders{t: t, addr: addr, done: make(chan struct{}), changed: make(chan struct{})}
	for _, host := range hosts {
		fd := -1
		err := host.In(func() (e error) { fd, e = watchAddresses(); return e })
		if err != nil {
			t.Fatalf("viptest: watch the addresses of %s: %v", host.Name, err)
		}
		h.names, h.socks, h.links = append(h.names, host.Name), append(h.socks, fd), append(h.links, map[uint32]bool{})
	}
	if err := unix.Pipe2(h.stop[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatalf("viptest: pipe: %v", err)
	}
	h.changes = []change{{at: time.Now()}}
	go func() {
		defer close(h.done)
		instrument(h.run)
	}()
	t.Cleanup(h.close)
	return h
}

// watchAddresses opens a socket on which the addresses of the caller's namespace come, those there are and all changes.
func watchAddresses() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	groups := uint32(1<<(unix.RTNLGRP_IPV4_IFADDR-1) | 1<<(unix.RTNLGRP_IPV6_IFADDR-1))
	dump := syscall.NlMsghdr{Len: unix.SizeofNlMsghdr + unix.SizeofIfAddrmsg, Type: unix.RTM_GETADDR, Flags: unix.NLM_F_REQUEST | unix.NLM_F_DUMP}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}),
		unix.Sendto(fd, header(dump), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (h *Holders) close() {
	unix.Close(h.stop[1])
	<-h.done
	for _, fd := range append(h.socks, h.stop[0]) {
		unix.Close(fd)
	}
	if h.err != nil {
		h.t.Errorf("viptest: holders of %s: %v", h.addr, h.err)
	}
}

// run reads the sockets until close.
func (h *Holders) run() {
	fds := []unix.PollFd{{Fd: int32(h.stop[0]), Events: unix.POLLIN}}
	for _, fd := range h.socks {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	buf := make([]byte, 64<<10)
	for at := time.Now(); ; {
		before := at
		some := poll(fds, longestPoll)
		at = time.Now()
		if at.Sub(before) > noStall {
			h.stalled(before, at)
		}
		if fds[0].Revents != 0 {
			return
		}
		if !some {
			continue
		}
		for i := range h.socks {
			if fds[i+1].Revents == 0 {
				continue
			}
			if err := h.read(i, at, buf); err != nil {
				h.fail(fmt.Errorf("%s: %w", h.names[i], err))
				return
			}
		}
	}
}

// read takes all that a host's socket has.
func (h *Holders) read(host int, at time.Time, buf []byte) error {
	for {
		n, _, err := unix.Recvfrom(h.socks[host], buf, 0)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := h.take(host, at, &m); err != nil {
				return err
			}
		}
	}
}

// take notes what one message says of the address.
func (h *Holders) take(host int, at time.Time, m *syscall.NetlinkMessage) error {
	if m.Header.Type != unix.RTM_NEWADDR && m.Header.Type != unix.RTM_DELADDR || len(m.Data) < unix.SizeofIfAddrmsg {
		return nil
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return err
	}
	kind := uint16(unix.IFA_LOCAL)
	if m.Data[0] == unix.AF_INET6 {
		kind = unix.IFA_ADDRESS
	}
	for _, a := range attrs {
		if addr, ok := netip.AddrFromSlice(a.Value); a.Attr.Type == kind && ok && addr == h.addr {
			return h.note(host, linkOf(m.Data), m.Header.Type == unix.RTM_NEWADDR, at)
		}
	}
	return nil
}

// note keeps that a host's interface has the address or has it no more.
func (h *Holders) note(host int, link uint32, has bool, at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.links[host], link)
	if has {
		h.links[host][link] = true
	}
	var have []string
	for i, links := range h.links {
		if len(links) > 0 {
			have = append(have, h.names[i])
		}
	}
	if slices.Equal(have, h.changes[len(h.changes)-1].have) {
		return nil
	}
	if len(h.changes) == maxChanges {
		return fmt.Errorf("more than %d changes", maxChanges)
	}
	h.changes = append(h.changes, change{at, have})
	close(h.changed)
	h.changed = make(chan struct{})
	return nil
}

func (h *Holders) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

// stalled notes a stall; of more than maxChanges the rest is forgotten.
func (h *Holders) stalled(from, to time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.stalls) < maxChanges {
		h.stalls = append(h.stalls, stall{from, to})
	}
}

// Stalled returns for how much of a stretch of time the machine stood still: the thread of Holders, which nothing but the
// machine's own host holds up, did not run. Routers are late then, too.
func (h *Holders) Stalled(from, to time.Time) (sum time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stalls {
		if s.from.Before(to) && s.to.After(from) {
			sum += s.to.Sub(s.from)
		}
	}
	return sum
}

// Now returns the hosts that have the address.
func (h *Holders) Now() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.changes[len(h.changes)-1].have)
}

// Wait waits until exactly these hosts have the address and returns since when. After the time-out the test fails.
func (h *Holders) Wait(timeout time.Duration, hosts ...*labtest.Host) time.Time {
	h.t.Helper()
	var want []string
	for _, host := range hosts {
		want = append(want, host.Name)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		h.mu.Lock()
		last, changed := h.changes[len(h.changes)-1], h.changed
		h.mu.Unlock()
		if slices.Equal(want, last.have) {
			return last.at
		}
		select {
		case <-changed:
		case <-timer.C:
			h.t.Fatalf("viptest: %s is held by [%s], not [%s], after %v; %s", h.addr, strings.Join(last.have, " "),
				strings.Join(want, " "), timeout, h.Since(time.Now().Add(-timeout)))
		}
	}
}

// Stay waits for a time in which exactly these hosts are to have the address all along, and says what was if they had not.
func (h *Holders) Stay(d time.Duration, hosts ...*labtest.Host) error {
	h.t.Helper()
	from := time.Now()
	h.Wait(0, hosts...)
	h.mu.Lock()
	changed := h.changed
	h.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-changed:
		return fmt.Errorf("%s moved, which it was not to: %s", h.addr, h.Since(from))
	}
}

// Tenure is how long an address had no holder and two in a stretch of time, and how often it changed.
type Tenure struct {
	From, To  time.Time
	None, Two time.Duration // in all
	Changes   []string      // "+0.3ms a b": who has it, and since when in the stretch
}

// String is one line.
func (u Tenure) String() string {
	return fmt.Sprintf("in %v: none for %v, two for %v, %s", u.To.Sub(u.From).Round(time.Millisecond), round(u.None), round(u.Two),
		strings.Join(u.Changes, ", "))
}

// Since returns the tenure from an instant to now.
func (h *Holders) Since(from time.Time) Tenure { return h.Between(from, time.Now()) }

// Between returns the tenure of a stretch of time.
func (h *Holders) Between(from, to time.Time) Tenure {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := Tenure{From: from, To: to}
	for i, c := range h.changes {
		began, ended := c.at, to
		if i+1 < len(h.changes) && h.changes[i+1].at.Before(to) {
			ended = h.changes[i+1].at
		}
		if began.Before(from) {
			began = from
		}
		if !began.Before(ended) {
			continue
		}
		switch len(c.have) {
		case 0:
			u.None += ended.Sub(began)
		case 1:
		default:
			u.Two += ended.Sub(began)
		}
		u.Changes = append(u.Changes, fmt.Sprintf("+%v [%s]", round(began.Sub(from)), strings.Join(c.have, " ")))
	}
	return u
}

// round shows a tenth of a millisecond.
func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
