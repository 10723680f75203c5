package vip

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/everup/everup/shared/fault"
)

// heir is one of what HandOver returns: a router that stays Active, as it is to be adopted.
type heir struct {
	VIP       string        `json:"vip"`
	Interface string        `json:"interface"`
	VRID      int           `json:"vrid"`
	Family    int           `json:"family"`
	At        time.Time     `json:"at"`   // when the child was last alive
	Down      time.Duration `json:"down"` // after which a peer has taken over
}

var errHandedOver = errors.New("its addresses go to another process of this host")

// HandOver ends the child and leaves its addresses where they are, for another process of this host that takes this one's place: what it
// returns is for Adopt there. Nothing is held from then on, and the end of Run removes nothing. Where no child runs there is nothing to be
// adopted. ctx bounds the wait for the child's end.
func (m *Manager) HandOver(ctx context.Context) ([]byte, error) {
	m.mu.Lock()
	m.left, m.handed = true, true
	p := m.proc
	m.mu.Unlock()
	if p != nil {
		p.Kill(errHandedOver)
	}
	m.look()
	select {
	case <-m.done:
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Timeout, ctx.Err(), "vip: hand over")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []heir
	for key, a := range m.adopt {
		out = append(out, heir{key.vip, key.iface, key.vrid, key.family, a.at, a.down})
	}
	return json.Marshal(out)
}

// Adopt takes what HandOver of the process before this one returned: the first child is to adopt what no peer can have taken over. Call it
// before Run. Both processes run on one host, so that their clocks agree.
func (m *Manager) Adopt(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	var in []heir
	if err := json.Unmarshal(b, &in); err != nil {
		return fault.Wrap(fault.Corrupt, err, "vip: adopt")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range in {
		m.adopt[routerKey{h.VIP, h.Interface, h.VRID, h.Family}] = adoption{h.At, h.Down}
	}
	return nil
}
