package vip

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/run"
	"github.com/everup/everup/shared/vip/internal/wire"
)

const (
	// A child that dies is replaced at once: addresses stand where nobody looks after them.
	restartMin     = 10 * time.Millisecond
	restartMax     = 10 * time.Second
	restartHealthy = 10 * time.Second

	stopTime   = 2 * time.Second // for a child that was told to stop, before the socket is closed
	hangupTime = time.Second     // after that, before it is killed
	stuckTime  = 1250 * time.Millisecond
)

// adoption is a router that a child has left Active.
type adoption struct {
	at   time.Time     // when the child was last alive
	down time.Duration // after which a peer has taken over
}

// supervise has a child run as long as one is wanted.
func (m *Manager) supervise(ctx context.Context) error {
	backoff := run.Backoff{Min: restartMin, Max: restartMax, Healthy: restartHealthy, Jitter: 0.2}
	for m.waitWanted(ctx) {
		began := time.Now()
		p, err := m.startChild()
		if err == nil {
			m.attend(ctx, p)
			err = p.Err()
		}
		if m.childEnded(p, err) {
			sleep(ctx, backoff.Next(time.Since(began), rand.Float64()))
		}
	}
	if !m.handedOver() {
		m.sweep()
		return nil
	}
	close(m.done)
	<-ctx.Done() // the service lives on
	return nil
}

// handedOver reports whether what stands is another process's.
func (m *Manager) handedOver() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.handed
}

// sweep removes, at the end, what a child that died has left: addresses are not to stand where nobody serves.
func (m *Manager) sweep() {
	m.leaveNow()
	if !m.wanted() {
		return
	}
	p, err := m.startChild()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		m.attend(ctx, p)
		err = p.Err()
	}
	m.childEnded(p, err)
}

// waitWanted waits until there is something for a child to do. It reports false when ctx has ended.
func (m *Manager) waitWanted(ctx context.Context) bool {
	for {
		if ctx.Err() != nil || m.handedOver() {
			return false
		}
		if m.wanted() {
			return true
		}
		m.healthOfChild()
		select {
		case <-ctx.Done():
			return false
		case <-m.wake:
		}
	}
}

// wanted reports whether there is something for a child to do: addresses to hold, or to remove after another's life.
func (m *Manager) wanted() bool {
	leftovers := len(m.keeper.places()) > 0
	m.mu.Lock()
	defer m.mu.Unlock()
	return leftovers || !m.left && len(m.cfg) > 0
}

// look has the supervisor look again.
func (m *Manager) look() {
	select {
	case m.wake <- struct{}{}:
	default: // a look is already due
	}
}

// startChild starts a child and tells it all it needs.
func (m *Manager) startChild() (process, error) {
	m.reloadMu.Lock() // so that the configuration's places are in the record
	defer m.reloadMu.Unlock()
	epoch := m.keeper.begin(time.Now())
	m.keeper.planned(m.planned())
	p, err := m.start(m.onMessage)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.proc, m.epoch, m.startedAt, m.hello, m.snap = p, epoch, time.Now(), nil, nil
	m.settle = 0 // it has no routers of an earlier plan
	m.planID++
	for _, v := range m.vips {
		v.newChild()
	}
	m.sendLocked(m.orders(m.adoptable(time.Now()))...)
	m.met.newChild()
	m.mu.Unlock()
	m.log.Info().Int("pid", p.PID()).Uint64("epoch", epoch).Msg("the VRRP process runs")
	m.healthOfChild()
	return p, nil
}

// orders is all that a child needs to know: the plan, what is released, the verdicts. The caller holds mu.
func (m *Manager) orders(adopt map[routerKey]bool) []*wire.Message {
	who := identity{id: m.planID, sender: senderOf(m.env.Node), epoch: m.epoch}
	if m.env.Keys != nil {
		who.secrets = m.env.Keys.Derive("vrrp", 32)
	}
	m.plannedAt = time.Now()
	cfg := m.cfg
	if m.left {
		cfg = nil // what is left is to be removed
	}
	plan := cfg.plan(who, m.keeper.places(), adopt)
	m.places = placesOf(plan)
	out := []*wire.Message{{Plan: plan}}
	if m.left {
		return out
	}
	for group := range m.releasedGroups() {
		m.doID++
		out = append(out, &wire.Message{Do: &wire.Do{ID: m.doID, Verb: wire.Release, Group: group}})
	}
	for _, group := range m.cfg.groupNames() {
		if v, ok := m.verdicts[group]; ok {
			out = append(out, &wire.Message{Verdict: &v})
		}
	}
	return out
}

// planned returns where the addresses of the next plan are.
func (m *Manager) planned() []wire.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return nil
	}
	return placesOf(m.cfg.plan(identity{}, nil, nil))
}

