package udp

import (
	"bytes"
	"encoding/binary"
)

const (
	frameLen = 8
	// datagram is the longest that is sent, payload what of it is not frame; as in memcached.
	datagram = 1400
	payload  = datagram - frameLen
	// ipUDP is what the headers of IPv4 and UDP add to a datagram.
	ipUDP = 28
)

// Frame is the head of each datagram.
type Frame struct{ ID, Seq, Total, Reserved uint16 }

// parseFrame takes the frame off b; ok is false when b is too short for one.
func parseFrame(b []byte) (f Frame, rest []byte, ok bool) {
	if len(b) < frameLen {
		return f, nil, false
	}
	be := binary.BigEndian
	return Frame{be.Uint16(b), be.Uint16(b[2:]), be.Uint16(b[4:]), be.Uint16(b[6:])}, b[frameLen:], true
}

// put writes the frame to b.
func (f Frame) put(b *[frameLen]byte) {
	be := binary.BigEndian
	be.PutUint16(b[:], f.ID)
	be.PutUint16(b[2:], f.Seq)
	be.PutUint16(b[4:], f.Total)
	be.PutUint16(b[6:], f.Reserved)
}

// datagrams is how many an answer of n bytes is cut into.
func datagrams(n int) int { return (n + payload - 1) / payload }

// weight is what an answer of n bytes puts on the wire, and a request with n bytes behind its frame.
func weight(n int) int { return n + max(datagrams(n), 1)*(frameLen+ipUDP) }

// getsOnly reports whether b is what strangers may send: one line of get or gets, or whole binary packets that read.
func getsOnly(b []byte) bool {
	if len(b) > 0 && b[0] == binaryRequest {
		return readsOnly(b)
	}
	return (bytes.HasPrefix(b, []byte("get ")) || bytes.HasPrefix(b, []byte("gets "))) && bytes.IndexByte(b, '\n') == len(b)-1
}

const (
	binaryRequest   = 0x80
	binaryResponse  = 0x81
	binaryHeaderLen = 24
)

// readsOnly reports whether b is binary packets that read, and nothing else.
func readsOnly(b []byte) bool {
	for len(b) > 0 {
		if len(b) < binaryHeaderLen || b[0] != binaryRequest {
			return false
		}
		switch b[1] {
		case 0x00, 0x09, 0x0c, 0x0d, 0x0a: // Get, GetQ, GetK, GetKQ, no-op
		default:
			return false
		}
		body := binary.BigEndian.Uint32(b[8:])
		if uint64(body) > uint64(len(b)-binaryHeaderLen) {
			return false
		}
		b = b[binaryHeaderLen+body:]
	}
	return true
}
