package vrrp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// TestPackets parses the packets in testdata/packets, and writes those that are taken again: the bytes must be the same,
// but for reserved bits.
func TestPackets(t *testing.T) {
	labtest.Script(t, "testdata/packets", func(t *testing.T) labtest.Runner {
		return func(_ string, args []string, _ string) string {
			env := Envelope{Src: netip.MustParseAddr(args[0]), Dst: netip.MustParseAddr(args[1]), TTL: 255}
			wire, err := hex.DecodeString(args[2])
			if err != nil {
				t.Fatal(err)
			}
			for _, arg := range args[3:] {
				key, value, _ := strings.Cut(arg, "=")
				n, err := strconv.ParseUint(value, 10, 8)
				if err != nil {
					t.Fatal(err)
				}
				if key == "ttl" {
					env.TTL = uint8(n)
				} else {
					env.MinTTL = uint8(n)
				}
			}
			var p Packet
			if r := p.Parse(wire, env); r != Accepted {
				return "rejected: " + r.String()
			}
			return packetText(p) + rewritten(t, wire, &p, env)
		}
	})
}

func packetText(p Packet) string {
	text := fmt.Sprintf("v%d vrid=%d prio=%d interval=%v checksum=%v", p.Version, p.VRID, p.Priority, p.Interval, p.Checksum)
	if p.AuthType != AuthNone {
		text += fmt.Sprintf(" auth=%d:%q", p.AuthType, p.Auth)
	}
	for _, a := range p.Addrs {
		text += " " + a.String()
	}
	return text
}

func rewritten(t *testing.T, wire []byte, p *Packet, env Envelope) string {
	t.Helper()
	again, err := p.Append(nil, env.Src, env.Dst)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(wire) {
		return "\nwritten otherwise: " + hex.EncodeToString(again)
	}
	return ""
}

// samples are a packet of each kind.
func samples() (packets []Packet, envs []Envelope) {
	four := Envelope{Src: netip.MustParseAddr("10.77.0.1"), Dst: netip.MustParseAddr("224.0.0.18"), TTL: 255}
	six := Envelope{Src: netip.MustParseAddr("fe80::1"), Dst: netip.MustParseAddr("ff02::12"), TTL: 255}
	vips4 := []netip.Addr{netip.MustParseAddr("10.77.0.100"), netip.MustParseAddr("10.77.0.101")}
	vips6 := []netip.Addr{netip.MustParseAddr("fe80::51"), netip.MustParseAddr("fd77::100")}
	packets = []Packet{
		{Version: V2, VRID: 1, Priority: 100, Interval: time.Second, Addrs: vips4},
		{Version: V2, VRID: 255, Priority: 0, Interval: 255 * time.Second, Addrs: vips4, AuthType: AuthText, Auth: [8]byte{'s', 'e', 'c'}},
		{Version: V3, VRID: 51, Priority: 254, Interval: 10 * time.Millisecond, Addrs: vips4[:1], Checksum: ChecksumMessage},
		{Version: V3, VRID: 51, Priority: 255, Interval: 40950 * time.Millisecond, Addrs: vips4, Checksum: ChecksumPseudo},
		{Version: V3, VRID: 51, Priority: 1, Interval: time.Second, Addrs: vips6},
	}
	return packets, []Envelope{four, four, four, four, six}
}

func TestAppendParsesBack(t *testing.T) {
	packets, envs := samples()
	for i, want := range packets {
		b, err := want.Append([]byte("before"), envs[i].Src, envs[i].Dst)
		if err != nil {
			t.Fatal(err)
		}
		var got Packet
		if r := got.Parse(b[len("before"):], envs[i]); r != Accepted {
			t.Fatalf("sample %d: %v", i, r)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("sample %d: -written +read:\n%s", i, diff)
		}
	}
}

// TestBitFlips: no packet with one wrong bit is taken for another. The reserved bits are covered by the checksum too.
func TestBitFlips(t *testing.T) {
	packets, envs := samples()
	for i, p := range packets {
		b, err := p.Append(nil, envs[i].Src, envs[i].Dst)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			var got Packet
			if r := got.Parse(b, envs[i]); r == Accepted {
				t.Errorf("sample %d with bit %d turned is taken", i, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestLongest(t *testing.T) {
	p := Packet{Version: V3, VRID: 1, Interval: time.Second}
	for i := range MaxAddrs {
		p.Addrs = append(p.Addrs, netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(i)}))
	}
	src, dst := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::12")
	b, err := p.Append(nil, src, dst)
	if err != nil || len(b) != MaxLen {
		t.Fatalf("%d bytes, %v; want %d", len(b), err, MaxLen)
	}
	var got Packet
	if r := got.Parse(b, Envelope{Src: src, Dst: dst, TTL: 255}); r != Accepted || !slices.Equal(got.Addrs, p.Addrs) {
		t.Errorf("%v, %d addresses", r, len(got.Addrs))
	}
}

func TestAppendRefuses(t *testing.T) {
	f := func(why string, change func(p *Packet, env *Envelope)) {
		t.Helper()
		packets, envs := samples()
		p, env := packets[3], envs[3]
		change(&p, &env)
		b, err := p.Append([]byte("before"), env.Src, env.Dst)
		if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), why) || string(b) != "before" {
			t.Errorf("%q, %v; want an error with %q", b, err, why)
		}
	}
	f("VRID 0", func(p *Packet, _ *Envelope) { p.VRID = 0 })
	f("version 4", func(p *Packet, _ *Envelope) { p.Version = 4 })
	f("0 addresses", func(p *Packet, _ *Envelope) { p.Addrs = nil })
	f("256 addresses", func(p *Packet, _ *Envelope) { p.Addrs = make([]netip.Addr, 256) })
	f("fd77::1 is no virtual address", func(p *Packet, _ *Envelope) { p.Addrs = []netip.Addr{netip.MustParseAddr("fd77::1")} })
	f("invalid IP is no virtual address", func(p *Packet, _ *Envelope) { p.Addrs = make([]netip.Addr, 1) })
	f("interval 15ms", func(p *Packet, _ *Envelope) { p.Interval = 15 * time.Millisecond })
	f("interval 0s", func(p *Packet, _ *Envelope) { p.Interval = 0 })
	f("interval 40.96s", func(p *Packet, _ *Envelope) { p.Interval = 40960 * time.Millisecond })
	f("interval 1.5s", func(p *Packet, _ *Envelope) { p.Version, p.Interval = V2, 1500*time.Millisecond })
	f("interval 4m16s", func(p *Packet, _ *Envelope) { p.Version, p.Interval = V2, 256*time.Second })
	f("authentication type 1", func(p *Packet, _ *Envelope) { p.AuthType = AuthText })
	f("authentication type 2", func(p *Packet, _ *Envelope) { p.Version, p.Interval, p.AuthType = V2, time.Second, 2 })
	f("authentication type 0", func(p *Packet, _ *Envelope) { p.Version, p.Interval, p.Auth[0] = V2, time.Second, 1 })
	f("not a source", func(_ *Packet, env *Envelope) { env.Dst = netip.MustParseAddr("ff02::12") })
	f("no IPv6", func(p *Packet, env *Envelope) {
		p.Version, p.Interval = V2, time.Second
		env.Src, env.Dst = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("ff02::12")
	})
}

