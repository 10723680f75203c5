// Package proxyproto reads and writes the PROXY protocol, versions 1 and 2
// (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), by which a proxy tells a server whose connection it
// carries.
//
// Parse and Header.Append are pure: bytes in, bytes out. Listener reads the header of every connection from a trusted
// peer, in the goroutine that first uses the connection. Whoever may send a header may claim any address, so nothing is
// read from peers that are not named as trusted.
package proxyproto

import (
	"bytes"
	"errors"
	"net"
	"net/netip"

	"github.com/everup/everup/shared/fault"
)

// MaxLen is the longest header that is read, in bytes. Version 2 would allow 64 KiB; senders need a few hundred.
const MaxLen = 4096

// ErrShort is returned by Parse for a valid beginning of a header: more bytes are needed.
var ErrShort = errors.New("proxyproto: header is not complete")

// ErrNone is returned by Parse for what is not even the beginning of a header. It is fault.Invalid.
var ErrNone = fault.New(fault.Invalid, "proxyproto: no header")

// Transport is what the proxied connection runs over.
type Transport uint8

// The transports. Version 1 knows only TCP.
const (
	Unspecified Transport = iota
	TCP
	UDP
	UnixStream
	UnixDatagram
)

// Header is what a proxy says about a connection.
type Header struct {
	Version     int  // 1 or 2
	Local       bool // LOCAL or UNKNOWN: the connection's own addresses count, all below is empty
	Transport   Transport
	Source      netip.AddrPort // the client, of TCP and UDP; never an IPv4 address in IPv6 form
	Destination netip.AddrPort // where the client connected to
	SourcePath  string         // of the unix transports, up to 108 bytes
	DestPath    string
	TLVs        []TLV // of version 2, without the checksum and padding
	Checksum    bool  // of version 2: a CRC32C was there and matched, or is to be written
}

// TLV is an additional field of a version 2 header.
type TLV struct {
	Type  byte
	Value []byte
}

// The registered types of TLV.
const (
	TypeALPN      = 0x01
	TypeAuthority = 0x02 // the host name that the client asked for, from SNI
	typeCRC32C    = 0x03
	typeNoop      = 0x04
	TypeUniqueID  = 0x05
	TypeSSL       = 0x20
	TypeNetNS     = 0x30
)

// TLV returns the value of the first field of type t.
func (h *Header) TLV(t byte) ([]byte, bool) {
	for _, f := range h.TLVs {
		if f.Type == t {
			return f.Value, true
		}
	}
	return nil, false
}

// RemoteAddr returns the client's address, nil where the header carries none.
func (h *Header) RemoteAddr() net.Addr { return h.addr(h.Source, h.SourcePath) }

// LocalAddr returns the address that the client connected to, nil where the header carries none.
func (h *Header) LocalAddr() net.Addr { return h.addr(h.Destination, h.DestPath) }

func (h *Header) addr(ap netip.AddrPort, path string) net.Addr {
	switch h.Transport {
	case TCP:
		return net.TCPAddrFromAddrPort(ap)
	case UDP:
		return net.UDPAddrFromAddrPort(ap)
	case UnixStream:
		return &net.UnixAddr{Name: path, Net: "unix"}
	case UnixDatagram:
		return &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	return nil
}

// Parse reads a header of either version from the beginning of b and returns how many bytes it took; what follows is the
// client's. It keeps no part of b. ErrShort means that b may become a header; fault.Invalid that it will not, fault.Full
// that the header is longer than MaxLen, fault.Corrupt that its checksum is wrong.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case hasStart(b, signature2):
		return parse2(b)
	case hasStart(b, signature1):
		return parse1(b)
	}
	return Header{}, 0, ErrNone
}

// hasStart tells whether b and prefix agree as far as both go.
func hasStart(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return bytes.Equal(b[:n], []byte(prefix[:n]))
}

// Append appends the header to b. fault.Invalid where the addresses do not suit the transport, a path is longer than 108
// bytes, or all is longer than MaxLen. In version 1, what is not TCP is written as UNKNOWN.
func (h *Header) Append(b []byte) ([]byte, error) {
	switch h.Version {
	case 1:
		return h.append1(b)
	case 2:
		return h.append2(b)
	}
	return b, fault.New(fault.Invalid, "proxyproto: version %d", h.Version)
}

// family brings both addresses to one family: IPv4 where both are, else IPv6.
func (h *Header) family() (src, dst netip.AddrPort, v6 bool, err error) {
	src, dst = unmap(h.Source), unmap(h.Destination)
	if !src.IsValid() || !dst.IsValid() {
		return src, dst, false, fault.New(fault.Invalid, "proxyproto: source or destination is missing")
	}
	v6 = src.Addr().Is6() || dst.Addr().Is6()
	return src, dst, v6, nil
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
