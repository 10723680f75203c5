package lbd

import (
	"github.com/everup/everup/services/lbd/internal/affinity"
	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/probe"
)

// settings are a pool's configuration in the terms of package pool.
func settings(p *config.Pool, sessions *affinity.Sessions) *pool.Settings {
	s := &pool.Settings{
		Rules: rules(p), Check: checkOf(p), Connect: p.Connect.Std(), Timeout: p.Timeout.Std(), PerTry: p.Retries.PerTry.Std(),
		Retries: p.Retries.Max, RetryOn: statuses(p.Retries.Statuses), MaxBody: int64(p.MaxBody),
	}
	if sessions != nil {
		s.Sessions = sessions
	}
	if p.Queue != nil {
		s.Wait = p.Queue.Timeout.Std()
	}
	return s
}

// rules are what of it decides about members.
func rules(p *config.Pool) pool.Rules {
	r := pool.Rules{
		Balance: pool.Balance(p.Balance), SlowStart: p.SlowStart.Std(), Failback: p.Failback.Std(), Panic: p.Panic,
		MaxRequests: p.Requests, MaxRetries: p.Retries.AtOnce, Budget: p.Retries.Percent, Failures: statuses(p.Failures),
	}
	if p.Balance == string(pool.Hash) {
		r.LoadFactor = hashOf(p).LoadFactor
	}
	if p.Queue != nil {
		r.Queue = p.Queue.Length
	}
	if o := p.Outliers; o != nil {
		r.Outliers = pool.Outliers{
			Consecutive: o.Consecutive, Interval: o.Interval.Std(), Ejection: o.Ejection.Std(), MaxEjection: o.MaxEjection.Std(),
			MaxEjected: o.MaxEjected, Deviations: o.Deviations, MinMembers: o.MinMembers, MinRequests: o.MinRequests,
		}
	}
	if b := p.Breaker; b != nil {
		r.Breaker = pool.BreakerRules{
			Percent: b.Failures, MinRequests: b.MinRequests, Window: b.Window.Std(), Open: b.Open.Std(), Trials: b.Trials,
		}
	}
	return r
}

// hashOf returns what balance: hash goes by; without the section by its defaults.
func hashOf(p *config.Pool) *config.Hash {
	if p.Hash != nil {
		return p.Hash
	}
	h := new(config.Hash)
	conf.SetDefaults(h)
	return h
}

// newKeys returns what pools that balance by hash go by.
func newKeys(c *Config) (map[conf.Name]*affinity.Key, error) {
	out := map[conf.Name]*affinity.Key{}
	for name, p := range c.Pools {
		if p.Balance != string(pool.Hash) {
			continue
		}
		k, err := hashOf(p).Compile()
		if err != nil {
			return nil, fault.Wrap(fault.Config, err, "lbd: pools.%s.hash", name)
		}
		out[name] = k
	}
	return out, nil
}

// sessionsOf returns the sessions of a pool, nil if its clients do not stick.
func (s *Service) sessionsOf(name conf.Name, p *config.Pool) *affinity.Sessions {
	if p.Sticky == nil {
		return nil
	}
	return affinity.NewSessions(p.Sticky.Cookie, string(name), p.Sticky.Attributes(), s.sessionKeys)
}

// statuses is a set of the configuration as one that is quick to look into.
func statuses(in probe.Statuses) (out pool.Statuses) {
	for code := 100; code <= 599; code++ {
		if in.Contain(code) {
			out.Add(code)
		}
	}
	return out
}
