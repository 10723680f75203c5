package lbd

import (
	"context"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/vip"
)

// vipEnv is what the virtual addresses need of the floor and the service.
func (s *Service) vipEnv(env *daemon.Env) vip.Env {
	return vip.Env{
		Service: "lbd", Node: env.Node, Log: env.Log, Metrics: env.Metrics, Health: env.Health, Bus: env.Bus, Admin: env.Admin,
		Keys: env.Keys, State: env.State, Isolated: func() bool { return env.Fleet.View().Minority() }, Alive: s.alive,
	}
}

// alive takes the lock that a reload needs, and asks whether the engine's loops turn: a service that is stuck does not return, or says no.
func (s *Service) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.Turning()
}

func valueOf(pool string) string { return config.ValueBackends + "." + pool }

// tellBackends tells the virtual addresses how many members may serve, in all pools and in each.
func (s *Service) tellBackends() {
	s.healthMu.Lock() // one look and its telling are one step
	defer s.healthMu.Unlock()
	all := 0
	for _, p := range s.poolList() {
		well := p.Counts().Well
		s.vips.Set(valueOf(p.Name()), well)
		all += well
	}
	s.vips.Set(config.ValueBackends, all)
}

// foretell tells how many members pools that c brings will have: those that are not checked yet may serve. A VIP that tracks one of them
// would be at fault from its own reload to that of the pools, and move.
func (s *Service) foretell(c *Config) {
	view := s.env.Fleet.View()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, pc := range c.Pools {
		if s.pools[name] != nil {
			continue
		}
		n := 0
		for _, m := range pc.Members {
			if m.Weight > 0 {
				n++
			}
		}
		if pc.From != nil {
			n += len(fromGossip(pc.From, view, func(pool.ID) bool { return false }))
		}
		s.vips.Set(valueOf(string(name)), n)
	}
}

// leaveShare is the part of a drain's time that giving the addresses away may take: requests under way need the rest.
const leaveShare = 2

// leave gives the virtual addresses to other hosts.
func (s *Service) leave(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/leaveShare)
		defer cancel()
	}
	return s.vips.Leave(ctx)
}

// holdVIPs holds the virtual addresses, first those of the process before this one, which has told of them and let go.
func (s *Service) holdVIPs(ctx context.Context, told []byte) error {
	if err := s.vips.Adopt(told); err != nil {
		s.env.Log.Error().Err(err).Msg("the virtual addresses of the process before are held anew")
	}
	return s.vips.Run(ctx)
}
