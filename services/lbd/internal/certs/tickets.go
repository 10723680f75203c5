package certs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// Deriver makes keys of secrets, the first of which is the one in use and the others are accepted; *pki.Keys is one.
type Deriver interface {
	Derive(purpose string, n int) [][]byte
}

// Tickets say how sessions are resumed.
type Tickets struct {
	Off    bool
	Rotate time.Duration // how long a key encrypts; all lbd of a fleet need the same
}

// period numbers the span of time that now lies in.
func (t Tickets) period(now time.Time) int64 {
	every := max(int64(t.Rotate/time.Second), 1)
	at := now.Unix()
	if at < 0 {
		at -= every - 1
	}
	return at / every
}

// keys returns what encrypts tickets in a period, first, and what is accepted besides: the periods before and behind it, and the same of
// further secrets. scope keeps apart what must not resume each other's sessions.
func (t Tickets) keys(from Deriver, scope string, period int64) [][32]byte {
	var out [][32]byte
	perPeriod := make([][][]byte, 0, 3)
	for _, p := range []int64{period, period - 1, period + 1} {
		perPeriod = append(perPeriod, from.Derive(t.purpose(scope, p), 32))
	}
	for secret := range perPeriod[0] {
		for _, keys := range perPeriod {
			out = append(out, [32]byte(keys[secret]))
		}
	}
	return out
}

// purpose names a key: two that differ in anything are told apart.
func (t Tickets) purpose(scope string, period int64) string {
	sum := sha256.Sum256([]byte(scope))
	return fmt.Sprintf("lbd-tickets/%s/%d/%d", hex.EncodeToString(sum[:16]), int64(t.Rotate/time.Second), period)
}
