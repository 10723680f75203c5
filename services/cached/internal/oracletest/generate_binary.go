package oracletest

import (
	"encoding/binary"
	"strconv"
)

// Opcodes that a generator must not use: those of statistics, and what ends the conversation is rare.
const (
	opStat  = 0x10
	opQuit  = 0x07
	opQuitQ = 0x17
)

func (g *generator) packet() []byte {
	p := Packet{Magic: 0x80, Opcode: g.opcode(), Opaque: g.r.Uint32(), Key: []byte(g.binaryKey())}
	g.body(&p)
	if g.chance(10) {
		p.CAS = uint64(g.r.IntN(4))
	}
	if !g.hostile && g.chance(30) {
		p.CAS = binary.BigEndian.Uint64([]byte(uniquePlace))
	}
	if g.hostile {
		g.lie(&p)
	}
	return p.Append(nil)
}

func (g *generator) opcode() byte {
	for {
		op := byte(g.r.IntN(0x26))
		if g.chance(50) {
			op = pick[byte](g, 0, 1, 1, 1, 0x11, 4, 5, 0xa)
		}
		switch {
		case op == opStat, (op == opQuit || op == opQuitQ) && !g.chance(5):
		case !g.hostile && (op == 0x1b || op == 0x1f || op >= 0x20 && op <= 0x22 || op == 0x25):
			// memcached swallows the body of an unknown command twice, and SASL is off: no whole command follows
		default:
			return op
		}
	}
}

func (g *generator) binaryKey() string {
	switch g.r.IntN(25) {
	case 0:
		return ""
	case 1:
		return "\x00\r\n "
	}
	k := g.key()
	return k
}

// body fills in what the opcode wants.
func (g *generator) body(p *Packet) {
	be := binary.BigEndian
	exp := pick[uint32](g, 0, 0, 0, 0, 100, 1000, 0xffffffff, 2592001, 0x7fffffff)
	switch p.Opcode {
	case 0x01, 0x02, 0x03, 0x11, 0x12, 0x13: // set, add, replace
		p.Extras = be.AppendUint32(be.AppendUint32(nil, g.r.Uint32()), exp)
		p.Value = []byte(g.value())
	case 0x0e, 0x0f, 0x19, 0x1a: // append, prepend
		p.Value = []byte(g.value())
	case 0x05, 0x06, 0x15, 0x16: // incr, decr
		n, _ := strconv.ParseUint(g.number(), 10, 64)
		p.Extras = be.AppendUint64(nil, n)
		n, _ = strconv.ParseUint(g.number(), 10, 64)
		p.Extras = be.AppendUint32(be.AppendUint64(p.Extras, n), exp)
	case 0x1c, 0x1d, 0x1e, 0x23, 0x24: // touch, gat
		p.Extras = be.AppendUint32(nil, exp)
	case 0x08, 0x18: // flush
		p.Key = nil
		if g.chance(50) {
			p.Extras = make([]byte, 4)
		}
	case 0x07, 0x0a, 0x0b, 0x17, 0x20: // quit, noop, version, SASL list
		p.Key = nil
	case 0x21, 0x22:
		p.Key, p.Value = []byte("PLAIN"), []byte("\x00u\x00p")
	}
}

// lie bends some packets.
func (g *generator) lie(p *Packet) {
	if g.chance(85) {
		return
	}
	l := Lengths{uint16(len(p.Key)), byte(len(p.Extras)), uint32(len(p.Extras) + len(p.Key) + len(p.Value))}
	switch g.r.IntN(9) {
	case 0:
		l.Key = pick[uint16](g, 0, 1, 5, 250, 251, 65535)
	case 1:
		l.Extras = pick[byte](g, 0, 1, 4, 8, 20, 255)
	case 2:
		l.Body = pick[uint32](g, 0, 1, 5, 1<<20, 1<<31-1, 1<<31, 1<<32-1)
	case 3:
		l.Body += uint32(g.r.IntN(5)) - 2
	case 4:
		p.Extras = append(p.Extras, make([]byte, g.r.IntN(9))...)
	case 5:
		p.Extras = nil
	case 6:
		p.Value = append(p.Value, "more"...)
	case 7:
		p.Magic = byte(g.r.IntN(256))
	case 8:
		p.DataType, p.Status = byte(g.r.IntN(3)), uint16(g.r.IntN(3))
	}
	if p.Key == nil && g.chance(10) {
		p.Key = []byte("a")
	}
	if g.chance(60) {
		p.Lie = &l
	}
}
