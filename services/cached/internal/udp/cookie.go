package udp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
)

const (
	cookieWord   = "cookie "
	cookieAnswer = "COOKIE "
	cookieDigits = 16
	// cookieLine is the length of a line with a cookie, asked for or given.
	cookieLine = len(cookieWord) + cookieDigits + 2
	// cookieEpoch is how long a key of cookies is the newest, seconds; they hold until the next one is not the newest any more.
	cookieEpoch = 300
)

// jar makes and checks cookies.
type jar struct{ secret []byte }

// cookie is the one of addr at the Unix time now, in hexadecimal digits.
func (j jar) cookie(addr netip.Addr, now int64) (c [cookieDigits]byte) {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], uint64(now/cookieEpoch))
	a := addr.As16()
	copy(b[8:], a[:])
	h := hmac.New(sha256.New, j.secret)
	h.Write(b[:])
	hex.Encode(c[:], h.Sum(nil)[:cookieDigits/2])
	return c
}

// proves reports whether c is a cookie of addr that holds.
func (j jar) proves(c []byte, addr netip.Addr, now int64) bool {
	newest, last := j.cookie(addr, now), j.cookie(addr, now-cookieEpoch)
	return subtle.ConstantTimeCompare(c, newest[:])|subtle.ConstantTimeCompare(c, last[:]) == 1
}

// takeCookie takes the line of a cookie off b; c is what the line holds. ok is false when b does not begin with such a line.
func takeCookie(b []byte) (c, rest []byte, ok bool) {
	if !bytes.HasPrefix(b, []byte(cookieWord)) {
		return nil, b, false
	}
	line, rest, ok := bytes.Cut(b[len(cookieWord):], []byte("\r\n"))
	return line, rest, ok
}
