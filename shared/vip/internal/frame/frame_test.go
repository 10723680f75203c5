package frame

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vrrp"
)

var (
	mac4   = nl.MAC{0, 0, 0x5e, 0, 1, 0x33}
	mac6   = nl.MAC{0, 0, 0x5e, 0, 2, 0x34}
	group4 = netip.MustParseAddr("224.0.0.18")
	group6 = netip.MustParseAddr("ff02::12")
	src4   = netip.MustParseAddr("10.77.0.1")
	src6   = netip.MustParseAddr("fe80::ff:fe00:1")
	vip4   = netip.MustParseAddr("10.77.0.100")
	vip6   = netip.MustParseAddr("fd77::100")
	local6 = netip.MustParseAddr("fe80::100")
)

// packet returns the VRRP packet of the recorded adverts.
func packet(t testing.TB, src netip.Addr) []byte {
	t.Helper()
	p := vrrp.Packet{Version: vrrp.V3, VRID: 0x33, Priority: 150, Interval: time.Second, Addrs: []netip.Addr{vip4}, Checksum: vrrp.ChecksumPseudo}
	dst := group4
	if src.Is6() {
		p.VRID, p.Addrs, p.Checksum, dst = 0x34, []netip.Addr{local6, vip6}, vrrp.ChecksumFixed, group6
	}
	b, err := p.Append(nil, src, dst)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines returns bytes as hexadecimal digits, 2 bytes a line, for a difference that can be read.
func lines(b []byte) []string {
	var out []string
	for len(b) >= 2 {
		out, b = append(out, hex.EncodeToString(b[:2])), b[2:]
	}
	return append(out, hex.EncodeToString(b))
}

// parse returns the bytes that hexadecimal digits, with comments after #, stand for.
func parse(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVirtualMAC(t *testing.T) {
	f := func(four bool, id vrrp.VRID, want string) {
		t.Helper()
		if got := VirtualMAC(four, id).String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(true, 1, "00:00:5e:00:01:01") // RFC 9568 section 7.3
	f(true, 255, "00:00:5e:00:01:ff")
	f(false, 51, "00:00:5e:00:02:33")
}

func TestGolden(t *testing.T) {
	f := func(name string, got []byte, want string) {
		t.Helper()
		if diff := cmp.Diff(lines(parse(t, want)), lines(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	f("gratuitous ARP", GratuitousARP(nil, mac4, vip4), `
		ffffffffffff     # to all
		00005e000133     # from the virtual router's MAC address
		0806             # ARP
		0001 0800 06 04  # RFC 826: Ethernet, IPv4, lengths
		0001             # request: RFC 5227 section 2.3
		00005e000133     # sender
		0a4d0064
		000000000000     # target, zero: RFC 5227 section 2.1.1
		0a4d0064         # the same address: an announcement`)
	f("neighbour advertisement", NeighborAdvertisement(nil, mac6, vip6), `
		333300000001     # ff02::1: RFC 2464 section 7
		00005e000234
		86dd
		60000000 0020 3a ff              # RFC 8200: version 6, 32 bytes, ICMPv6; hop limit 255: RFC 4861 section 4.4
		fd770000000000000000000000000100 # from the address
		ff020000000000000000000000000001 # to all nodes
		88 00 797b                       # RFC 4861 section 4.4: type 136, checksum
		a0000000                         # R and O, not S: RFC 9568 section 6.4.1
		fd770000000000000000000000000100 # target
		02 01 00005e000234               # target link-layer address: RFC 4861 section 4.6.1`)
	f("IPv4 advert", Advert(nil, mac4, src4, group4, packet(t, src4)), `
		01005e000012     # RFC 1112 section 6.4
		00005e000133     # RFC 9568 section 7.3
		0800
		45 c0 0020       # RFC 791: version 4, 20 bytes; network control; 32 bytes in all
		0000 4000        # not to be fragmented, no identification: RFC 6864
		ff 70 904d       # TTL 255, protocol 112: RFC 9568 sections 5.1.1.3 and 5.1.1.4; checksum
		0a4d0001 e0000012
		31 33 96 01 0064 42d9 0a4d0064   # RFC 9568 section 5.1; the checksum with a pseudo-header, as keepalived's`)
	f("IPv6 advert", Advert(nil, mac6, src6, group6, packet(t, src6)), `
		333300000012
		00005e000234
		86dd
		6c000000 0028 70 ff              # network control; RFC 9568 section 5.1.2
		fe800000000000000000 00fffe000001
		ff020000000000000000000000000012
		31 34 96 02 0064 3d3d
		fe800000000000000000000000000100
		fd770000000000000000000000000100`)
}

// TestKeepalived compares with what keepalived sends, and names what is different.
func TestKeepalived(t *testing.T) {
	theirs := recorded(t)
	f := func(name string, ours []byte, change func(b []byte)) {
		t.Helper()
		b := theirs[name]
		if b == nil {
			t.Fatalf("%s is not recorded", name)
		}
		change(b)
		if diff := cmp.Diff(lines(b), lines(ours)); diff != "" {
			t.Errorf("%s: -keepalived's +ours:\n%s", name, diff)
		}
	}
	f("garp", GratuitousARP(nil, mac4, vip4), func(b []byte) {
		clear(b[32:38]) // a target hardware address of all ones
	})
	router := func(b []byte) {
		b[58] |= 0x80 // RFC 9568 wants the router flag; keepalived goes by whether the host forwards
		sum := binary.BigEndian.Uint16(b[56:]) - 0x8000
		if sum > binary.BigEndian.Uint16(b[56:]) {
			sum-- // the carry of one's complement
		}
		binary.BigEndian.PutUint16(b[56:], sum)
	}
	f("na", NeighborAdvertisement(nil, mac6, vip6), router)
	f("na-link-local", NeighborAdvertisement(nil, mac6, local6), router)
	f("advert4", Advert(nil, mac4, src4, group4, packet(t, src4)), func(b []byte) {
		copy(b[18:], []byte{0, 0, 0x40, 0}) // it counts datagrams, and lets them be fragmented
		copy(b[24:], []byte{0x90, 0x4d})
	})
	f("advert6", Advert(nil, mac6, src6, group6, packet(t, src6)), func(b []byte) {
		b[15] &= 0xf0 // the kernel's flow label
		clear(b[16:18])
	})
}

// recorded returns the frames of testdata/keepalived.txt by name.
func recorded(t *testing.T) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/keepalived.txt")
	if err != nil {
		t.Fatal(err)
	}
	frames := map[string][]byte{}
	for _, part := range strings.Split(string(text), "\n\n")[1:] {
		name, digits, _ := strings.Cut(part, "\n")
		frames[name] = parse(t, digits)
	}
	return frames
}

// TestChecksums sums up frames of random addresses as a receiver does: another way than Append's.
func TestChecksums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sum := func(b []byte, more uint64) uint64 { // RFC 1071 section 2, (C): in 32 bits, then folded
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		for ; len(b) > 0; b = b[4:] {
			more += uint64(binary.BigEndian.Uint32(b))
		}
		for more>>16 != 0 {
			more = more>>16 + more&0xffff
		}
		return more
	}
	for range 2000 {
		var ip [16]byte
		var mac nl.MAC
		for i := range ip {
			ip[i] = byte(random.Uint32())
		}
		copy(mac[:], ip[5:])
		ip[0] = 0x20
		b := NeighborAdvertisement(nil, mac, netip.AddrFrom16(ip))
		if got := sum(append([]byte{}, b[22:]...), 32+58); got != 0xffff {
			t.Fatalf("%x: sum %x", b, got)
		}
		b = Advert(nil, mac, netip.AddrFrom4([4]byte(ip[4:])), group4, ip[:random.IntN(16)])
		if got := sum(append([]byte{}, b[14:34]...), 0); got != 0xffff {
			t.Fatalf("%x: sum %x", b, got)
		}
	}
}

func TestNothing(t *testing.T) {
	kept := []byte("kept")
	f := func(got []byte) {
		t.Helper()
		if string(got) != "kept" {
			t.Errorf("appended: %x", got)
		}
	}
	f(GratuitousARP(kept, mac4, vip6))
	f(GratuitousARP(kept, mac4, group4))
	f(GratuitousARP(kept, mac4, netip.IPv4Unspecified()))
	f(GratuitousARP(kept, mac4, netip.Addr{}))
	f(NeighborAdvertisement(kept, mac6, vip4))
	f(NeighborAdvertisement(kept, mac6, group6))
	f(NeighborAdvertisement(kept, mac6, netip.IPv6Unspecified()))
	f(NeighborAdvertisement(kept, mac6, netip.MustParseAddr("::ffff:10.77.0.100")))
	f(NeighborAdvertisement(kept, mac6, netip.Addr{}))
	f(Advert(kept, mac4, src4, group6, nil))
	f(Advert(kept, mac4, src6, group4, nil))
	f(Advert(kept, mac4, src4, vip4, nil))
	f(Advert(kept, mac4, netip.Addr{}, netip.Addr{}, nil))
	f(Advert(kept, mac4, src4, group4, make([]byte, 1<<16-20)))

	four := netip.MustParseAddr("::ffff:10.77.0.100")
	if diff := cmp.Diff(GratuitousARP(nil, mac4, vip4), GratuitousARP(nil, mac4, four)); diff != "" {
		t.Errorf("of IPv4 in IPv6:\n%s", diff)
	}
	zoned := NeighborAdvertisement(nil, mac6, local6.WithZone("eth0"))
	if diff := cmp.Diff(NeighborAdvertisement(nil, mac6, local6), zoned); diff != "" {
		t.Errorf("with a zone:\n%s", diff)
	}
	if got := Advert([]byte("kept"), mac4, src4, group4, packet(t, src4)); string(got[:4]) != "kept" ||
		!cmp.Equal(got[4:], Advert(nil, mac4, src4, group4, packet(t, src4))) {
		t.Errorf("appended: %x", got)
	}
}

func TestNoAllocs(t *testing.T) {
	b := make([]byte, 0, MaxLen)
	four, six := packet(t, src4), packet(t, src6)
	if n := testing.AllocsPerRun(100, func() {
		b = GratuitousARP(b[:0], mac4, vip4)
		b = NeighborAdvertisement(b[:0], mac6, vip6)
		b = Advert(b[:0], mac4, src4, group4, four)
		b = Advert(b[:0], mac6, src6, group6, six)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if cap(b) != MaxLen {
		t.Errorf("%d bytes were too few", MaxLen)
	}
}

func BenchmarkNeighborAdvertisement(b *testing.B) {
	buf := make([]byte, 0, MaxLen)
	b.ReportAllocs()
	for b.Loop() {
		buf = NeighborAdvertisement(buf[:0], mac6, vip6)
	}
}
