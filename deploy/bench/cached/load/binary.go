package load

import (
	"encoding/binary"
)

// Status codes of the binary protocol that are answers rather than faults of the generator.
const (
	statusOK       = 0x00
	statusNotFound = 0x01
	statusTooLarge = 0x03
	statusNotStore = 0x05
	statusMemory   = 0x82
)

// binary reads one header with its extras and key, which are short; the rest of the body is read as it comes.
func (a *answers) binary(b []byte, r *Result, now int64) (int, error) {
	if len(b) < headerSize {
		return 0, nil
	}
	op, status := b[1], binary.BigEndian.Uint16(b[6:])
	key, extras := int(binary.BigEndian.Uint16(b[2:])), int(b[4])
	body := int(binary.BigEndian.Uint32(b[8:]))
	if b[0] != magicResponse || key+extras > body || body > maxValue+maxKeyLen+4 || key > maxKeyLen {
		return 0, violation("a bad header", b)
	}
	if len(b) < headerSize+extras+key {
		return 0, nil
	}
	used := headerSize + extras + key
	head := b[:used]
	q := a.queue.front()
	switch {
	case status == statusTooLarge, status == statusNotStore, status == statusMemory:
		a.refuse(head[6:8], r, now)
		return used, a.ignore(body - extras - key)
	case !q.get:
		if op != opSet || status != statusOK || binary.BigEndian.Uint32(b[12:]) != a.queue.key(0) {
			return 0, violation("no answer to a set", head)
		}
		r.Stored++
		a.finish(r, now)
		return used, a.ignore(body - extras - key)
	case a.plan.Multiget > 1 && op == opNoOp && status == statusOK, a.plan.Multiget == 1 && op == opGet && status == statusNotFound:
		a.passOver(int(q.keys), r)
		a.finish(r, now)
		return used, a.ignore(body - extras - key)
	case status == statusOK && extras == 4 && op == a.getOp():
		return used, a.binaryValue(head, extras, body-extras-key, r, now)
	}
	return 0, violation("no answer to a get", head)
}

// getOp returns the opcode of the gets of this run.
func (a *answers) getOp() byte {
	if a.plan.Multiget > 1 {
		return opGetKQ
	}
	return opGet
}

// binaryValue begins the value behind a header.
func (a *answers) binaryValue(head []byte, extras, n int, r *Result, now int64) error {
	if binary.BigEndian.Uint32(head[headerSize:]) != a.plan.Flags {
		return violation("wrong flags", head)
	}
	key := head[headerSize+extras:]
	if a.plan.Multiget == 1 {
		if len(key) > 0 {
			return violation("a key in an answer to Get", head)
		}
		var own [maxKeyLen]byte
		key = appendKey(own[:0], binary.BigEndian.Uint32(head[12:]), a.plan.KeyLen)
	}
	if err := a.value(key, n, 0, head, r); err != nil {
		return err
	}
	if n == 0 {
		a.bodyDone(r, now)
	}
	return nil
}

// ignore has the next n bytes passed over.
func (a *answers) ignore(n int) error {
	a.left, a.tail, a.skip = n, 0, n > 0
	return nil
}
