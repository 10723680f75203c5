package binary

import "encoding/binary"

const (
	headerLen = 24
	// Request is the first byte of each request, by which a carrier knows the protocol; answers begin with 0x81.
	Request  = 0x80
	response = 0x81
	maxKey   = 250
)

// Opcodes, those that answer; of the quiet ones only the table below knows.
const (
	opGet       = 0x00
	opSet       = 0x01
	opAdd       = 0x02
	opReplace   = 0x03
	opDelete    = 0x04
	opIncr      = 0x05
	opDecr      = 0x06
	opQuit      = 0x07
	opFlush     = 0x08
	opNoop      = 0x0a
	opVersion   = 0x0b
	opGetK      = 0x0c
	opAppend    = 0x0e
	opPrepend   = 0x0f
	opStat      = 0x10
	opVerbosity = 0x1b
	opTouch     = 0x1c
	opGAT       = 0x1d
	opSASLList  = 0x20
	opSASLAuth  = 0x21
	opSASLStep  = 0x22
	opGATK      = 0x23
)

// request is one packet's header, decoded; ext and key point into the input.
type request struct {
	op     uint8 // as sent; answers repeat it
	base   uint8 // the opcode that answers
	quiet  bool
	opaque uint32
	cas    uint64
	ext    []byte
	key    []byte
	value  int64 // length
}

// verdict says what is wrong with a header.
type verdict uint8

const (
	valid verdict = iota
	noRequest
	inconsistent // lengths contradict each other
	misfit       // lengths that the opcode does not have
	unserved     // opcode that nobody serves
)

// rule says which lengths an opcode has.
type rule struct {
	served   bool
	quiet    bool
	base     uint8
	ext      uint8
	extOrNot bool // extras may also be absent
	key, val need
}

type need uint8

const (
	none need = iota
	some
	maybe
)

func (n need) meets(length int64) bool { return n == maybe || (n == some) == (length > 0) }

// rules by opcode; read-only.
var rules = func() (t [256]rule) {
	pair := func(op, quiet uint8, r rule) {
		r.served, r.base = true, op
		t[op] = r
		if quiet != 0 {
			r.quiet = true
			t[quiet] = r
		}
	}
	store := rule{ext: 8, key: some, val: maybe}
	pair(opSet, 0x11, store)
	pair(opAdd, 0x12, store)
	pair(opReplace, 0x13, store)
	extend := rule{key: some, val: maybe}
	pair(opAppend, 0x19, extend)
	pair(opPrepend, 0x1a, extend)
	pair(opGet, 0x09, rule{key: some})
	pair(opGetK, 0x0d, rule{key: some})
	pair(opDelete, 0x14, rule{key: some})
	arith := rule{ext: 20, key: some}
	pair(opIncr, 0x15, arith)
	pair(opDecr, 0x16, arith)
	touch := rule{ext: 4, key: some}
	pair(opTouch, 0, touch)
	pair(opGAT, 0x1e, touch)
	pair(opGATK, 0x24, touch)
	pair(opQuit, 0x17, rule{})
	pair(opFlush, 0x18, rule{ext: 4, extOrNot: true})
	pair(opNoop, 0, rule{})
	pair(opVersion, 0, rule{})
	pair(opStat, 0, rule{key: maybe})
	pair(opVerbosity, 0, rule{ext: 4})
	pair(opSASLList, 0, rule{})
	pair(opSASLAuth, 0, rule{key: some, val: maybe})
	pair(opSASLStep, 0, rule{key: some, val: maybe})
	return t
}()

// decode reads the header of a packet and judges it; b has headerLen bytes or more. It fills r's ext and key
// only as far as they have arrived: whole reports whether they have. rest is the number of bytes of the body.
func decode(b []byte, r *request) (v verdict, whole bool, rest int64) {
	op := b[1]
	keyLen, extLen := int64(binary.BigEndian.Uint16(b[2:])), int64(b[4])
	body := int64(binary.BigEndian.Uint32(b[8:]))
	rule := &rules[op]
	r.op, r.base, r.quiet = op, rule.base, rule.quiet
	r.opaque = binary.BigEndian.Uint32(b[12:])
	r.cas = binary.BigEndian.Uint64(b[16:])
	r.value = body - keyLen - extLen
	switch {
	case b[0] != Request:
		return noRequest, false, 0
	case r.value < 0:
		return inconsistent, false, 0
	case keyLen > maxKey:
		return misfit, false, 0
	case !rule.served, op == opVerbosity && (keyLen > 0 || extLen != 4 || r.value > 0): // which memcached does not know at all
		return unserved, false, body
	case extLen != int64(rule.ext) && !(rule.extOrNot && extLen == 0),
		!rule.key.meets(keyLen), !rule.val.meets(r.value):
		return misfit, false, 0
	}
	if headers := headerLen + extLen + keyLen; int64(len(b)) >= headers {
		r.ext, r.key = b[headerLen:headerLen+extLen], b[headerLen+extLen:headers]
		whole = true
	}
	return valid, whole, body
}

// status is the outcome that an answer carries.
type status uint16

const (
	statusOK          status = 0x00
	statusNotFound    status = 0x01
	statusExists      status = 0x02
	statusTooLarge    status = 0x03
	statusInvalid     status = 0x04
	statusNotStored   status = 0x05
	statusNonNumeric  status = 0x06
	statusAuth        status = 0x20
	statusAuthGoOn    status = 0x21
	statusUnknown     status = 0x81
	statusOutOfMemory status = 0x82
)

func (s status) text() string {
	switch s {
	case statusNotFound:
		return "Not found"
	case statusExists:
		return "Data exists for key."
	case statusTooLarge:
		return "Too large."
	case statusInvalid:
		return "Invalid arguments"
	case statusNotStored:
		return "Not stored."
	case statusNonNumeric:
		return "Non-numeric server-side value for incr or decr"
	case statusAuth:
		return "Auth failure."
	case statusUnknown:
		return "Unknown command"
	case statusOutOfMemory:
		return "Out of memory"
	}
	return ""
}

// appendHeader appends the header of the answer to r; key, ext and body are lengths, body all together.
func appendHeader(b []byte, r *request, s status, ext, key, body int, cas uint64) []byte {
	b = append(b, response, r.op, byte(key>>8), byte(key), byte(ext), 0, byte(s>>8), byte(s))
	b = binary.BigEndian.AppendUint32(b, uint32(body))
	b = binary.BigEndian.AppendUint32(b, r.opaque)
	return binary.BigEndian.AppendUint64(b, cas)
}

// appendError appends the answer to r that s has happened, with its usual text.
func appendError(b []byte, r *request, s status) []byte {
	return appendErrorText(b, r, s, s.text())
}

func appendErrorText(b []byte, r *request, s status, text string) []byte {
	return append(appendHeader(b, r, s, 0, 0, len(text), 0), text...)
}
