package cached

import (
	"context"
	"reflect"
)

// Reload takes new sizes, limits and time-outs, and reads users and certificates again; what needs a restart is refused whole, so that the
// file always tells what runs. A limit of memory that a client set by cache_memlimit stays until the file names another.
//
// What may fail comes first: on an error nothing has changed. The daemon calls Reload once at a time.
func (s *Service) Reload(_ context.Context, c *Config) error {
	was := s.config()
	if err := reloadable(&was, c); err != nil {
		return err
	}
	var commits []func()
	for _, prepare := range s.rereadable() {
		commit, err := prepare()
		if err != nil {
			return err
		}
		commits = append(commits, commit)
	}
	if before := s.store.Limit(); c.Memory != was.Memory {
		if err := s.store.SetLimit(int64(c.Memory)); err != nil {
			return err
		}
		s.limitChanged(before, int64(c.Memory))
	}
	for _, commit := range commits {
		commit()
	}
	s.gate.Set(c.Connections, c.Full == "refuse")
	s.loops.SetLimits(s.limits(c))
	if s.tls != nil {
		s.tls.SetLimits(s.limits(c))
	}
	s.insight.publish(c.Publish)
	s.sessions.Publish.Store(len(c.Publish) > 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = *c
	return nil
}

// rereadable are the files that a reload reads again.
func (s *Service) rereadable() (all []func() (commit func(), err error)) {
	if s.logins != nil {
		all = append(all, s.logins.prepare)
	}
	if s.certs != nil {
		all = append(all, s.prepareCerts)
	}
	return all
}

// reloadable refuses what cannot change while the daemon runs.
func reloadable(was, now *Config) error {
	for _, k := range []struct {
		key      string
		was, now any
	}{
		{"listen", was.Listen, now.Listen}, {"socket_mode", was.SocketMode, now.SocketMode}, {"protocol", was.Protocol, now.Protocol},
		{"threads", was.Threads, now.Threads}, {"max_item", was.MaxItem, now.MaxItem}, {"evict", was.Evict, now.Evict},
		{"cas", was.CAS, now.CAS}, {"commands", was.Commands, now.Commands}, {"auth", was.Auth, now.Auth}, {"tls", was.TLS, now.TLS},
		{"udp", was.UDP, now.UDP}, {"resp", was.RESP, now.RESP}, {"warm", was.Warm, now.Warm},
	} {
		if !reflect.DeepEqual(k.was, k.now) {
			return refuseReload(k.key)
		}
	}
	return nil
}
