package text

import (
	"github.com/everup/everup/services/cached/internal/ops"
)

const (
	// maxMetaWords is how many words a meta command may have, its name included.
	maxMetaWords = 19
	// maxOpaque is the longest opaque, its O included.
	maxOpaque = 32
)

// Errors of meta flags.
const (
	errDuplicate  = "CLIENT_ERROR duplicate flag\r\n"
	errFlag       = "CLIENT_ERROR invalid flag\r\n"
	errToken      = "CLIENT_ERROR bad token in command line format\r\n"
	errKey        = "CLIENT_ERROR error decoding key\r\n"
	errMode       = "CLIENT_ERROR incorrect length for M token\r\n"
	errInitial    = "CLIENT_ERROR invalid numeric initial value\r\n"
	errDelta      = "CLIENT_ERROR invalid numeric delta value\r\n"
	errOpaque     = "CLIENT_ERROR opaque token too long\r\n"
	errEither     = "CLIENT_ERROR invalid or duplicate flag\r\n"
	errTooMany    = "CLIENT_ERROR options flags too long\r\n"
	errTooManyGet = "CLIENT_ERROR options flags are too long\r\n"
)

// metaFlags are the flags of a meta command. What only says that something be answered stays in the line, in the client's order.
type metaFlags struct {
	key    []byte // decoded
	binary bool   // b

	quiet, value, noBump, stale, remove bool // q v u I x

	vivify, touch, recache bool  // N T R
	vivifyAt, touchAt      int64 // as expiry: Unix seconds
	recacheAt              int64

	compare        bool // C
	compareCAS     uint64
	cas            uint64 // E
	mode           byte   // M
	flags          uint32 // F
	initial, delta uint64 // J D
}

// parseFlags reads the flags from word first on. It returns the error to answer, "" for none: like memcached it goes on behind a number
// that it cannot read, so that a later error may hide an earlier one. removal allows x.
func (t *turn) parseFlags(f *metaFlags, first int, removal bool) string {
	f.key, f.delta = t.word(1), 1
	var seen [2]uint64
	failed, text := false, replyBadFormat
	for i := first; i < t.ntok; i++ {
		w := t.word(i)
		c := w[0]
		if c >= 127 || seen[c>>6]&(1<<(c&63)) != 0 {
			return errDuplicate
		}
		seen[c>>6] |= 1 << (c & 63)
		bad, ok := t.parseFlag(f, c, w[1:], removal)
		if !ok {
			return errFlag
		}
		switch {
		case bad == failQuietly:
			failed = true
		case bad != "":
			failed, text = true, bad
		}
	}
	if !failed {
		return ""
	}
	return text
}

// failQuietly is an error that leaves the text of the one before it in place.
const failQuietly = "-"

// parseFlag reads one flag; ok is false for an unknown one.
func (t *turn) parseFlag(f *metaFlags, c byte, arg []byte, removal bool) (bad string, ok bool) {
	switch c {
	case 'k', 's', 't', 'c', 'f', 'l', 'h', 'O', 'P', 'L':
	case 'v':
		f.value = true
	case 'q':
		f.quiet = true
	case 'u':
		f.noBump = true
	case 'I':
		f.stale = true
	case 'x': // newer than 1.6.18, where it is invalid; so is E
		f.remove = true
		return "", removal && len(arg) == 0
	case 'b':
		f.binary = true
		f.key = t.decode(f.key)
		return orError(len(f.key) > 0, errKey), true
	case 'N':
		f.vivify = true
		return t.parseTime(&f.vivifyAt, arg), true
	case 'T':
		f.touch = true
		return t.parseTime(&f.touchAt, arg), true
	case 'R':
		f.recache = true
		return t.parseTime(&f.recacheAt, arg), true
	case 'F':
		f.flags, ok = ops.Uint32(arg)
		return orError(ok, failQuietly), true
	case 'C':
		f.compare = true
		f.compareCAS, ok = ops.Uint(arg)
		return orError(ok, errToken), true
	case 'E':
		f.cas, ok = ops.Uint(arg)
		return "", ok
	case 'M':
		if len(arg) != 1 {
			return errMode, true
		}
		f.mode = arg[0]
	case 'J':
		f.initial, ok = ops.Uint(arg)
		return orError(ok, errInitial), true
	case 'D':
		f.delta, ok = ops.Uint(arg)
		return orError(ok, errDelta), true
	default:
		return "", false
	}
	return "", true
}

func orError(ok bool, text string) string {
	if ok {
		return ""
	}
	return text
}

// decode decodes a key that came in base64; empty when it cannot be. It is valid until the next one.
func (t *turn) decode(key []byte) []byte {
	if t.key == nil {
		t.client.key = new([maxKey]byte)
	}
	return t.key[:decodeKey(t.key[:], key)]
}

// parseTime reads an expiry time.
func (t *turn) parseTime(at *int64, arg []byte) string {
	n, ok := ops.Int32(arg)
	if !ok {
		return errToken
	}
	*at = ops.Expires(int64(n), t.now, t.env.Started)
	return ""
}

// echo is what an answer repeats of its command, in the order asked for: key, opaque and, of a store, the CAS.
type echo struct {
	order  [3]byte
	n      uint8
	binary bool
	opaque []byte // with its O
}

// echoOf finds what to repeat among the flags from word first on; false when the opaque is too long.
func (t *turn) echoOf(e *echo, first int, binary bool) bool {
	*e = echo{binary: binary}
	for i := first; i < t.ntok; i++ {
		w := t.word(i)
		switch w[0] {
		case 'O':
			if len(w) > maxOpaque {
				return false
			}
			e.opaque = w
		case 'k', 'c':
		default:
			continue
		}
		e.order[e.n] = w[0]
		e.n++
	}
	return true
}

// append appends what e repeats.
func (e *echo) append(dst, key []byte, cas uint64, withCAS bool) []byte {
	for _, c := range e.order[:e.n] {
		switch c {
		case 'O':
			dst = append(append(dst, ' '), e.opaque...)
		case 'k':
			dst = appendKey(dst, key, e.binary)
		case 'c':
			if withCAS {
				dst = appendUint(append(dst, " c"...), cas)
			}
		}
	}
	return dst
}
