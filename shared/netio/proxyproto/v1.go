package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

const (
	signature1 = "PROXY "
	maxLen1    = 107 // with CR LF, as the specification counts it
)

// parse1 reads "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".
func parse1(b []byte) (Header, int, error) {
	end := bytes.Index(b[:min(len(b), maxLen1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxLen1 {
			return Header{}, 0, fault.New(fault.Invalid, "proxyproto: a line of version 1 longer than %d bytes", maxLen1)
		}
		return Header{}, 0, ErrShort
	}
	h, err := parseLine(strings.Split(string(b[len(signature1):end]), " "))
	if err != nil {
		return Header{}, 0, err
	}
	return h, end + 2, nil
}

func parseLine(f []string) (Header, error) {
	if f[0] == "UNKNOWN" {
		return Header{Version: 1, Local: true}, nil
	}
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return Header{}, fault.New(fault.Invalid, "proxyproto: a line of version 1 with protocol %q and %d fields", f[0], len(f))
	}
	src, err1 := parseAddr(f[0], f[1], f[3])
	dst, err2 := parseAddr(f[0], f[2], f[4])
	if err1 != nil || err2 != nil {
		return Header{}, fault.New(fault.Invalid, "proxyproto: bad address in a line of version 1")
	}
	return Header{Version: 1, Transport: TCP, Source: src, Destination: dst}, nil
}

func parseAddr(proto, host, port string) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() != (proto == "TCP4") || ip.Zone() != "" {
		return netip.AddrPort{}, strconv.ErrSyntax
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port != strconv.FormatUint(p, 10) {
		return netip.AddrPort{}, strconv.ErrSyntax
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(p)), nil
}

func (h *Header) append1(b []byte) ([]byte, error) {
	if h.Local || h.Transport != TCP {
		return append(b, "PROXY UNKNOWN\r\n"...), nil
	}
	src, dst, v6, err := h.family()
	if err != nil {
		return b, err
	}
	proto, text := "TCP4", netip.Addr.String
	if v6 {
		proto, text = "TCP6", mapped
	}
	line := []string{"PROXY", proto, text(src.Addr()), text(dst.Addr()),
		strconv.Itoa(int(src.Port())), strconv.Itoa(int(dst.Port()))}
	return append(append(b, strings.Join(line, " ")...), "\r\n"...), nil
}

// mapped writes an IPv4 address in IPv6 form.
func mapped(ip netip.Addr) string { return netip.AddrFrom16(ip.As16()).String() }
