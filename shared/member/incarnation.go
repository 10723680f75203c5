package member

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlist begins every process at incarnation 1 and offers no way to begin elsewhere. A restarted member whose old
// death, with a higher incarnation, still goes round would then be held for dead by all who heard that, until somebody
// happens to tell it. So each process here begins above all incarnations that earlier ones may have used: the
// greater of what the snapshot reserved and the seconds since incarnationEpoch (which serves where there is no snapshot). It
// gets there by memberlist's own rule: it is handed the rumour that it died at that incarnation, and refutes it.
var incarnationEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// startIncarnation returns where this process begins. Numbers near the end of the range start anew from the clock; the
// refutation of what others remember then takes one exchange more.
func startIncarnation(reserved uint32, now time.Time) uint32 {
	clock := uint32(max(now.Sub(incarnationEpoch)/time.Second, 1))
	if reserved > 1<<32-1<<20 {
		return clock
	}
	return max(reserved, clock)
}

// rumour returns the packet that tells memberlist of its own death at an incarnation, as a member would send it.
func rumour(id ID, incarnation uint32, label string, key []byte, now time.Time) (*memberlist.Packet, error) {
	const deadMsg = 5
	msg := []byte{deadMsg, 0x83} // a map of three
	msg = appendText(msg, "Incarnation")
	msg = binary.BigEndian.AppendUint32(append(msg, 0xce), incarnation)
	msg = appendText(msg, "Node")
	msg = appendText(msg, string(id))
	msg = appendText(msg, "From")
	msg = appendText(msg, string(id)+"#start")
	msg, err := seal(msg, label, key)
	if err != nil {
		return nil, err
	}
	if msg, err = memberlist.AddLabelHeaderToPacket(msg, label); err != nil {
		return nil, err
	}
	return &memberlist.Packet{Buf: msg, From: &net.UDPAddr{IP: net.IPv6loopback}, Timestamp: now}, nil
}

// appendText appends a string in MessagePack's form with a 16-bit length.
func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(s)))
	return append(b, s...)
}

// seal encrypts as memberlist does in its encryption version 1; without a key it does nothing.
func seal(msg []byte, label string, key []byte) ([]byte, error) {
	if key == nil {
		return msg, nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+gcm.NonceSize(), 1+gcm.NonceSize()+len(msg)+gcm.Overhead())
	out[0] = 1
	rand.Read(out[1:])
	return gcm.Seal(out, out[1:], msg, []byte(label)), nil
}
