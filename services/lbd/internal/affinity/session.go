package affinity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
)

// Attributes are those of the cookie (RFC 6265 section 4.1.2, and 6265bis for SameSite).
type Attributes struct {
	Path     string
	HTTPOnly bool
	Secure   bool
	SameSite string        // Strict, Lax or None; empty: none is said
	MaxAge   time.Duration // 0: until the browser is closed
}

// Sessions name a pool's members in clients' cookies. The name is a message authentication code of the member's, by a key of the
// fleet: it tells nobody an address, nobody makes one up, every lbd of the fleet knows it, and none has to keep anything.
type Sessions struct {
	name     string
	pool     string
	keys     [][]byte
	attrs    string
	encoding *base64.Encoding
}

var _ pool.Sessions = (*Sessions)(nil)

// tagText is the length of a tag in a cookie.
const tagText = 22

// NewSessions returns the sessions of a pool whose cookie has the name. What any of the keys has signed is taken, and the first signs:
// there is one at least.
func NewSessions(name, pool string, a Attributes, keys [][]byte) *Sessions {
	attrs := "; Path=" + a.Path
	if a.MaxAge > 0 {
		attrs += "; Max-Age=" + strconv.FormatInt(int64(a.MaxAge/time.Second), 10)
	}
	if a.HTTPOnly {
		attrs += "; HttpOnly"
	}
	if a.Secure {
		attrs += "; Secure"
	}
	if a.SameSite != "" {
		attrs += "; SameSite=" + a.SameSite
	}
	return &Sessions{name: name, pool: pool, keys: keys, attrs: attrs, encoding: base64.RawURLEncoding.Strict()}
}

// Tags returns the names of a member, one by each key.
func (s *Sessions) Tags(id pool.ID) []pool.Tag {
	out := make([]pool.Tag, len(s.keys))
	for i, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, s.pool+"\x00"+string(id)) // a pool's name has no NUL
		copy(out[i][:], mac.Sum(nil))
	}
	return out
}

// Cookie returns the value of Set-Cookie for a member's name.
func (s *Sessions) Cookie(t pool.Tag) []byte {
	return []byte(s.name + "=" + s.encoding.EncodeToString(t[:]) + s.attrs)
}

// Find returns the name that a request's cookie gives: the first well-formed one. Whether it is a member's, the pool knows.
func (s *Sessions) Find(req Request) (t pool.Tag, ok bool) {
	cookies(req, s.name, func(value []byte) bool {
		if len(value) != tagText {
			return true
		}
		n, err := s.encoding.Decode(t[:], value)
		ok = err == nil && n == len(t)
		return !ok
	})
	return t, ok
}