// TestSum compares with the sum word by word that the RFCs describe.
func TestSum(t *testing.T) {
	var b []byte
	for n := range 70 {
		b = append(b, byte(n*37+200))
		var want uint64
		for i, c := range b {
			want += uint64(c) << (8 * (1 - i%2))
		}
		if got := sum(0, b); fold(got) != fold(want) {
			t.Fatalf("%d bytes: %#x, want %#x", n+1, fold(got), fold(want))
		}
	}
}

func TestHabit(t *testing.T) {
	f := func(h Habit, want string, heard ...Checksum) {
		t.Helper()
		got := h.Send().String()
		for _, c := range heard {
			got += fmt.Sprintf(" %t:%v", h.Learn(c), h.Send())
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(Habit{}, "rfc9568 false:rfc9568 false:rfc9568 true:pseudo false:pseudo false:pseudo true:rfc9568",
		ChecksumEither, ChecksumMessage, ChecksumPseudo, ChecksumPseudo, ChecksumFixed, ChecksumMessage)
	f(Habit{}, "rfc9568 true:pseudo", ChecksumPseudo)
	f(Habit{Fixed: ChecksumMessage}, "rfc9568 true:rfc9568", ChecksumPseudo)
	f(Habit{Fixed: ChecksumPseudo}, "pseudo false:pseudo", ChecksumMessage)
}

func TestPacketAllocations(t *testing.T) {
	packets, envs := samples()
	var p Packet
	b := make([]byte, 0, MaxLen)
	for i := range packets {
		n := testing.AllocsPerRun(100, func() {
			b, _ = packets[i].Append(b[:0], envs[i].Src, envs[i].Dst)
			if r := p.Parse(b, envs[i]); r != Accepted {
				t.Error(r)
			}
		})
		if n != 0 {
			t.Errorf("sample %d: %v allocations", i, n)
		}
	}
}

// FuzzPacket: whatever is taken is written again as it was, but for reserved bits, and a wrong bit more is found.
func FuzzPacket(f *testing.F) {
	packets, envs := samples()
	for i, p := range packets {
		b, err := p.Append(nil, envs[i].Src, envs[i].Dst)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, envs[i].Src.AsSlice(), envs[i].Dst.AsSlice(), byte(255), byte(0), uint16(i*9))
	}
	f.Fuzz(func(t *testing.T, b, srcBytes, dstBytes []byte, ttl, minTTL byte, bit uint16) {
		src, _ := netip.AddrFromSlice(srcBytes)
		dst, _ := netip.AddrFromSlice(dstBytes)
		env := Envelope{Src: src, Dst: dst, TTL: ttl, MinTTL: minTTL}
		var p Packet
		r := p.Parse(b, env)
		if r >= Reasons {
			t.Fatal(r)
		}
		if r != Accepted {
			return
		}
		again, err := p.Append(nil, src, dst)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", p, err)
		}
		var second Packet
		if r := second.Parse(again, env); r != Accepted {
			t.Fatalf("%x was written and is not taken: %v", again, r)
		}
		if diff := cmp.Diff(p, second, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Fatal(diff)
		}
		if src.Is4() && p.Version == V3 && closeForms(src, dst, len(b)) {
			return
		}
		n := int(bit) % (len(b) * 8)
		b = slices.Clone(b)
		b[n/8] ^= 1 << (n % 8)
		if r := second.Parse(b, env); r == Accepted {
			t.Fatalf("%x with bit %d turned is taken", b, n)
		}
	})
}

// closeForms reports whether the two forms of the checksum differ by one bit: the price of taking both. Of 2000 pairs of
// addresses it is one.
func closeForms(src, dst netip.Addr, length int) bool {
	sum := fold(pseudo(src, dst, length))
	for bit := range 16 {
		if sum == 1<<bit || sum == ^uint16(1<<bit) {
			return true
		}
	}
	return false
}
