package pool

import (
	"net"
	"strconv"
	"time"

	"github.com/everup/everup/shared/probe"
)

// suspectLocked has a member checked at once rather than at the next turn, since a request to it failed before anything came back.
func (p *Pool) suspectLocked(m *Member) {
	if p.suspects[m] || p.closed {
		return
	}
	p.suspects[m] = true
	p.wg.Go(func() { p.checkSuspect(m) })
}

// checkSuspect checks a suspect again and again until it is above suspicion: its check passes and the hold is over, or
// the Runner has found it down, or it is gone.
func (p *Pool) checkSuspect(m *Member) {
	defer func() {
		p.mu.Lock()
		delete(p.suspects, m)
		p.mu.Unlock()
	}()
	for {
		p.mu.Lock()
		check, every := p.checker, fastInterval(p.Settings().Check)
		p.mu.Unlock()
		ok := check == nil || check.Check(p.ctx, target(ID(m.Name()))).OK
		p.mu.Lock()
		now := p.since(time.Now())
		if !ok {
			p.core.Suspect(now, m)
		}
		more := p.core.Suspected(now, m) && !ok
		p.unlock()
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
