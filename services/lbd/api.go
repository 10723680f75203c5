package lbd

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/state"
)

// Change is the body of a call that overrides something of a member.
type Change struct {
	Pool   string        `json:"pool,omitempty"`   // on the bus; in a path on the admin socket
	Member string        `json:"member,omitempty"` // likewise
	Weight *int          `json:"weight,omitempty"` // for weight, 0 to 1000; absent: the configured one again
	Reason string        `json:"reason,omitempty"`
	For    conf.Duration `json:"for,omitempty"`   // 0: until undone
	Force  bool          `json:"force,omitempty"` // for drain: sessions that stick to the member go elsewhere, too
}

// Pools is the answer of GET /v1/pools.
type Pools struct {
	Pools     []pool.Status    `json:"pools"`
	Overrides []state.Override `json:"overrides"`
}

// changes are the calls that override, by verb.
func (s *Service) changes() map[string]func(Change, string) error {
	return map[string]func(Change, string) error{"drain": s.drain, "undrain": s.undrain, "weight": s.weight}
}

// api registers lbd's calls on the admin socket and the bus.
func (s *Service) api() error {
	s.env.Admin.Handle("GET /v1/pools", "The pools, their members, and what is overridden.",
		func(context.Context, *admin.Request) (any, error) { return s.Pools(), nil })
	s.env.Admin.Handle("GET /v1/traffic", "What passed so far, by route, pool and member.",
		func(context.Context, *admin.Request) (any, error) { return s.Traffic(), nil })
	s.handleCertificates()
	s.dosAPI()
	docs := map[string]string{
		"drain":   "Give a member no new requests but those of sessions that stick to it; with force none at all (reason, for, force).",
		"undrain": "Let a drained member serve again.",
		"weight":  "Override a member's weight (weight, reason, for); without weight the configured one counts again.",
	}
	if err := s.maintenanceAPI(); err != nil {
		return err
	}
	for verb, f := range s.changes() {
		s.env.Admin.Handle("POST /v1/pools/{pool}/members/{member}/"+verb, docs[verb],
			func(_ context.Context, r *admin.Request) (any, error) {
				c, err := readChange(r.Body)
				if err != nil {
					return nil, err
				}
				c.Pool, c.Member = r.Path["pool"], r.Path["member"]
				return s.change(f, c, r.By)
			})
		err := s.env.Bus.Handle(verb, docs[verb], func(_ context.Context, from string, body []byte) (any, error) {
			c, err := readChange(body)
			if err != nil {
				return nil, err
			}
			return s.change(f, c, "bus "+from)
		})
		if err != nil {
			return err
		}
	}
	return s.env.Bus.Handle("pools", "The pools and their members.", func(context.Context, string, []byte) (any, error) {
		return s.Pools(), nil
	})
}

func readChange(body []byte) (c Change, err error) {
	if len(body) == 0 {
		return c, nil
	}
	return c, fault.Wrap(fault.Invalid, json.Unmarshal(body, &c), "lbd: read the request")
}

// change does f and answers with the pool as it is then.
func (s *Service) change(f func(Change, string) error, c Change, by string) (any, error) {
	p, err := s.poolOf(c)
	if err != nil {
		return nil, err
	}
	if err := f(c, by); err != nil {
		return nil, err
	}
	s.refresh()
	return p.Status(time.Now()), nil
}

func (s *Service) poolOf(c Change) (*pool.Pool, error) {
	s.mu.Lock()
	p := s.pools[conf.Name(c.Pool)]
	s.mu.Unlock()
	if p == nil {
		return nil, fault.New(fault.NotFound, "lbd: there is no pool %q", c.Pool)
	}
	if !p.Has(pool.ID(c.Member)) {
		return nil, fault.New(fault.NotFound, "lbd: pool %s has no member %q", c.Pool, c.Member)
	}
	return p, nil
}

func (s *Service) drain(c Change, by string) error {
	if c.Force {
		return s.override(c, by, fieldState, drainedAll)
	}
	return s.override(c, by, fieldState, drained)
}

func (s *Service) undrain(c Change, _ string) error { return s.clear(c, fieldState) }

func (s *Service) weight(c Change, by string) error {
	if c.Weight == nil {
		return s.clear(c, fieldWeight)
	}
	if *c.Weight < 0 || *c.Weight > 1000 {
		return fault.New(fault.Invalid, "lbd: weight %d is not within 0 to 1000", *c.Weight)
	}
	return s.override(c, by, fieldWeight, strconv.Itoa(*c.Weight))
}

func (s *Service) override(c Change, by, field, value string) error {
	if c.For < 0 {
		return fault.New(fault.Invalid, "lbd: for is negative")
	}
	v := state.Override{
		Object: objectOf(c.Pool, pool.ID(c.Member)), Field: field, Value: value, Reason: c.Reason, By: by, Since: time.Now(),
	}
	if c.For > 0 {
		v.Expires = v.Since.Add(c.For.Std())
	}
	return s.overrides.Set(v)
}

func (s *Service) clear(c Change, field string) error {
	return s.overrides.Clear(objectOf(c.Pool, pool.ID(c.Member)), field)
}

// Pools returns the pools by name, and the overrides in force.
func (s *Service) Pools() Pools {
	return Pools{Pools: s.poolStatus(), Overrides: s.overrides.List(time.Now())}
}

// poolList returns the pools by name.
func (s *Service) poolList() []*pool.Pool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*pool.Pool, 0, len(s.pools))
	for _, name := range slices.Sorted(maps.Keys(s.pools)) {
		out = append(out, s.pools[name])
	}
	return out
}

func (s *Service) poolStatus() []pool.Status {
	now := time.Now()
	out := []pool.Status{}
	for _, p := range s.poolList() {
		out = append(out, p.Status(now))
	}
	return out
}
