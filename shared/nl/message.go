package nl

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Lengths of the headers, which are aligned to 4 bytes like all in a message.
const (
	headLen  = unix.SizeofNlMsghdr
	linkLen  = unix.SizeofIfInfomsg
	addrLen  = unix.SizeofIfAddrmsg
	routeLen = unix.SizeofRtMsg
	attrLen  = unix.SizeofRtAttr
)

// message is a netlink message in the buffer it was read into.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte // behind the header
}

// cut takes the first message off b; false if b does not begin with a whole one.
func cut(b []byte) (m message, rest []byte, ok bool) {
	if len(b) < headLen {
		return message{}, nil, false
	}
	n := uint64(binary.NativeEndian.Uint32(b))
	if n < headLen || n > uint64(len(b)) {
		return message{}, nil, false
	}
	m = message{
		kind:  binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		body:  b[headLen:n],
	}
	return m, b[min(align(int(n)), len(b)):], true
}

func align(n int) int { return (n + 3) &^ 3 }

// attrs returns the attributes in b by type, without the flags of the type. It ends before one that is not whole.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= attrLen {
			n := int(binary.NativeEndian.Uint16(b))
			if n < attrLen || n > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, b[attrLen:n]) {
				return
			}
			b = b[min(align(n), len(b)):]
		}
	}
}

// number returns a 32-bit value, 0 if it is of another length.
func number(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// text returns a string that a zero byte ends.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
