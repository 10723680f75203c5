// Package auth keeps the users of memcached's two ways to authenticate: the file of -Y, for the text protocol, and the password database of
// MEMCACHED_SASL_PWDB, for SASL PLAIN on the binary protocol.
//
// ParseFile and ParseDatabase make Users of bytes: immutable, pure. A File is Users that can be read again while sessions log in. Backoff
// slows a source that guesses; it is pure, with explicit time. A Gate puts both together for the sessions, and is what locks. No goroutine
// belongs to the package.
//
// What Debian's memcached 1.6.18 makes of a -Y file is the oracle: the tests write files, start it and compare whether it starts and who may
// log in. One difference is meant: a last line without a line end counts in full (1.6.18 loses the last character of its password).
//
// Debian builds memcached for Cyrus SASL's own databases (/etc/sasl2/memcached.conf, sasldb or saslauthd) and without MEMCACHED_SASL_PWDB,
// which is upstream's --enable-sasl-pwdb; cached reads that file alone. memcached reads it at each login, cached when told to.
//
// # Bounds
//
// A -Y file is read as far as its 8 lines of 255 bytes go, a database of more than MaxDatabase bytes is refused, and so is one with more than
// MaxPasswords. Backoff's table has a fixed size; see there for what happens when it is full.
package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// MaxLogin bounds a login that can succeed, bytes of user and password together.
const MaxLogin = 256

// Users are who may log in. The zero value is nobody.
//
// Passwords are not kept. A login is looked up by a keyed hash of user and password, under a key that is random and never leaves: how
// long that takes tells neither whether there is such a user nor how much of the password was right.
type Users struct {
	key    [32]byte
	logins map[[sha256.Size]byte]struct{}
}

func newUsers() *Users {
	u := &Users{logins: map[[sha256.Size]byte]struct{}{}}
	rand.Read(u.key[:]) // never fails
	return u
}

func (u *Users) add(user, password []byte) { u.logins[u.digest(user, password)] = struct{}{} }

// Check says whether the user has the password.
func (u *Users) Check(user, password []byte) bool {
	if len(user)+len(password) > MaxLogin {
		return false
	}
	_, ok := u.logins[u.digest(user, password)]
	return ok
}

// Len is the number of logins that succeed.
func (u *Users) Len() int { return len(u.logins) }

// digest is HMAC-SHA256 of both; the length of the user keeps (ab, c) apart from (a, bc).
func (u *Users) digest(user, password []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, u.key[:])
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(user)))
	h.Write(length[:])
	h.Write(user)
	h.Write(password)
	h.Sum(sum[:0])
	return sum
}
