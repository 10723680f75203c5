package proxyproto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const sig = "0d0a0d0a000d0a515549540a" // the signature of version 2

var compare = []cmp.Option{cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.EquateEmpty()}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// golden are headers as other implementations write them, by the specification, with what they mean.
var golden = []struct {
	name, hex string
	want      Header
}{
	{"v1 tcp4", text("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"),
		Header{Version: 1, Transport: TCP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:443")}},
	{"v1 tcp6", text("PROXY TCP6 2001:db8::1 2001:db8::2 65535 1\r\n"),
		Header{Version: 1, Transport: TCP, Source: ap("[2001:db8::1]:65535"), Destination: ap("[2001:db8::2]:1")}},
	{"v1 unknown", text("PROXY UNKNOWN\r\n"), Header{Version: 1, Local: true}},
	{"v2 local", sig + "20000000", Header{Version: 2, Local: true}},
	{"v2 tcp4", sig + "2111000c" + "c0000201" + "c6336407" + "dc0401bb",
		Header{Version: 2, Transport: TCP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:443")}},
	{"v2 udp4", sig + "2112000c" + "c0000201" + "c6336407" + "dc040035",
		Header{Version: 2, Transport: UDP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:53")}},
	{"v2 tcp6", sig + "21210024" + "20010db8000000000000000000000001" + "20010db8000000000000000000000002" + "ffff0001",
		Header{Version: 2, Transport: TCP, Source: ap("[2001:db8::1]:65535"), Destination: ap("[2001:db8::2]:1")}},
	{"v2 unix", sig + "213100d8" + pad(hex.EncodeToString([]byte("/run/a.sock"))) + pad("00"+hex.EncodeToString([]byte("abstract"))),
		Header{Version: 2, Transport: UnixStream, SourcePath: "/run/a.sock", DestPath: "@abstract"}},
	{"v2 tlv", sig + "21110020" + "c0000201" + "c6336407" + "dc0401bb" + "01 0002 6832" + "02 0009 612e6578616d706c65" + "EE 0000",
		Header{Version: 2, Transport: TCP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:443"),
			TLVs: []TLV{{TypeALPN, []byte("h2")}, {TypeAuthority, []byte("a.example")}, {0xEE, nil}}}},
	// The checksum was computed bit by bit from the polynomial, not with hash/crc32.
	{"v2 crc32c", sig + "21110013" + "c0000201" + "c6336407" + "dc0401bb" + "03 0004 " + bitwise(sig+"21110013"+"c0000201"+"c6336407"+"dc0401bb"+"03000400000000"),
		Header{Version: 2, Transport: TCP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:443"), Checksum: true}},
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

func pad(h string) string { return h + strings.Repeat("00", pathLen-len(h)/2) }

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// bitwise is the CRC32C of RFC 3720 B.4, one bit at a time.
func bitwise(h string) string {
	crc := ^uint32(0)
	for _, b := range unhex(h) {
		crc ^= uint32(b)
		for range 8 {
			crc = crc>>1 ^ 0x82F63B78*(crc&1)
		}
	}
	crc = ^crc
	return hex.EncodeToString([]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)})
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			wire := unhex(tt.hex)
			got, n, err := Parse(append(bytes.Clone(wire), "GET / HTTP/1.1"...))
			if err != nil || n != len(wire) {
				t.Fatalf("Parse: took %d of %d bytes, %v", n, len(wire), err)
			}
			if d := cmp.Diff(tt.want, got, compare...); d != "" {
				t.Errorf("header (-want +got):\n%s", d)
			}
			again, err := tt.want.Append([]byte("before"))
			if err != nil || !bytes.Equal(again, append([]byte("before"), wire...)) {
				t.Errorf("Append: %x, %v\nwant %x", again, err, wire)
			}
			for i := range wire {
				if _, n, err := Parse(wire[:i]); err != ErrShort || n != 0 {
					t.Fatalf("Parse of the first %d bytes: %d, %v; want ErrShort", i, n, err)
				}
			}
		})
	}
}

func TestParseTolerates(t *testing.T) {
	tests := []struct {
		name, hex string
		want      Header
	}{
		{"v1 unknown with anything", text("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Header{Version: 1, Local: true}},
		{"v1 a mapped address is IPv4", text("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"),
			Header{Version: 1, Transport: TCP, Source: ap("192.0.2.1:1"), Destination: ap("[2001:db8::2]:2")}},
		{"v2 local with addresses and rubbish", sig + "2011000e" + "c0000201c6336407dc0401bb" + "ffff", Header{Version: 2, Local: true}},
		{"v2 unspecified family", sig + "21000003" + "ffffff", Header{Version: 2, Local: true}},
		{"v2 unknown family", sig + "21f10002" + "ffff", Header{Version: 2, Local: true}},
		{"v2 padding", sig + "21110011" + "c0000201c6336407dc0401bb" + "04 0002 0000",
			Header{Version: 2, Transport: TCP, Source: ap("192.0.2.1:56324"), Destination: ap("198.51.100.7:443")}},
	}
	for _, tt := range tests {
		got, n, err := Parse(unhex(tt.hex))
		if d := cmp.Diff(tt.want, got, compare...); err != nil || d != "" || n != len(unhex(tt.hex)) {
			t.Errorf("%s: took %d, %v (-want +got):\n%s", tt.name, n, err, d)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	v4 := "c0000201c6336407dc0401bb"
	tests := []struct {
		name, hex string
		want      fault.Class
	}{
		{"no header", text("GET / HTTP/1.1\r\n"), fault.Invalid},
		{"nearly version 2", "0d0a0d0a000d0a515549540b", fault.Invalid},
		{"v1 endless", text("PROXY TCP4 " + strings.Repeat("1", 200)), fault.Invalid},
		{"v1 line too long", text("PROXY UNKNOWN " + strings.Repeat("1", 92) + "\r\n"), fault.Invalid},
		{"v1 lower case", text("PROXY tcp4 1.1.1.1 1.1.1.1 1 1\r\n"), fault.Invalid},
		{"v1 family differs", text("PROXY TCP4 ::1 ::1 1 1\r\n"), fault.Invalid},
		{"v1 IPv4 as TCP6", text("PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n"), fault.Invalid},
		{"v1 zone", text("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"), fault.Invalid},
		{"v1 two spaces", text("PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n"), fault.Invalid},
		{"v1 leading zero", text("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"), fault.Invalid},
		{"v1 signed port", text("PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n"), fault.Invalid},
		{"v1 port too large", text("PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n"), fault.Invalid},
		{"v1 bare line feed", text("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\nx\r\n"), fault.Invalid},
		{"v2 another version", sig + "31110000", fault.Invalid},
		{"v2 another command", sig + "22110000", fault.Invalid},
		{"v2 too long", sig + "2111ffff", fault.Full},
		{"v2 addresses cut", sig + "2111000b" + v4[:22], fault.Invalid},
		{"v2 field cut", sig + "2111000e" + v4 + "0100", fault.Invalid},
		{"v2 field too long", sig + "2111000f" + v4 + "010001", fault.Invalid},
		{"v2 wrong checksum", sig + "21110013" + v4 + "030004" + "00000000", fault.Corrupt},
		{"v2 short checksum", sig + "21110012" + v4 + "030003" + "000000", fault.Invalid},
	}
	for _, tt := range tests {
		if _, n, err := Parse(unhex(tt.hex)); fault.Of(err) != tt.want || n != 0 || errors.Is(err, ErrShort) {
			t.Errorf("%s: took %d, %v; want %v", tt.name, n, err, tt.want)
		}
	}
}

func TestAppend(t *testing.T) {
	mixed := Header{Version: 1, Transport: TCP, Source: ap("192.0.2.1:1"), Destination: ap("[2001:db8::2]:2")}
	if b, err := mixed.Append(nil); err != nil || string(b) != "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n" {
		t.Errorf("two families: %q, %v", b, err)
	}
	udp := Header{Version: 1, Transport: UDP, Source: ap("192.0.2.1:1"), Destination: ap("192.0.2.1:1")}
	if b, err := udp.Append(nil); err != nil || string(b) != "PROXY UNKNOWN\r\n" {
		t.Errorf("UDP in version 1: %q, %v", b, err)
	}
	for name, h := range map[string]Header{
		"version":      {Version: 3},
		"no addresses": {Version: 2, Transport: TCP},
		"no transport": {Version: 2},
		"long path":    {Version: 2, Transport: UnixStream, SourcePath: strings.Repeat("x", 109)},
		"long field":   {Version: 2, Transport: UnixStream, TLVs: []TLV{{TypeUniqueID, make([]byte, MaxLen)}}},
		"own checksum": {Version: 2, Transport: UnixStream, TLVs: []TLV{{typeCRC32C, nil}}},
	} {
		if b, err := h.Append([]byte("x")); !errors.Is(err, fault.Invalid) || string(b) != "x" {
			t.Errorf("%s: %q, %v; want fault.Invalid and nothing appended", name, b, err)
		}
	}
}

func TestTLV(t *testing.T) {
	h := golden[8].want
	if v, ok := h.TLV(TypeAuthority); string(v) != "a.example" || !ok {
		t.Errorf("TLV(authority) = %q, %t", v, ok)
	}
	if v, ok := h.TLV(TypeNetNS); v != nil || ok {
		t.Errorf("TLV(netns) = %q, %t", v, ok)
	}
}

// What is parsed can be written, and then means the same.
func FuzzParse(f *testing.F) {
	for _, tt := range golden {
		f.Add(unhex(tt.hex))
	}
	f.Add([]byte("PROXY TCP4 1.1.1.1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if err != nil {
			if n != 0 || errors.Is(err, ErrShort) && len(b) >= MaxLen {
				t.Fatalf("took %d bytes with %v of %d", n, err, len(b))
			}
			return
		}
		if n <= 0 || n > len(b) || n > MaxLen {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		wire, err := h.Append(nil)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", h, err)
		}
		again, n, err := Parse(wire)
		if d := cmp.Diff(h, again, compare...); err != nil || n != len(wire) || d != "" {
			t.Fatalf("written and read again: %v\n%s", err, d)
		}
	})
}
