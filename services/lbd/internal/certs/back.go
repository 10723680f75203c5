package certs

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// BackOptions say how members of a pool are spoken to.
type BackOptions struct {
	CA         string // file of the authorities that their certificates come from; "": those of the system
	Cert, Key  string // what they are shown when they ask; "": nothing
	ServerName string // what their certificates are for; "": the host of each
	Insecure   bool   // their certificates are not verified
	HTTP2      bool   // offer HTTP/2 by ALPN
}

// maxSessions bounds the sessions that a Back keeps, to be resumed.
const maxSessions = 256

// Back is how members of a pool are met. It lives over reloads. Safe for concurrent use.
type Back struct {
	now atomic.Pointer[tls.Config]

	state *backState // guarded by the Keeper's lock
}

// Config returns the configuration for connections from now on: another one whenever files or options have changed. Where its ServerName is
// empty, that of each member, its host, is to be set in a clone. It is shared and not to be changed.
func (b *Back) Config() *tls.Config { return b.now.Load() }

// backState is what a Back knows of its files.
type backState struct {
	o     BackOptions
	entry *entry // nil: no certificate
	trust *trust // nil: the system's authorities
	now   *tls.Config
}

// prepareBack returns the state for options, from old where there is one.
func prepareBack(old *backState, o BackOptions, now time.Time) *backState {
	s := &backState{o: o}
	var had *entry
	var hadTrust *trust
	if old != nil {
		had, hadTrust = old.entry, old.trust
	}
	if o.Cert != "" {
		u := &unit{Source: Source{Cert: o.Cert, Key: o.Key}, member: true}
		if had != nil && had.id() != u.id() {
			had = nil
		}
		s.entry = refresh(had, u, now)
	}
	if o.CA != "" {
		s.trust = refreshTrust(hadTrust, &Clients{CA: o.CA}, now)
	}
	if old != nil && old.o == o && s.pair() == old.pair() && s.auth() == old.auth() {
		s.now = old.now
		return s
	}
	s.now = s.config()
	return s
}

func (s *backState) pair() *pair {
	if s.entry == nil {
		return nil
	}
	return s.entry.pair
}

func (s *backState) auth() *authorities {
	if s.trust == nil {
		return nil
	}
	return s.trust.auth
}

// config makes what connections are opened with. Sessions of before are forgotten: what they were verified by may have changed.
func (s *backState) config() *tls.Config {
	c := &tls.Config{
		ServerName: s.o.ServerName, InsecureSkipVerify: s.o.Insecure, NextProtos: []string{ProtoHTTP11},
		ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions), DynamicRecordSizingDisabled: true,
	}
	Policy{}.apply(c)
	if s.o.HTTP2 {
		c.NextProtos = []string{ProtoHTTP2, ProtoHTTP11}
	}
	if a := s.auth(); a != nil {
		c.RootCAs = a.pool
	}
	if p := s.pair(); p != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p.cert, nil }
	}
	return c
}

// problems returns all that is wrong, with the keys of the pool's section.
func (s *backState) problems() []Problem {
	var out []Problem
	if s.entry != nil {
		out = append(out, s.entry.problems...)
	}
	if s.trust != nil {
		out = append(out, s.trust.problems...)
	}
	for i := range out {
		out[i].At = out[i].At[len(out[i].At)-1:] // "cert", "key", "ca"
	}
	return out
}
