package pool

import (
	"net"
	"strconv"
	"time"

	"github.com/everup/everup/shared/probe"
)

// Failed says that a request to the member failed before anything came back. Others are preferred from now on, and the
// member is checked at once rather than at the next turn.
func (p *Pool) Failed(id ID, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.core.Suspect(id, now) || p.suspects[id] || p.closed {
		return
	}
	p.suspects[id] = true
	p.wg.Go(func() { p.checkSuspect(id) })
}

// checkSuspect checks a suspect again and again until it is above suspicion: its check passes and the hold is over, or
// the Runner has found it down, or it is gone.
func (p *Pool) checkSuspect(id ID) {
	defer func() {
		p.mu.Lock()
		delete(p.suspects, id)
		p.mu.Unlock()
	}()
	for {
		p.mu.Lock()
		check, every := p.checker, fastInterval(p.settings.Check)
		p.mu.Unlock()
		ok := check == nil || check.Check(p.ctx, target(id)).OK
		p.mu.Lock()
		if now := time.Now(); !ok {
			p.core.Suspect(id, now)
		}
		more := p.core.Suspected(id, time.Now()) && !ok
		p.mu.Unlock()
		if !more || !p.sleep(every) {
			return
		}
	}
}

// sleep waits for d; false when the pool is closed meanwhile.
func (p *Pool) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// fastInterval is what the Runner waits while a state is unsettled, and never longer than half the hold.
func fastInterval(c probe.Config) time.Duration {
	d := c.FastInterval.Std()
	if d == 0 {
		d = c.Interval.Std() / 4
	}
	return min(max(d, 10*time.Millisecond), hold/2)
}

// splitHostPort splits an address that the configuration has accepted.
func splitHostPort(addr string) (string, uint16) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, uint16(n)
}
