package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// Protocol is VRRP's number in the IP header.
const Protocol = 112

// Checksum is the form of a packet's checksum. Only version 3 over IPv4 has a choice: RFC 9568 section 5.2.8 sums the
// message alone, and so do several makers of routers; keepalived, which read RFC 5798 otherwise, sums a pseudo-header
// too, and takes nothing else.
type Checksum uint8

// The forms.
const (
	ChecksumFixed   Checksum = iota // version 2 and IPv6: there is one form only
	ChecksumMessage                 // the message alone
	ChecksumPseudo                  // with source, destination, protocol and length before it
	ChecksumEither                  // both forms are the same for these addresses: nothing is learned
)

// String returns the form as a configuration writes it.
func (c Checksum) String() string {
	return [...]string{"fixed", "rfc9568", "pseudo", "either"}[c&3]
}

// Habit is the form of the checksum to send to a peer, or to a multicast group: a fixed one, or the last one heard. The
// zero value learns, and begins with RFC 9568's.
type Habit struct {
	Fixed Checksum // ChecksumMessage or ChecksumPseudo; else what is learned is used

	learned Checksum
}

// Learn takes in the form of an accepted packet. It reports whether the form to send, or that of the peers, is now
// another: with two peers on one multicast group that repeats itself if they differ, and no form suits both.
func (h *Habit) Learn(c Checksum) (changed bool) {
	if c != ChecksumMessage && c != ChecksumPseudo || c == h.learned {
		return false
	}
	changed = h.learned != ChecksumFixed || c != ChecksumMessage
	h.learned = c
	return changed
}

// Heard returns the form last heard, ChecksumFixed if none.
func (h *Habit) Heard() Checksum { return h.learned }

// Send returns the form to send.
func (h *Habit) Send() Checksum {
	switch {
	case h.Fixed == ChecksumMessage || h.Fixed == ChecksumPseudo:
		return h.Fixed
	case h.learned == ChecksumPseudo:
		return ChecksumPseudo
	}
	return ChecksumMessage
}

// sum adds the 16-bit words of b to a one's complement sum that is folded later. Of an odd length the last byte counts
// as the high half of a word.
func sum(acc uint64, b []byte) uint64 {
	for ; len(b) >= 8; b = b[8:] {
		v := binary.BigEndian.Uint64(b)
		acc += v>>48 + v>>32&0xffff + v>>16&0xffff + v&0xffff
	}
	for ; len(b) >= 2; b = b[2:] {
		acc += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		acc += uint64(b[0]) << 8
	}
	return acc
}

// fold returns the sum in 16 bits.
func fold(acc uint64) uint16 {
	for acc > 0xffff {
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

// pseudo returns the sum of the pseudo-header: that of RFC 8200 section 8.1 for IPv6, that of UDP for IPv4. Their
// words are the same but for the width of the addresses.
func pseudo(src, dst netip.Addr, length int) uint64 {
	acc := uint64(length) + Protocol
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return sum(sum(acc, s[:]), d[:])
	}
	s, d := src.As16(), dst.As16()
	return sum(sum(acc, s[:]), d[:])
}

// checksumForm returns in what form the checksum of the message b is right.
func checksumForm(b []byte, v Version, src, dst netip.Addr) (form Checksum, ok bool) {
	const right = 0xffff // a sum that includes its own complement
	message := sum(0, b)
	if v == V2 {
		return ChecksumFixed, fold(message) == right
	}
	with := fold(message+pseudo(src, dst, len(b))) == right
	if src.Is6() {
		return ChecksumFixed, with
	}
	alone := fold(message) == right
	switch {
	case alone && with:
		return ChecksumEither, true
	case alone:
		return ChecksumMessage, true
	}
	return ChecksumPseudo, with
}
