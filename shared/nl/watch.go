package nl

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// EventKind is what an event is about.
type EventKind uint8

// The kinds.
const (
	LinkChanged  EventKind = iota // Link is there, and new or not as it was
	LinkGone                      // Link has left the namespace; that its addresses are gone was told before
	AddrAdded                     // Addr is there, and new or not as it was
	AddrGone                      // Addr is no longer on its link
	RouteChanged                  // a route to Dst of the main table came, went or changed
	Overrun                       // events were lost: look at everything anew
)

// String returns the kind's name.
func (k EventKind) String() string {
	switch k {
	case LinkChanged:
		return "link-changed"
	case LinkGone:
		return "link-gone"
	case AddrAdded:
		return "addr-added"
	case AddrGone:
		return "addr-gone"
	case RouteChanged:
		return "route-changed"
	case Overrun:
		return "overrun"
	}
	return "unknown"
}

// Event is something that has changed. Only the field that its kind names has a meaning.
type Event struct {
	Kind EventKind
	Link Link
	Addr Addr
	Dst  netip.Prefix
}

// WatchOptions say what a Watch hears beside links and addresses.
type WatchOptions struct {
	// Routes adds those of the main tables. The IPv4 routes that go with a link that goes down, or away, are not told by
	// the kernel: who waits for a route looks anew after LinkChanged and LinkGone, too.
	Routes bool
	// ReceiveBuffer bounds the kernel's queue, in bytes as the kernel counts them, which is 2 to 4 KiB an event; 0 stands for
	// 1 MiB. Without CAP_NET_ADMIN it is at most net.core.rmem_max.
	ReceiveBuffer int
}

const (
	watchBuffer = 1 << 20
	// watchTurn bounds what one Read takes, so that a host on which links come and go without end does not keep its
	// caller from all else.
	watchTurn = 1024
	// watchDiscard bounds how many events are thrown away after an overrun.
	watchDiscard = 16 << 10
)

// Watch hears what changes. It is for one goroutine at a time.
type Watch struct {
	fd int
	in []byte
}

// OpenWatch opens a Watch in the calling thread's network namespace. It needs no capability.
func OpenWatch(o WatchOptions) (*Watch, error) {
	groups := []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR}
	if o.Routes {
		groups = append(groups, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	}
	var mask uint32
	for _, g := range groups {
		mask |= 1 << (g - 1)
	}
	fd, err := dial(unix.SOCK_NONBLOCK, mask)
	if err != nil {
		return nil, fail(err, "open a socket for events")
	}
	size := o.ReceiveBuffer
	if size <= 0 {
		size = watchBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fail(err, "bound the queue of events")
	}
	return &Watch{fd: fd, in: make([]byte, bufferLen)}, nil
}

// Fd returns the socket, to wait for by poll or level-triggered epoll until it is readable.
func (w *Watch) Fd() int { return w.fd }

// Close closes the socket.
func (w *Watch) Close() error {
	if err := unix.Close(w.fd); err != nil {
		return fault.Wrap(fault.Internal, err, "nl: close the socket for events")
	}
	return nil
}

// Read gives got the events that wait, in their order, and returns when there is none left, or after 1024 messages of the
// kernel: then the socket is readable still. got is called from within Read, and must not call it.
//
// After an overrun what is still queued is older than what was lost; it is thrown away, and got is told Overrun.
func (w *Watch) Read(got func(Event)) error {
	for range watchTurn {
		n, err := receive(w.fd, w.in)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.ENOBUFS || err == nil && !events(w.in[:n], got):
			return w.overrun(got)
		case err != nil:
			return fail(err, "read events")
		}
	}
	return nil
}

// overrun empties the queue and tells that events were lost.
func (w *Watch) overrun(got func(Event)) error {
	for range watchDiscard {
		_, err := receive(w.fd, w.in)
		if err == unix.EAGAIN {
			break
		}
		if err != nil && err != unix.ENOBUFS {
			return fail(err, "discard events")
		}
	}
	got(Event{Kind: Overrun})
	return nil
}

// events gives got what the messages of a datagram tell; false if it does not consist of whole messages.
func events(b []byte, got func(Event)) bool {
	for len(b) > 0 {
		m, rest, ok := cut(b)
		if !ok {
			return false
		}
		if e, ok := event(m); ok {
			got(e)
		}
		b = rest
	}
	return true
}

// event returns what a message tells, if it tells anything.
func event(m message) (e Event, ok bool) {
	switch m.kind {
	case unix.RTM_NEWLINK:
		e.Kind = LinkChanged
		e.Link, ok = parseLink(m.body)
	case unix.RTM_DELLINK:
		e.Kind = LinkGone
		e.Link, ok = parseLink(m.body)
	case unix.RTM_NEWADDR:
		e.Kind = AddrAdded
		e.Addr, ok = parseAddr(m.body)
	case unix.RTM_DELADDR:
		e.Kind = AddrGone
		e.Addr, ok = parseAddr(m.body)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		e.Kind = RouteChanged
		var r route
		r, ok = parseRoute(m.body)
		e.Dst, ok = r.dst, ok && r.table == unix.RT_TABLE_MAIN
	}
	return e, ok
}
