package resp

import (
	"bytes"
	"strconv"

	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// lineMax bounds an inline command and a line that announces a length, bytes; as in Redis.
	lineMax = 64 << 10
	// argMax bounds an argument that is not a value, bytes.
	argMax = 16 << 10
	// heldMax bounds the input that is left unconsumed.
	heldMax = maxGather*(argMax+32) + lineMax
	// bulkMax bounds any argument, bytes; Redis' proto-max-bulk-len.
	bulkMax = 512 << 20
	// Before a client has authenticated these bounds hold, as in Redis.
	strangerArgs, strangerBulk = 10, 16 << 10
)

// A carrier keeps no more than that.
const _ = uint(session.MaxHeld - heldMax)

// malformed is what is wrong with a request that ends the connection: the text behind "Protocol error: ".
type malformed string

// line finds the line at the head of b, without its end; n is its length with the end. n is 0 while it is incomplete.
func line(b []byte) (s []byte, n int) {
	i := bytes.IndexByte(b[:min(len(b), lineMax+2)], '\n')
	if i < 0 {
		return nil, 0
	}
	s = b[:i]
	if i > 0 && s[i-1] == '\r' {
		s = s[:i-1]
	}
	return s, i + 1
}

// array reads "*count\r\n" at the head of b.
func array(b []byte, stranger bool) (count, n int, bad malformed) {
	s, n := line(b)
	if n == 0 {
		if len(b) > lineMax {
			return 0, 0, "too big mbulk count string"
		}
		return 0, 0, ""
	}
	c, ok := integer(s[1:])
	switch {
	case !ok || c > 1<<31-1:
		return 0, 0, "invalid multibulk length"
	case c > strangerArgs && stranger:
		return 0, 0, "unauthenticated multibulk length"
	}
	return int(max(c, 0)), n, ""
}

// bulk reads "$length\r\n" at the head of b.
func bulk(b []byte, most int64, stranger bool) (length, n int, bad malformed) {
	if len(b) == 0 {
		return 0, 0, ""
	}
	s, n := line(b)
	if n == 0 {
		if len(b) > lineMax {
			return 0, 0, "too big bulk count string"
		}
		return 0, 0, ""
	}
	if b[0] != '$' {
		return 0, 0, malformed("expected '$', got '" + string(b[:1]) + "'")
	}
	l, ok := integer(s[1:])
	switch {
	case !ok || l < 0 || l > most:
		return 0, 0, "invalid bulk length"
	case l > strangerBulk && stranger:
		return 0, 0, "unauthenticated bulk length"
	}
	return int(l), n, ""
}

// integer reads a signed number as strictly as Redis: digits only, no leading zero, no plus sign.
func integer(b []byte) (int64, bool) {
	digits := b
	minus := len(b) > 0 && b[0] == '-'
	if minus {
		digits = b[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(b) > 1 {
		return 0, false
	}
	var n uint64
	for _, d := range digits {
		if d -= '0'; d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	switch {
	case minus && n <= 1<<63:
		return int64(-n), true
	case !minus && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// cursor reads SCAN's cursor.
func cursor(b []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}

// is reports whether b is the word w, whatever the case; w is in upper case.
func is(b []byte, w string) bool {
	if len(b) != len(w) {
		return false
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != w[i] {
			return false
		}
	}
	return true
}
