package cached

import (
	"context"
	"reflect"
)

// Reload takes new sizes, limits and time-outs, and reads users and certificates again; what needs a restart is refused whole, so that the
// file always tells what runs.
func (s *Service) Reload(_ context.Context, c *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reloadable(c); err != nil {
		return err
	}
	if s.logins != nil {
		if err := s.logins.reload(); err != nil {
			return err
		}
	}
	if s.certs != nil {
		if err := s.readCerts(); err != nil {
			return err
		}
	}
	if before := s.store.Limit(); c.Memory != s.cfg.Memory {
		if err := s.store.SetLimit(int64(c.Memory)); err != nil {
			return err
		}
		s.limitChanged(before, int64(c.Memory))
	}
	s.gate.Set(c.Connections, c.Full == "refuse")
	s.loops.SetLimits(s.limits(c))
	if s.tls != nil {
		s.tls.SetLimits(s.limits(c))
	}
	s.insight.publish(c.Publish)
	s.sessions.Publish.Store(len(c.Publish) > 0)
	s.cfg = *c
	return nil
}

// reloadable refuses what cannot change while the daemon runs.
func (s *Service) reloadable(c *Config) error {
	for _, k := range []struct {
		key      string
		was, now any
	}{
		{"listen", s.cfg.Listen, c.Listen}, {"socket_mode", s.cfg.SocketMode, c.SocketMode}, {"protocol", s.cfg.Protocol, c.Protocol},
		{"threads", s.cfg.Threads, c.Threads}, {"max_item", s.cfg.MaxItem, c.MaxItem}, {"evict", s.cfg.Evict, c.Evict},
		{"cas", s.cfg.CAS, c.CAS}, {"commands", s.cfg.Commands, c.Commands}, {"auth", s.cfg.Auth, c.Auth}, {"tls", s.cfg.TLS, c.TLS},
		{"udp", s.cfg.UDP, c.UDP}, {"resp", s.cfg.RESP, c.RESP}, {"warm", s.cfg.Warm, c.Warm},
	} {
		if !reflect.DeepEqual(k.was, k.now) {
			return refuseReload(k.key)
		}
	}
	return nil
}
