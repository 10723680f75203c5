package load

import (
	"encoding/binary"
	"strconv"
)

// Opcodes and constants of the binary protocol (memcached's doc/protocol-binary.txt) that the generator uses.
const (
	magicRequest  = 0x80
	magicResponse = 0x81
	opGet         = 0x00
	opSet         = 0x01
	opNoOp        = 0x0a
	opGetKQ       = 0x0d
	headerSize    = 24
)

// appendGet begins a get in the queue, draws its keys and appends its bytes.
func (t *part) appendGet(b []byte, q *pending, due int64) []byte {
	q.begin(true, due)
	n := t.keysLeft()
	if t.Protocol == Text {
		b = append(b, "get"...)
		for range n {
			id := t.key()
			q.addKey(id)
			b = appendKey(append(b, ' '), id, t.KeyLen)
		}
		return append(b, '\r', '\n')
	}
	for range n {
		id := t.key()
		q.addKey(id)
		if t.Protocol == Meta {
			b = appendKey(append(b, "mg "...), id, t.KeyLen)
			b = append(b, " k f v"...)
			if t.Multiget > 1 {
				b = append(b, " q"...)
			}
			b = append(b, '\r', '\n')
			continue
		}
		op := byte(opGet)
		if t.Multiget > 1 {
			op = opGetKQ
		}
		b = appendHeader(b, op, t.KeyLen, 0, t.KeyLen, id)
		b = appendKey(b, id, t.KeyLen)
	}
	switch {
	case t.Multiget > 1 && t.Protocol == Meta:
		b = append(b, "mn\r\n"...)
	case t.Multiget > 1 && t.Protocol == Binary:
		b = appendHeader(b, opNoOp, 0, 0, 0, 0)
	}
	return b
}

// appendSet begins a set of the key in the queue and appends its bytes.
func (t *part) appendSet(b []byte, q *pending, id uint32, due int64) []byte {
	q.begin(false, due)
	q.addKey(id)
	length, start := t.values.of(id)
	switch t.Protocol {
	case Binary:
		b = appendHeader(b, opSet, t.KeyLen, 8, t.KeyLen+8+length, id)
		b = binary.BigEndian.AppendUint32(b, t.Flags)
		b = binary.BigEndian.AppendUint32(b, 0)
		b = appendKey(b, id, t.KeyLen)
		return t.values.append(b, length, start)
	case Meta:
		b = appendKey(append(b, "ms "...), id, t.KeyLen)
		b = strconv.AppendUint(append(b, ' '), uint64(length), 10)
		if t.Flags != 0 {
			b = strconv.AppendUint(append(b, " F"...), uint64(t.Flags), 10)
		}
	default:
		b = appendKey(append(b, "set "...), id, t.KeyLen)
		b = strconv.AppendUint(append(b, ' '), uint64(t.Flags), 10)
		b = strconv.AppendUint(append(b, " 0 "...), uint64(length), 10)
	}
	b = append(b, '\r', '\n')
	b = t.values.append(b, length, start)
	return append(b, '\r', '\n')
}

// appendHeader appends a request's header; the opaque is the key's number.
func appendHeader(b []byte, op byte, key, extras, body int, opaque uint32) []byte {
	b = append(b, magicRequest, op, byte(key>>8), byte(key), byte(extras), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(body))
	b = binary.BigEndian.AppendUint32(b, opaque)
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}
