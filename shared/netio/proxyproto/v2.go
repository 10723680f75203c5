package proxyproto

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"

	"github.com/everup/everup/shared/fault"
)

const (
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	fixedLen   = 16  // signature, version and command, family and transport, length
	pathLen    = 108 // of each unix address
)

// Address families, in the upper half of the 14th byte.
const (
	afInet  = 1
	afInet6 = 2
	afUnix  = 3
)

func parse2(b []byte) (Header, int, error) {
	if len(b) < fixedLen {
		return Header{}, 0, ErrShort
	}
	n := fixedLen + int(binary.BigEndian.Uint16(b[14:]))
	switch {
	case b[12]>>4 != 2 || b[12]&15 > 1:
		return Header{}, 0, fault.New(fault.Invalid, "proxyproto: version and command %#02x", b[12])
	case n > MaxLen:
		return Header{}, 0, fault.New(fault.Full, "proxyproto: a header of %d bytes, at most %d are read", n, MaxLen)
	case len(b) < n:
		return Header{}, 0, ErrShort
	}
	h := Header{Version: 2}
	if b[12]&15 == 0 {
		h.Local = true // the rest is to be ignored
		return h, n, nil
	}
	tlvs, err := h.parseBlock(b[13], b[fixedLen:n])
	if err == nil && !h.Local {
		err = h.parseTLVs(b[:n], n-len(tlvs))
	}
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// parseBlock reads the addresses and returns what follows. Families and transports that are not known carry no address,
// as in LOCAL.
func (h *Header) parseBlock(kind byte, b []byte) (rest []byte, err error) {
	size := map[byte]int{afInet: 12, afInet6: 36, afUnix: 2 * pathLen}[kind>>4]
	transport := kind & 15
	if size == 0 || transport != 1 && transport != 2 {
		h.Local = true
		return nil, nil
	}
	if len(b) < size {
		return nil, fault.New(fault.Invalid, "proxyproto: %d bytes of addresses, %d are needed", len(b), size)
	}
	if kind>>4 == afUnix {
		h.Transport = UnixStream + Transport(transport-1)
		h.SourcePath, h.DestPath = path(b[:pathLen]), path(b[pathLen:size])
		return b[size:], nil
	}
	h.Transport = TCP + Transport(transport-1)
	half := (size - 4) / 2
	h.Source = addrPort(b[:half], b[2*half:])
	h.Destination = addrPort(b[half:2*half], b[2*half+2:])
	return b[size:], nil
}

func addrPort(ip, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip) // 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// path cuts the padding off; a name in the abstract space begins with a zero, shown as "@".
func path(b []byte) string {
	if b[0] == 0 {
		rest := bytes.TrimRight(b[1:], "\x00")
		if len(rest) == 0 {
			return ""
		}
		return "@" + string(rest)
	}
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// parseTLVs reads the fields of the whole header b from start on, and checks the checksum if there is one.
func (h *Header) parseTLVs(b []byte, start int) error {
	for i := start; i < len(b); {
		if len(b)-i < 3 {
			return fault.New(fault.Invalid, "proxyproto: cut field")
		}
		end := i + 3 + int(binary.BigEndian.Uint16(b[i+1:]))
		if end > len(b) {
			return fault.New(fault.Invalid, "proxyproto: field of type %#02x reaches past the header", b[i])
		}
		if err := h.addTLV(b, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

func (h *Header) addTLV(b []byte, i, end int) error {
	switch t, value := b[i], b[i+3:end]; t {
	case typeNoop:
	case typeCRC32C:
		if len(value) != 4 || h.Checksum {
			return fault.New(fault.Invalid, "proxyproto: a checksum of %d bytes, or two", len(value))
		}
		if sum(b, i+3) != binary.BigEndian.Uint32(value) {
			return fault.New(fault.Corrupt, "proxyproto: wrong checksum")
		}
		h.Checksum = true
	default:
		h.TLVs = append(h.TLVs, TLV{t, bytes.Clone(value)})
	}
	return nil
}

// sum is the CRC32C of the header b with zeros for the four bytes at i.
func sum(b []byte, i int) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	c := crc32.Update(0, t, b[:i])
	c = crc32.Update(c, t, make([]byte, 4))
	return crc32.Update(c, t, b[i+4:])
}

func (h *Header) append2(b []byte) ([]byte, error) {
	start := len(b)
	out := append(append([]byte(nil), b...), signature2...)
	out, err := h.appendBlock(out)
	if err != nil {
		return b, err
	}
	if !h.Local {
		out, err = h.appendTLVs(out)
	}
	if err == nil && len(out)-start > MaxLen {
		err = fault.New(fault.Invalid, "proxyproto: a header of %d bytes, at most %d", len(out)-start, MaxLen)
	}
	if err != nil {
		return b, err
	}
	binary.BigEndian.PutUint16(out[start+14:], uint16(len(out)-start-fixedLen))
	if h.Checksum && !h.Local {
		at := len(out) - 4 // appendTLVs has put it last
		binary.BigEndian.PutUint32(out[at:], sum(out[start:], at-start))
	}
	return out, nil
}

// appendBlock appends all from the command to the addresses; the length stays zero.
func (h *Header) appendBlock(b []byte) ([]byte, error) {
	if h.Local {
		return append(b, 0x20, 0, 0, 0), nil
	}
	switch h.Transport {
	case TCP, UDP:
		return h.appendInet(b, byte(1+h.Transport-TCP))
	case UnixStream, UnixDatagram:
		b = append(b, 0x21, afUnix<<4|byte(1+h.Transport-UnixStream), 0, 0)
		b, err := appendPath(b, h.SourcePath)
		if err != nil {
			return b, err
		}
		return appendPath(b, h.DestPath)
	}
	return b, fault.New(fault.Invalid, "proxyproto: transport %d", h.Transport)
}

func (h *Header) appendInet(b []byte, transport byte) ([]byte, error) {
	src, dst, v6, err := h.family()
	if err != nil {
		return b, err
	}
	if v6 {
		s, d := src.Addr().As16(), dst.Addr().As16()
		b = append(b, 0x21, afInet6<<4|transport, 0, 0)
		b = append(append(b, s[:]...), d[:]...)
	} else {
		b = append(b, 0x21, afInet<<4|transport, 0, 0)
		b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	}
	b = binary.BigEndian.AppendUint16(b, src.Port())
	return binary.BigEndian.AppendUint16(b, dst.Port()), nil
}

func appendPath(b []byte, p string) ([]byte, error) {
	if len(p) > pathLen {
		return b, fault.New(fault.Invalid, "proxyproto: a path of %d bytes, at most %d", len(p), pathLen)
	}
	var field [pathLen]byte
	copy(field[:], p)
	if len(p) > 1 && p[0] == '@' {
		field[0] = 0
	}
	return append(b, field[:]...), nil
}

func (h *Header) appendTLVs(b []byte) ([]byte, error) {
	for _, f := range h.TLVs {
		if f.Type == typeCRC32C || f.Type == typeNoop || len(f.Value) > MaxLen {
			return b, fault.New(fault.Invalid, "proxyproto: field of type %#02x and %d bytes", f.Type, len(f.Value))
		}
		b = append(b, f.Type)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(f.Value))), f.Value...)
	}
	if h.Checksum {
		b = append(b, typeCRC32C, 0, 4, 0, 0, 0, 0)
	}
	return b, nil
}
