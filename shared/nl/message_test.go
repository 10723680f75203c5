package nl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// tell returns a message as the kernel would send it, its body made by fill.
func tell(kind, flags uint16, fill func(*request)) []byte {
	c := &Conn{}
	r := c.begin(kind, flags)
	fill(r)
	binary.NativeEndian.PutUint32(r.b, uint32(len(r.b)))
	return r.b
}

func eventsOf(b []byte) (got []Event, whole bool) {
	whole = events(b, func(e Event) { got = append(got, e) })
	return got, whole
}

func addrMessage(kind uint16, prefix string) []byte {
	return tell(kind, 0, func(r *request) { r.addr(7, netip.MustParsePrefix(prefix)) })
}

func TestEvents(t *testing.T) {
	f := func(b []byte, whole bool, want ...Event) {
		t.Helper()
		got, ok := eventsOf(b)
		if diff := cmp.Diff(want, got, compareNet); diff != "" || ok != whole {
			t.Errorf("whole %v, want %v; -want +got:\n%s", ok, whole, diff)
		}
	}
	four := Event{Kind: AddrAdded, Addr: Addr{Index: 7, Prefix: netip.MustParsePrefix("10.0.0.1/24")}}
	six := Event{Kind: AddrGone, Addr: Addr{Index: 7, Prefix: netip.MustParsePrefix("fe80::1/64"), LinkLocal: true}}
	added, gone := addrMessage(unix.RTM_NEWADDR, "10.0.0.1/24"), addrMessage(unix.RTM_DELADDR, "fe80::1/64")
	both := append(append([]byte{}, added...), gone...)
	f(nil, true)
	f(both, true, four, six)
	f(both[:len(both)-1], false, four) // cut at the end
	f(both[:len(added)+headLen-1], false, four)
	f(append(append([]byte{}, added...), 1), false, four)

	wrong := func(n uint32) []byte { // the length in the header
		b := append([]byte{}, both...)
		binary.NativeEndian.PutUint32(b, n)
		return b
	}
	f(wrong(0), false)
	f(wrong(headLen-1), false)
	f(wrong(headLen), false) // what follows is no message
	f(wrong(uint32(len(both)+1)), false)
	f(wrong(1<<31), false)
	f(wrong(1<<32-1), false)

	attrOf := func(n uint16) []byte { // the length of the first attribute
		b := append([]byte{}, added...)
		binary.NativeEndian.PutUint16(b[headLen+addrLen:], n)
		return b
	}
	f(attrOf(0), true)
	f(attrOf(3), true)
	f(attrOf(7), true, four) // of 3 bytes: no address, but the second is
	f(attrOf(1<<16-1), true)
	f(tell(unix.RTM_NEWADDR, 0, func(r *request) { r.b = append(r.b, unix.AF_INET, 24, 0, 0, 7, 0, 0) }), true)
	for _, bits := range []uint8{33, 129, 255} {
		b := append([]byte{}, added...)
		b[headLen+1] = bits
		f(b, true)
	}
	other := append([]byte{}, added...)
	other[headLen] = unix.AF_BRIDGE
	f(other, true)
}

func TestLinkMessages(t *testing.T) {
	f := func(family uint8, fill func(*request), want ...Event) {
		t.Helper()
		b := tell(unix.RTM_DELLINK, 0, func(r *request) {
			r.link(7, unix.IFF_UP|unix.IFF_LOWER_UP, 0)
			fill(r)
		})
		b[headLen] = family
		got, whole := eventsOf(b)
		if diff := cmp.Diff(want, got, compareNet); diff != "" || !whole {
			t.Errorf("whole %v; -want +got:\n%s", whole, diff)
		}
	}
	link := func(l Link) Event {
		l.Index, l.Up, l.Carrier = 7, true, true
		return Event{Kind: LinkGone, Link: l}
	}
	f(unix.AF_UNSPEC, func(*request) {}, link(Link{}))
	f(unix.AF_BRIDGE, func(*request) {})
	f(unix.AF_UNSPEC, func(r *request) { r.attr(unix.IFLA_IFNAME, []byte("eth0")) }, link(Link{Name: "eth0"})) // no zero byte
	f(unix.AF_UNSPEC, func(r *request) { r.attr(unix.IFLA_ADDRESS, make([]byte, 20)) }, link(Link{}))          // InfiniBand
	f(unix.AF_UNSPEC, func(r *request) { r.attr(unix.IFLA_MTU, []byte{1}) }, link(Link{}))
	f(unix.AF_UNSPEC, func(r *request) { r.attr32(unix.IFLA_LINK, 3) }, link(Link{Parent: 3}))
	f(unix.AF_UNSPEC, func(r *request) { r.attr32(unix.IFLA_LINK, 3); r.attr32(unix.IFLA_LINK_NETNSID, 0) }, link(Link{}))
	f(unix.AF_UNSPEC, func(r *request) {
		r.attr32(unix.IFLA_LINK, 3)
		info := r.nest(unix.IFLA_LINKINFO)
		r.attrText(unix.IFLA_INFO_KIND, "veth")
		r.close(info)
	}, link(Link{Kind: "veth"}))
}

