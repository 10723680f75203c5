package vip

import (
	"context"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// maxDoing bounds the requests that wait for the child's answer.
const maxDoing = 32

// SwitchOver gives the addresses of the VIP, and of its group, to a peer and returns when it has them. This host stays as
// Backup, and does not take them back before the peer is lost. fault.Conflict: no peer takes them, or they are not here.
func (m *Manager) SwitchOver(ctx context.Context, vip string) error {
	return m.doGroup(ctx, vip, wire.SwitchOver)
}

// TakeOver makes this host hold the addresses of the VIP, and of its group, although a peer does. fault.Conflict: it would have no success.
func (m *Manager) TakeOver(ctx context.Context, vip string) error {
	return m.doGroup(ctx, vip, wire.TakeOver)
}

// Release gives the addresses of the VIP, and of its group, to a peer, or away where there is none, and takes no part any more:
// until Resume, also after a restart of the daemon. "" stands for all VIPs. Where ctx ends before a peer has them
// they are released all the same, a little later.
func (m *Manager) Release(ctx context.Context, vip string) error {
	return m.release(ctx, vip, m.env.Service)
}

// Resume ends Release.
func (m *Manager) Resume(ctx context.Context, vip string) error {
	group, members, err := m.find(vip)
	if err != nil {
		return err
	}
	m.keeper.resume(members)
	m.log.Info().Str("vip", vip).Msg("virtual addresses are resumed")
	return m.tellChild(ctx, &wire.Do{Verb: wire.Resume, Group: group})
}

func (m *Manager) release(ctx context.Context, vip, by string) error {
	group, members, err := m.find(vip)
	if err != nil {
		return err
	}
	m.keeper.release(members, by, time.Now()) // first: a child that starts now is to know
	m.log.Warn().Str("vip", vip).Str("by", by).Msg("virtual addresses are released, until they are resumed by hand")
	return m.tellChild(ctx, &wire.Do{Verb: wire.Release, Group: group})
}

// find returns the group of a VIP and the VIPs in it; of all VIPs for "".
func (m *Manager) find(vip string) (group string, members []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if vip == "" {
		return "", m.namesLocked(), nil
	}
	v := m.cfg[conf.Name(vip)]
	if v == nil {
		return "", nil, fault.New(fault.NotFound, "vip: there is no VIP %q", vip)
	}
	group = string(v.group(conf.Name(vip)))
	return group, m.cfg.members(group), nil
}

// releasedGroups returns the groups of which a VIP was released. The caller holds mu.
func (m *Manager) releasedGroups() map[string]bool {
	out := map[string]bool{}
	for name := range m.keeper.released() {
		if v := m.cfg[conf.Name(name)]; v != nil {
			out[string(v.group(conf.Name(name)))] = true
		}
	}
	return out
}

func (m *Manager) doGroup(ctx context.Context, vip string, verb wire.Verb) error {
	group, _, err := m.find(vip)
	if err != nil {
		return err
	}
	if vip == "" {
		return fault.New(fault.Invalid, "vip: %s: which VIP?", verb)
	}
	return m.ask(ctx, &wire.Do{Verb: verb, Group: group})
}

// tellChild asks the child for what is in the record already: without a child it is done, for the next one will be told.
func (m *Manager) tellChild(ctx context.Context, d *wire.Do) error {
	m.mu.Lock()
	none := m.proc == nil
	m.mu.Unlock()
	if none {
		m.refresh()
		return nil
	}
	return m.ask(ctx, d)
}

// ask asks the child and waits for its answer.
func (m *Manager) ask(ctx context.Context, d *wire.Do) error {
	answer := make(chan error, 1)
	m.mu.Lock()
	err := m.askLocked(d, answer)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	m.mu.Lock()
	delete(m.doing, d.ID)
	m.mu.Unlock()
	return fault.Wrap(fault.Of(ctx.Err()), ctx.Err(), "vip: %s %s: no answer yet; it may still be done", d.Verb, d.Group)
}

func (m *Manager) askLocked(d *wire.Do, answer chan error) error {
	switch {
	case m.proc == nil:
		return fault.New(fault.Unavailable, "vip: %s %s: the VRRP process does not run", d.Verb, d.Group)
	case len(m.doing) >= maxDoing:
		return fault.New(fault.Full, "vip: %s %s: %d requests wait already", d.Verb, d.Group, maxDoing)
	}
	m.doID++
	d.ID = m.doID
	if err := m.proc.Send(&wire.Message{Do: d}); err != nil {
		return err
	}
	m.doing[d.ID] = answer
	return nil
}