// adoptable returns the routers that no peer can have taken over yet. The caller holds mu.
func (m *Manager) adoptable(now time.Time) map[routerKey]bool {
	out := map[routerKey]bool{}
	for key, a := range m.adopt {
		if now.Sub(a.at) < a.down {
			out[key] = true
		}
	}
	return out
}

// sendLocked sends to the child. One that cannot be written to ends by itself, and the next is told everything.
func (m *Manager) sendLocked(ms ...*wire.Message) {
	if m.proc == nil || len(ms) == 0 {
		return
	}
	if err := m.proc.Send(ms...); err != nil && !errors.Is(err, fault.Unavailable) {
		m.proc.Kill(err)
	}
}

// attend waits for the child's end, which it brings about when ctx ends or no child is wanted any more.
func (m *Manager) attend(ctx context.Context, p process) {
	for {
		select {
		case <-p.Done():
			return
		case <-ctx.Done():
			m.leaveNow()
			m.stopChild(p)
			return
		case <-m.wake:
			if !m.wanted() {
				m.stopChild(p)
				return
			}
		}
	}
}

// leaveNow says that nothing is held any more.
func (m *Manager) leaveNow() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = true
}

// stopChild ends a child: asked, by the end of its socket, by force.
func (m *Manager) stopChild(p process) {
	m.mu.Lock()
	m.doID++
	_ = p.Send(&wire.Message{Do: &wire.Do{ID: m.doID, Verb: wire.Stop, Limit: time.Nanosecond}}) // it may have ended
	m.mu.Unlock()
	if waitDone(p, stopTime) {
		return
	}
	p.Hangup()
	if waitDone(p, hangupTime) {
		return
	}
	p.Kill(fault.New(fault.Timeout, "vip: the VRRP process did not end in %v", stopTime+hangupTime))
	<-p.Done()
}

func waitDone(p process, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.Done():
		return true
	case <-t.C:
		return false
	}
}

// childEnded takes in that there is no child any more; p is nil where none could be started. It reports whether that was
// unasked for, so that the next try is to wait.
func (m *Manager) childEnded(p process, err error) (unasked bool) {
	if p != nil && err == nil {
		m.keeper.only(nil) // it has removed everything
	}
	m.mu.Lock()
	m.proc, m.lastErr = nil, err
	unasked = (err != nil || !m.left && len(m.cfg) > 0) && !m.handed
	switch {
	case p != nil && err != nil && (!m.left || m.handed):
		m.noteAdoptable(err)
	case err == nil:
		clear(m.adopt)
	}
	if unasked {
		m.restarts++
	}
	for id, answer := range m.doing {
		answer <- fault.New(fault.Unavailable, "vip: the VRRP process ended")
		delete(m.doing, id)
	}
	close(m.idle)
	m.idle = make(chan struct{})
	m.mu.Unlock()
	if unasked {
		m.met.restarts.Inc()
		m.log.Error().Err(err).Msg("the VRRP process ended unasked")
	} else {
		m.log.Info().Msg("the VRRP process ended")
	}
	m.healthOfChild()
	return unasked
}

// noteAdoptable remembers the routers that were Active when the child died, or when an earlier one did, if this one had not yet
// said anything of them. The caller holds mu.
func (m *Manager) noteAdoptable(err error) {
	alive := time.Now()
	if errors.Is(err, fault.Timeout) { // it has not run for some time
		alive = alive.Add(-stuckTime)
	}
	next := map[routerKey]adoption{}
	for name, v := range m.vips {
		for family, r := range v.routers {
			key := routerKey{name, r.iface, r.vrid, family}
			if earlier, ok := m.adopt[key]; ok && !r.told {
				next[key] = earlier
			} else if r.told && r.state == stateActive && !r.leaving && r.down > 0 {
				next[key] = adoption{alive, r.down}
			}
		}
	}
	m.adopt = next
}

// beat tells the child that the daemon lives, four times in a Lifeline.
func (m *Manager) beat(ctx context.Context) error {
	for {
		lifeline := m.lifeline()
		pause := lifeline / 4
		if lifeline == 0 {
			pause = time.Second
		}
		if !sleep(ctx, pause) {
			return nil
		}
		if lifeline == 0 || m.env.Alive != nil && !m.env.Alive() {
			continue
		}
		m.mu.Lock()
		m.sendLocked(&wire.Message{Beat: &wire.Beat{}})
		m.mu.Unlock()
	}
}

// lifeline returns the daemon's Lifeline; it is the same for all VIPs.
func (m *Manager) lifeline() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range m.cfg {
		return v.Lifeline.Std()
	}
	return 0
}

// sleep waits for d; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