func TestRefusal(t *testing.T) {
	errno := -int32(unix.EPERM)
	fill := func(r *request) {
		r.b = binary.NativeEndian.AppendUint32(r.b, uint32(errno))
		r.b = append(r.b, make([]byte, headLen)...)
		r.attrText(unix.NLMSGERR_ATTR_MSG, "not today")
	}
	f := func(flags uint16, fill func(*request), want string) {
		t.Helper()
		m, _, _ := cut(tell(unix.NLMSG_ERROR, flags, fill))
		err := refused(m)
		if !errors.Is(err, unix.EPERM) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if err := fail(err, "set link %d up", 3); !errors.Is(err, fault.Denied) || err.Error() != "nl: set link 3 up: "+want {
			t.Error(err)
		}
	}
	f(unix.NLM_F_ACK_TLVS, fill, "operation not permitted (not today)")
	f(0, fill, "operation not permitted")
	f(unix.NLM_F_ACK_TLVS, func(r *request) { r.b = binary.NativeEndian.AppendUint32(r.b, uint32(errno)) }, "operation not permitted")
}

// FuzzEvents feeds the parser of events. What syscall takes for a row of messages must be one here.
func FuzzEvents(f *testing.F) {
	f.Add(addrMessage(unix.RTM_NEWADDR, "10.0.0.1/24"))
	f.Add(addrMessage(unix.RTM_DELADDR, "fe80::1/64"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, whole := eventsOf(b)
		for _, e := range got {
			switch e.Kind {
			case LinkChanged, LinkGone:
				if e.Link.Index <= 0 || len(e.Link.Name)+len(e.Link.Kind) > len(b) {
					t.Errorf("%+v", e)
				}
			case AddrAdded, AddrGone:
				if e.Addr.Index <= 0 || !e.Addr.Prefix.IsValid() {
					t.Errorf("%+v", e)
				}
			case RouteChanged:
				if !e.Dst.IsValid() {
					t.Errorf("%+v", e)
				}
			default:
				t.Errorf("%+v", e)
			}
		}
		compareWithSyscall(t, b, whole)
	})
}

// compareWithSyscall compares how the messages are cut.
func compareWithSyscall(t *testing.T, b []byte, whole bool) {
	theirs, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return // it wants the last one padded, too
	}
	for _, m := range theirs {
		ours, rest, ok := cut(b)
		if !ok || ours.kind != m.Header.Type || ours.seq != m.Header.Seq || !bytes.Equal(ours.body, m.Data) {
			t.Fatalf("they have %+v, we %+v, %v", m, ours, ok)
		}
		b = rest
	}
	if whole != (len(b) == 0) {
		t.Errorf("whole is %v with %d bytes left", whole, len(b))
	}
}

// FuzzAnswer feeds the parsers of answers.
func FuzzAnswer(f *testing.F) {
	f.Add(addrMessage(unix.RTM_NEWADDR, "10.0.0.1/24"))
	f.Add(tell(unix.NLMSG_ERROR, unix.NLM_F_ACK_TLVS, func(r *request) {
		r.b = append(r.b, make([]byte, 4+headLen)...)
		r.attrText(unix.NLMSGERR_ATTR_MSG, "no")
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Conn{}
		var interrupted bool
		n := 0
		done, err := c.take(b, &interrupted, func(m message) {
			n++
			if l, ok := parseLink(m.body); ok && l.Index <= 0 {
				t.Errorf("%+v", l)
			}
			if r, ok := parseRoute(m.body); ok && !r.dst.IsValid() {
				t.Errorf("%+v", r)
			}
			if conf := map[int]int{}; len(m.body) >= linkLen {
				readIPv4Conf(m.body[linkLen:], conf)
				if len(conf) > len(m.body)/4 {
					t.Errorf("%d settings in %d bytes", len(conf), len(m.body))
				}
			}
		})
		if err != nil && (!done || err.Error() == "") {
			t.Errorf("%v, done %v", err, done)
		}
		if n > len(b)/headLen {
			t.Errorf("%d messages in %d bytes", n, len(b))
		}
	})
}
