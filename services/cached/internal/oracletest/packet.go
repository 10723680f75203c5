package oracletest

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// headerLength is the length of a binary packet's header.
const headerLength = 24

// Packet is a binary request or response. The lengths of a hostile one differ from what it holds: see Lie.
type Packet struct {
	Magic, Opcode byte
	DataType      byte
	Status        uint16 // of a request: the vbucket
	Opaque        uint32
	CAS           uint64
	Extras        []byte
	Key, Value    []byte

	Lie *Lengths // the header's lengths where they are not the true ones
}

// Lengths are a header's: of the key, of the extras and of extras, key and value together.
type Lengths struct {
	Key    uint16
	Extras byte
	Body   uint32
}

// Append appends the packet's bytes to b.
func (p Packet) Append(b []byte) []byte {
	l := Lengths{uint16(len(p.Key)), byte(len(p.Extras)), uint32(len(p.Extras) + len(p.Key) + len(p.Value))}
	if p.Lie != nil {
		l = *p.Lie
	}
	b = append(b, p.Magic, p.Opcode)
	b = binary.BigEndian.AppendUint16(b, l.Key)
	b = append(b, l.Extras, p.DataType)
	b = binary.BigEndian.AppendUint16(b, p.Status)
	b = binary.BigEndian.AppendUint32(b, l.Body)
	b = binary.BigEndian.AppendUint32(b, p.Opaque)
	b = binary.BigEndian.AppendUint64(b, p.CAS)
	return append(append(append(b, p.Extras...), p.Key...), p.Value...)
}

// size is how many bytes the packet has when it does not lie.
func (p Packet) size() int { return headerLength + len(p.Extras) + len(p.Key) + len(p.Value) }

// cutPacket takes the first packet of b by the lengths in its header; ok says that it is there as a whole.
func cutPacket(b []byte) (p Packet, size int, ok bool) {
	if len(b) < headerLength {
		return Packet{}, 0, false
	}
	be := binary.BigEndian
	l := Lengths{be.Uint16(b[2:]), b[4], be.Uint32(b[8:])}
	size = headerLength + int(l.Body)
	if len(b) < size || uint32(l.Key)+uint32(l.Extras) > l.Body {
		return Packet{}, 0, false
	}
	p = Packet{Magic: b[0], Opcode: b[1], DataType: b[5], Status: be.Uint16(b[6:]), Opaque: be.Uint32(b[12:]), CAS: be.Uint64(b[16:])}
	body := b[headerLength:size]
	p.Extras, body = body[:l.Extras], body[l.Extras:]
	p.Key, p.Value = body[:l.Key], body[l.Key:]
	return p, size, true
}

// packetLines writes binary bytes as lines of a golden file, a packet each as far as they are packets.
func packetLines(b []byte) (lines []string) {
	for len(b) > 0 {
		p, size, ok := cutPacket(b)
		if !ok {
			return append(lines, hexes(b)+"  # no packet")
		}
		h := b[:headerLength]
		s := fmt.Sprintf("%x %x %x %x %x %x %x %x %x", h[:1], h[1:2], h[2:4], h[4:5], h[5:6], h[6:8], h[8:12], h[12:16], h[16:])
		for _, part := range [][]byte{p.Extras, p.Key, p.Value} {
			if size > headerLength {
				s += " | " + hexes(part)
			}
		}
		lines = append(lines, strings.TrimRight(s, " ")+"  # "+p.String())
		b = b[size:]
	}
	return lines
}

// opcodes are the names of the binary protocol's commands.
var opcodes = [...]string{
	0x00: "Get", 0x01: "Set", 0x02: "Add", 0x03: "Replace", 0x04: "Delete", 0x05: "Incr", 0x06: "Decr", 0x07: "Quit",
	0x08: "Flush", 0x09: "GetQ", 0x0a: "NoOp", 0x0b: "Version", 0x0c: "GetK", 0x0d: "GetKQ", 0x0e: "Append", 0x0f: "Prepend",
	0x10: "Stat", 0x11: "SetQ", 0x12: "AddQ", 0x13: "ReplaceQ", 0x14: "DeleteQ", 0x15: "IncrQ", 0x16: "DecrQ", 0x17: "QuitQ",
	0x18: "FlushQ", 0x19: "AppendQ", 0x1a: "PrependQ", 0x1c: "Touch", 0x1d: "GAT", 0x1e: "GATQ", 0x20: "SASLList",
	0x21: "SASLAuth", 0x22: "SASLStep", 0x23: "GATK", 0x24: "GATKQ",
}

// String tells a packet for people.
func (p Packet) String() string {
	name := ""
	if int(p.Opcode) < len(opcodes) {
		name = opcodes[p.Opcode]
	}
	if name == "" {
		name = fmt.Sprintf("opcode %#02x", p.Opcode)
	}
	var s strings.Builder
	s.WriteString(name)
	if p.Status != 0 {
		fmt.Fprintf(&s, " status=%#02x", p.Status)
	}
	if p.CAS != 0 {
		fmt.Fprintf(&s, " cas=%d", p.CAS)
	}
	if len(p.Extras) > 0 {
		fmt.Fprintf(&s, " extras=%x", p.Extras)
	}
	if len(p.Key) > 0 {
		fmt.Fprintf(&s, " key=%s", escape(p.Key))
	}
	if len(p.Value) > 0 {
		fmt.Fprintf(&s, " value=%s", escape(p.Value))
	}
	return s.String()
}
