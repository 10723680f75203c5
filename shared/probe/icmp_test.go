package probe

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

func TestICMPLoopback(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	labtest.LeakCheck(t)
	wantOK(t, check(t, "127.0.0.1:0", "type: icmp"), "reply in", "0 of 1 lost")
	wantOK(t, check(t, "127.0.0.1:0", "{type: icmp, icmp: {count: 3, size: 1400}}"), "0 of 3 lost")
	wantOK(t, check(t, "127.0.0.1:0", "{type: icmp, source: 127.0.0.2, interface: lo}"))
	wantOK(t, check(t, "[::1]:0", "type: icmp"), "reply in")
	wantBad(t, check(t, "127.0.0.1:0", "{type: icmp, source: '::1'}"), fault.Unavailable, "different families")
	wantOK(t, checkTarget(t, Target{Host: "localhost"}, "type: icmp", patience))
}

// TestICMPConcurrent has many pings of one address at once: none may take another's reply.
func TestICMPConcurrent(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	labtest.LeakCheck(t)
	c, err := New(makeConfig(t, "{type: icmp, icmp: {count: 5}}"))
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan Result)
	for range 50 {
		go func() { results <- c.Check(t.Context(), Target{Addr: mustAddrPort("127.0.0.1:0")}) }()
	}
	for range 50 {
		wantOK(t, <-results)
	}
}

// TestICMPInNamespace uses the kinds of socket in turn, and an address where nobody is.
func TestICMPInNamespace(t *testing.T) {
	labtest.Needs(t, labtest.Root, labtest.NetNS)
	lab := labtest.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	setGroups := func(groups string) {
		t.Helper()
		if err := a.In(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(groups), 0o644)
		}); err != nil {
			t.Fatal(err)
		}
	}
	ping := func(addr string, timeout time.Duration) (r Result) {
		t.Helper()
		if err := a.In(func() error {
			r = checkTarget(t, Target{Addr: mustAddrPort(addr)}, "type: icmp", timeout)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	b4, b6 := b.Addr().String()+":0", "["+b.Addr6().String()+"]:0"
	for _, groups := range []string{"1 0", "0 2147483647"} { // raw socket, then the unprivileged kind
		setGroups(groups)
		wantOK(t, ping(b4, patience))
		wantOK(t, ping(b6, patience))
	}
	if r := kindOf(t, a); r {
		t.Error("the open group range gave a raw socket")
	}

	dead := b.Addr().Next().Next().Next().Next()
	wantBad(t, ping(dead.String()+":0", 300*time.Millisecond), fault.Timeout)
	wantBad(t, ping("198.51.100.1:0", patience), fault.Unavailable, "unreachable")
	if r := ping(dead.String()+":0", patience); r.OK || r.Latency > patience*3/4 {
		t.Errorf("no host at %s: %+v; want the kernel's word within its 3 s of ARP", dead, r)
	}
}

// kindOf reports whether host a gets a raw socket.
func kindOf(t *testing.T, a *labtest.Host) (raw bool) {
	t.Helper()
	if err := a.In(func() error {
		p, err := openPing(dialer{}, a.Addr())
		if err != nil {
			return err
		}
		raw = p.raw
		return p.Close()
	}); err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestICMPDenied takes the capability from one thread, in a namespace whose groups may not ping.
func TestICMPDenied(t *testing.T) {
	labtest.Needs(t, labtest.Root, labtest.NetNS)
	result := make(chan Result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- deniedPing(t)
	}()
	wantBad(t, <-result, fault.Denied, "ping_group_range", "CAP_NET_RAW")
}

func deniedPing(t *testing.T) Result {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil { // a fresh namespace has ping_group_range "1 0"
		return Result{Detail: err.Error()}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return Result{Detail: err.Error()}
	}
	c, err := New(makeConfig(t, "type: icmp"))
	if err != nil {
		return Result{Detail: err.Error()}
	}
	return c.Check(context.Background(), Target{Addr: mustAddrPort("127.0.0.1:0")})
}

func TestMarshalEcho(t *testing.T) {
	got := marshalEcho(false, 0x1234, 1, []byte("abc"))
	want := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'}
	if sum := checksum(got); sum != 0 {
		t.Errorf("checksum over the message is %#x, want 0", sum)
	}
	got[2], got[3] = 0, 0
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := marshalEcho(true, 0x1234, 1, nil); !bytes.Equal(got, []byte{128, 0, 0, 0, 0x12, 0x34, 0, 1}) {
		t.Errorf("ICMPv6: %x", got)
	}
}

func FuzzEchoReply(f *testing.F) {
	f.Add(false, false, []byte{0, 0, 0, 0, 1, 2, 3, 4, 'x'})
	f.Add(true, false, []byte{129, 0, 0, 0, 1, 2, 3, 4, 'x'})
	f.Add(false, true, append([]byte{0x46, 23: 0}, 0, 0, 0, 0, 1, 2, 3, 4))
	f.Add(false, true, []byte{0x4f, 19: 0})
	f.Fuzz(func(t *testing.T, v6, raw bool, b []byte) {
		r, ok := parseEchoReply(v6, raw, b)
		if ok && len(r.data)+8 > len(b) {
			t.Errorf("%x: %d bytes of data", b, len(r.data))
		}
	})
}
