package sock

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

// TestQueued: a packet that lay in the socket has the time of its arrival.
func TestQueued(t *testing.T) {
	for _, four := range []bool{true, false} {
		a, b := two(t)
		from, at, other := a.open(four, true), b.open(four, true), b.open(four, true)
		if err := other.Filter([]vrrp.VRID{52}); err != nil {
			t.Fatal(err)
		}
		const lie = 100 * time.Millisecond
		send(t, from, Group(four), advert(t, 51, a.addr(four), Group(four), 1))
		poll(t, at.Fd(), unix.POLLIN)
		arrived := Now()
		if polled(t, other.Fd(), unix.POLLIN, lie) {
			t.Error("VRID 51 is received by the socket for VRID 52")
		}
		next := Now()
		send(t, from, Group(four), advert(t, 52, a.addr(four), Group(four), 1))
		second := recv(t, other)
		first := recv(t, at)
		if first.At > arrived || second.At < next {
			t.Errorf("arrived before %v and after %v, at %v and %v", arrived, next, first.At, second.At)
		}
	}
}

// TestLinkDown: an interface that goes down and comes back is none of the sockets' concern.
func TestLinkDown(t *testing.T) {
	ways(t, func(t *testing.T, four, multicast bool) {
		a, b := two(t)
		from, at := a.open(four, multicast), b.open(four, multicast)
		exchange := func() error {
			if err := from.Send(to(b, four, multicast), advert(t, 51, a.addr(four), to(b, four, multicast), 1)); err != nil {
				return err
			}
			if !polled(t, at.Fd(), unix.POLLIN, 50*time.Millisecond) {
				return errors.New("nothing is received")
			}
			recv(t, at)
			return nil
		}
		if err := exchange(); err != nil {
			t.Fatal(err)
		}
		for _, e := range []end{b, a} {
			e.host.Run("ip", "link", "set", e.link.Name, "down")
			none(t, at)
			none(t, from)
			if e == a {
				if err := exchange(); !errors.Is(err, fault.Unavailable) {
					t.Errorf("sent while the link is down: %v", err)
				}
			}
			e.host.Run("ip", "link", "set", e.link.Name, "up")
			labtest.Eventually(t, soon, "adverts come again after the link of "+e.host.Name, exchange)
		}
	})
}

// TestUnplug is the same for a cable.
func TestUnplug(t *testing.T) {
	lab := labtest.New(t)
	a, b := newEnd(t, lab.Host("a"), lab.Default()), newEnd(t, lab.Host("b"), lab.Default())
	reach(a, b)
	for _, four := range []bool{true, false} {
		from, at := a.open(four, true), b.open(four, true)
		for _, e := range []end{b, a} {
			lab.Unplug(e.host)
			lab.Plug(e.host)
			labtest.Eventually(t, soon, "adverts come again after the cable of "+e.host.Name, func() error {
				if err := from.Send(Group(four), advert(t, 51, a.addr(four), Group(four), 1)); err != nil {
					return err
				}
				if !polled(t, at.Fd(), unix.POLLIN, 50*time.Millisecond) {
					return errors.New("nothing is received")
				}
				recv(t, at)
				return nil
			})
			none(t, at)
		}
	}
}

// TestRejoin: a small MTU makes the kernel forget the group of IPv6.
func TestRejoin(t *testing.T) {
	a, b := two(t)
	from, at := a.open(false, true), b.open(false, true)
	joined := func() bool {
		return strings.Contains(b.host.Run("ip", "-6", "maddr", "show", "dev", b.link.Name), "ff02::12")
	}
	if !joined() {
		t.Fatal("the group is not joined")
	}
	b.host.Run("ip", "link", "set", b.link.Name, "mtu", "1200")
	b.host.Run("ip", "link", "set", b.link.Name, "mtu", "1500")
	if joined() {
		t.Fatal("this kernel keeps memberships: Rejoin is not needed")
	}
	if err := at.Rejoin(); err != nil {
		t.Fatal(err)
	}
	if !joined() {
		t.Error("the group is not joined again")
	}
	send(t, from, Group(false), advert(t, 51, a.v6, Group(false), 1))
	recv(t, at)
	// Where it is not needed it does no harm.
	for _, four := range []bool{true, false} {
		for _, multicast := range []bool{true, false} {
			s := b.open(four, multicast)
			if err := errors.Join(s.Rejoin(), s.Rejoin()); err != nil {
				t.Error(err)
			}
			from := a.open(four, multicast)
			send(t, from, to(b, four, multicast), advert(t, 51, a.addr(four), to(b, four, multicast), 1))
			recv(t, s)
		}
	}
}

