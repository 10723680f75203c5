package member

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Bounds of joining.
const (
	maxReturned = 16               // members that came back and wait for an exchange; anti-entropy serves the others
	maxDials    = 8                // joins at a time
	maxTries    = 32               // addresses tried in one round
	maxSeeds    = 256              // addresses that `join` may stand for
	oldPeers    = 15               // rounds between attempts at peers gone for longer than forgetTime
	seedBackOff = 10 * time.Second // longest pause between attempts at a join address that does not answer
)

// joiner decides whom to join when: a pure state machine. Not safe for concurrent use.
//
// Alone, it tries every join address and two peers known from before, each round. With others alive, it tries one random
// missing peer each round, so that two halves of a partition find each other within a round or two after it ends, and
// the join addresses that are not members at growing intervals of up to seedBackOff, or each round while a peer is
// missing.
type joiner struct {
	round int
	next  map[netip.AddrPort]time.Time
	pause map[netip.AddrPort]time.Duration
	pick  func(n int) int // random below n
}

func newJoiner() *joiner {
	return &joiner{next: map[netip.AddrPort]time.Time{}, pause: map[netip.AddrPort]time.Duration{}, pick: rand.IntN}
}

// step returns the addresses to try now.
func (j *joiner) step(now time.Time, v View, peers []peer, seeds []netip.AddrPort, base time.Duration) []netip.AddrPort {
	j.round++
	here := map[netip.AddrPort]bool{}
	alone := true
	for _, m := range v.Members {
		if m.State == Alive || m.ID == v.Self {
			here[m.Addr] = true
			alone = alone && m.ID == v.Self
		}
	}
	var recent, old []netip.AddrPort
	for _, p := range peers {
		switch {
		case here[p.Addr]:
		case now.Sub(p.Seen) <= forgetTime:
			recent = append(recent, p.Addr)
		default:
			old = append(old, p.Addr)
		}
	}
	tries := j.random(nil, recent)
	if alone {
		tries = j.random(tries, recent)
	}
	if (alone && len(recent) == 0) || j.round%oldPeers == 0 {
		tries = j.random(tries, old)
	}
	for _, s := range seeds {
		if !here[s] && (alone || len(recent) > 0 || j.due(now, s, base)) {
			tries = appendNew(tries, s)
		}
	}
	j.bound()
	return j.bounded(tries)
}

// due reports whether a join address may be tried, and sets when next.
func (j *joiner) due(now time.Time, s netip.AddrPort, base time.Duration) bool {
	if now.Before(j.next[s]) {
		return false
	}
	j.pause[s] = min(max(base, 2*j.pause[s]), seedBackOff)
	j.next[s] = now.Add(j.pause[s])
	return true
}

// bound keeps what is remembered of join addresses, which may change with every resolution, from growing for ever: the
// pauses then begin anew.
func (j *joiner) bound() {
	if len(j.next) > 2*maxSeeds {
		clear(j.next)
		clear(j.pause)
	}
}

func (j *joiner) random(tries, from []netip.AddrPort) []netip.AddrPort {
	if len(from) == 0 {
		return tries
	}
	return appendNew(tries, from[j.pick(len(from))])
}

// bounded keeps maxTries of the addresses, others each round.
func (j *joiner) bounded(tries []netip.AddrPort) []netip.AddrPort {
	if len(tries) <= maxTries {
		return tries
	}
	at := j.round * maxTries % len(tries)
	return append(append([]netip.AddrPort{}, tries[at:]...), tries[:at]...)[:maxTries]
}

func appendNew(list []netip.AddrPort, a netip.AddrPort) []netip.AddrPort {
	for _, x := range list {
		if x == a {
			return list
		}
	}
	return append(list, a)
}

// rejoin runs the joiner until ctx ends.
func (f *Fleet) rejoin(ctx context.Context) {
	j := newJoiner()
	d := dialer{f: f, busy: map[netip.AddrPort]bool{}, places: make(chan struct{}, maxDials)}
	defer d.tasks.Wait()
	for {
		for _, addr := range j.step(time.Now(), f.View(), f.peers(), f.seeds(ctx), f.profile.rejoin) {
			d.start(ctx, addr)
		}
		f.checkIsolated()
		// Members of a healed partition must not all knock at the same moment.
		wait := f.profile.rejoin*3/4 + rand.N(f.profile.rejoin/2)
		if !f.meetReturned(ctx, &d, wait) {
			return
		}
	}
}

// meetReturned waits for d, and meanwhile exchanges states with members that gossip brought back: they missed what was
// written meanwhile, and we what they wrote. False means ctx ended.
func (f *Fleet) meetReturned(ctx context.Context, d *dialer, wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		select {
		case addr := <-f.returned:
			d.start(ctx, addr)
		case <-t.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// dialer joins addresses, each once at a time, maxDials together.
type dialer struct {
	f      *Fleet
	places chan struct{}
	tasks  sync.WaitGroup

	mu   sync.Mutex
	busy map[netip.AddrPort]bool
}

// start joins addr in the background, unless that is under way or all places are taken: the next round comes soon.
func (d *dialer) start(ctx context.Context, addr netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[addr] {
		return
	}
	select {
	case d.places <- struct{}{}:
	default:
		return
	}
	d.busy[addr] = true
	d.tasks.Go(func() {
		d.f.join(addr)
		d.mu.Lock()
		delete(d.busy, addr)
		d.mu.Unlock()
		<-d.places
	})
}

// join exchanges states with the process at addr, twice: what the other side held for dead is refuted in answer to the
// first exchange, and known to both after the second.
func (f *Fleet) join(addr netip.AddrPort) {
	for range 2 {
		f.rep.joins.Inc()
		if _, err := f.list.Join([]string{addr.String()}); err != nil {
			f.rep.joinFailures.Inc()
			f.rep.log.Trace().Err(err).Stringer("peer", addr).Msg("join failed")
			return
		}
	}
}

// seeds returns the addresses that `join` stands for now. Names that do not resolve are tried again next time.
func (f *Fleet) seeds(ctx context.Context) []netip.AddrPort {
	var (
		mu    sync.Mutex
		out   []netip.AddrPort
		tasks sync.WaitGroup
	)
	for _, t := range f.targets {
		tasks.Go(func() {
			addrs, err := resolve(ctx, t.host)
			if err != nil {
				f.rep.warn("resolve"+t.host, "cannot resolve join address "+t.host+": "+err.Error())
			}
			mu.Lock()
			defer mu.Unlock()
			for _, a := range addrs {
				if ap := netip.AddrPortFrom(a, t.port); len(out) < maxSeeds && ap != f.addr {
					out = append(out, ap)
				}
			}
		})
	}
	tasks.Wait()
	return out
}

// checkIsolated tells of a daemon that should have company and has none.
func (f *Fleet) checkIsolated() {
	if len(f.targets) == 0 || f.others() > 0 {
		f.rep.isolatedItem.OK()
		return
	}
	f.rep.isolatedItem.Warn("none of cluster.join answers",
		"check that the hosts in cluster.join are up and that UDP and TCP to their gossip ports pass the firewalls")
}

// sleep waits for d; false means ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
