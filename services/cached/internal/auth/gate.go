package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Verdict is what became of a login.
type Verdict uint8

// Verdicts. Waiting means that the password was not looked at, as its source failed too often lately: the answer is that of a failure, so
// that guessing meanwhile teaches nothing.
const (
	Denied Verdict = iota
	Granted
	Waiting
)

// Gate checks logins and slows those who guess. It may be used by several goroutines.
type Gate struct {
	file *File

	mu      sync.Mutex
	backoff *Backoff
}

// NewGate returns a gate before the file's users. Sources behind one address (NAT) share their failures; a success of one clears them.
func NewGate(f *File, p Policy) *Gate { return &Gate{file: f, backoff: NewBackoff(p)} }

// Login checks a login that came from source, the invalid address for unix sockets.
func (g *Gate) Login(source netip.Addr, user, password []byte, now time.Time) Verdict {
	g.mu.Lock()
	wait := g.backoff.Wait(source, now)
	g.mu.Unlock()
	if wait > 0 {
		return Waiting
	}
	ok := g.file.Check(user, password) // outside of the lock: it is the long part
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok {
		g.backoff.Succeeded(source, now)
		return Granted
	}
	g.backoff.Failed(source, now)
	return Denied
}

// Waiting is how many sources are remembered for their failures, and how many were forgotten early as the table was full.
func (g *Gate) Waiting(now time.Time) (remembered int, displaced uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.backoff.Len(now), g.backoff.Displaced()
}