// TestQueuedErrors: that the peer's host refuses the protocol ends nothing. Without IP_RECVERR, which is not set otherwise,
// the kernel does not tell raw sockets of it.
func TestQueuedErrors(t *testing.T) {
	for _, four := range []bool{true, false} {
		a, b := two(t)
		recvErr := setting{"", unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1}
		if four {
			recvErr = setting{"", unix.IPPROTO_IP, unix.IP_RECVERR, 1}
		}
		dst := b.addr(four)
		packet := advert(t, 51, a.addr(four), dst, 1)
		// told returns a socket for which an error is queued.
		told := func() *Socket {
			s := a.open(four, false)
			if err := s.set([]setting{recvErr}); err != nil {
				t.Fatal(err)
			}
			send(t, s, dst, packet)
			poll(t, s.Fd(), unix.POLLERR)
			return s
		}
		s := told()
		if errno, err := unix.GetsockoptInt(s.Fd(), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno == 0 {
			t.Fatalf("no error is queued: %d, %v", errno, err)
		}
		none(t, told())
		if err := told().Send(dst, packet); err != nil {
			t.Errorf("sent after an error: %v", err)
		}
		s = told()
		from, at := b.open(four, false), s
		send(t, from, a.addr(four), advert(t, 51, dst, a.addr(four), 1))
		recv(t, at)
	}
}

// TestNoAllocation: neither a packet nor an error that repeats itself allocates.
func TestNoAllocation(t *testing.T) {
	a, b := two(t)
	f := func(name string, run func()) {
		t.Helper()
		if n := testing.AllocsPerRun(200, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	var d Datagram
	fds := make([]unix.PollFd, 1)
	for _, four := range []bool{true, false} {
		from, at := a.open(four, true), b.open(four, true)
		packet := advert(t, 51, a.addr(four), Group(four), 1)
		fds[0] = unix.PollFd{Fd: int32(at.Fd()), Events: unix.POLLIN}
		f("an advert", func() {
			if err := from.Send(Group(four), packet); err != nil {
				t.Fatal(err)
			}
			for ok := false; !ok; {
				if n, err := unix.Poll(fds, int(soon.Milliseconds())); n == 0 || err != nil && err != unix.EINTR {
					t.Fatal("nothing is received", err)
				}
				var err error
				if ok, err = at.Recv(&d); err != nil {
					t.Fatal(err)
				}
			}
			if d.Src != a.addr(four) {
				t.Fatal(d.Src)
			}
			if ok, err := at.Recv(&d); ok || err != nil {
				t.Fatal(ok, err)
			}
		})
	}
	var w *Wire
	err := a.host.In(func() (err error) { w, err = OpenWire(a.link.Index); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	out := make([]byte, 60)
	f("a frame", func() {
		if err := w.Send(out); err != nil {
			t.Fatal(err)
		}
	})
	s := a.open(true, true)
	a.host.Run("ip", "link", "set", a.link.Name, "down")
	f("an error", func() {
		if s.Send(Group(true), out) == nil || w.Send(out) == nil {
			t.Fatal("no error while the link is down")
		}
	})
}

// TestErrors: an error says what was done, and is made anew when it is another.
func TestErrors(t *testing.T) {
	var r refusal
	first := r.err(unix.ENETDOWN, "send", "eth0", Group(true))
	if got := fmt.Sprint(first); got != "sock: send to 224.0.0.18 by eth0: network is down" {
		t.Error(got)
	}
	for _, other := range []error{
		r.err(unix.ENOBUFS, "send", "eth0", Group(true)), r.err(unix.ENOBUFS, "send", "eth0", Group(false)),
		r.err(unix.ENETDOWN, "receive", "eth0", Group(true)),
	} {
		if other == first {
			t.Error("another error is the same")
		}
	}
	f := func(errno unix.Errno, want fault.Class) {
		t.Helper()
		if err := refused(errno, "sock"); !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v is no %v", err, want)
		}
	}
	f(unix.EPERM, fault.Denied)
	f(unix.ENODEV, fault.NotFound)
	f(unix.EPROTONOSUPPORT, fault.Unsupported)
	f(unix.EBADF, fault.Internal)
	f(unix.ENETDOWN, fault.Unavailable)
}

// TestDenied: without capabilities the class of the error says so.
func TestDenied(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	result := make(chan []error)
	go func() {
		// The thread has no capabilities any more, and dies with the goroutine.
		runtime.LockOSThread()
		var none [2]unix.CapUserData
		err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0])
		_, raw := Open(Options{Link: nl.Link{Index: 1, Name: "lo"}, Four: true, Source: netip.MustParseAddr("127.0.0.1")})
		_, wire := OpenWire(1)
		result <- []error{err, raw, wire}
	}()
	errs := <-result
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	for _, err := range errs[1:] {
		if !errors.Is(err, fault.Denied) {
			t.Error(err)
		}
	}
}
