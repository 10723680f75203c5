package binary

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// packet is a request to be built; lengths that lie are given by the fields of that name.
type packet struct {
	op                    uint8
	opaque                uint32
	cas                   uint64
	ext, key, value       string
	keyLen, extLen, inAll int // 0: the true length; -1: 0
}

func (p packet) bytes() []byte {
	length := func(said, is int) int {
		switch {
		case said < 0:
			return 0
		case said > 0:
			return said
		}
		return is
	}
	b := []byte{Request, p.op}
	b = binary.BigEndian.AppendUint16(b, uint16(length(p.keyLen, len(p.key))))
	b = append(b, byte(length(p.extLen, len(p.ext))), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(length(p.inAll, len(p.ext)+len(p.key)+len(p.value))))
	b = binary.BigEndian.AppendUint32(b, p.opaque)
	b = binary.BigEndian.AppendUint64(b, p.cas)
	return append(b, p.ext+p.key+p.value...)
}

func concat(packets ...packet) (b []byte) {
	for _, p := range packets {
		b = append(b, p.bytes()...)
	}
	return b
}

func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
func u64(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func setPacket(key, value string) packet {
	return packet{op: opSet, key: key, value: value, ext: u32(0) + u32(0)}
}

// answer is an answer taken apart.
type answer struct {
	op     uint8
	status status
	opaque uint32
	cas    uint64
	ext    string
	key    string
	value  string
}

func (a answer) String() string {
	s := fmt.Sprintf("%02x", a.op)
	if a.status != 0 {
		s += fmt.Sprintf(" status=%02x", uint16(a.status))
	}
	if a.opaque != 0 {
		s += fmt.Sprintf(" opaque=%d", a.opaque)
	}
	if a.cas != 0 {
		s += fmt.Sprintf(" cas=%d", a.cas)
	}
	if a.ext != "" {
		s += fmt.Sprintf(" ext=%x", a.ext)
	}
	if a.key != "" {
		s += fmt.Sprintf(" key=%.300q", a.key)
	}
	if a.value != "" {
		s += fmt.Sprintf(" value=%.80q", a.value)
	}
	return s
}

// cut takes the first answer off b; ok is false when it is not whole or no answer.
func cut(b []byte) (a answer, rest []byte, ok bool) {
	if len(b) < headerLen || b[0] != response || b[5] != 0 {
		return a, b, false
	}
	be := binary.BigEndian
	keyLen, extLen, body := int(be.Uint16(b[2:])), int(b[4]), int(be.Uint32(b[8:]))
	if len(b) < headerLen+body || keyLen+extLen > body {
		return a, b, false
	}
	a = answer{op: b[1], status: status(be.Uint16(b[6:])), opaque: be.Uint32(b[12:]), cas: be.Uint64(b[16:])}
	all := string(b[headerLen : headerLen+body])
	a.ext, a.key, a.value = all[:extLen], all[extLen:extLen+keyLen], all[extLen+keyLen:]
	return a, b[headerLen+body:], true
}

// spell tells answers, one a line.
func spell(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		a, rest, ok := cut(b)
		if !ok {
			fmt.Fprintf(&s, "no answer: %.60x\n", b)
			break
		}
		fmt.Fprintln(&s, a)
		b = rest
	}
	return s.String()
}
