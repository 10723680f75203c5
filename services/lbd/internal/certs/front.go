package certs

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// The protocols that clients are offered by ALPN (RFC 7301).
const (
	ProtoHTTP2  = "h2"
	ProtoHTTP11 = "http/1.1"
	ProtoHTTP10 = "http/1.0"
)

// snapshot is what handshakes see of a front. Only its ticket keys change.
type snapshot struct {
	names    index
	fallback []*shown // for other names
	strict   bool
	plain    *tls.Config // HTTP/1 alone
	http2    *tls.Config
	refuse   *tls.Config // ends a handshake with unrecognized_name
	tickets  Tickets
	scope    string

	mu     sync.Mutex
	period int64 // of the ticket keys; guarded by mu
	keyed  bool
}

// configure makes the configurations.
func (s *snapshot) configure(o Options, auth *authorities) {
	c := &tls.Config{GetCertificate: s.choose, SessionTicketsDisabled: o.Tickets.Off, NextProtos: []string{ProtoHTTP11, ProtoHTTP10}}
	c.DynamicRecordSizingDisabled = true // full records: an answer goes out in one call
	o.Policy.apply(c)
	if auth != nil {
		c.ClientAuth, c.ClientCAs, c.VerifyConnection = tls.VerifyClientCertIfGiven, auth.pool, auth.verify
		if o.Clients.Required {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
		s.scope += "\x00" + auth.scope
		if o.Clients.Required {
			s.scope += "\x00required"
		}
	}
	s.plain = c
	s.http2 = c.Clone()
	s.http2.NextProtos = []string{ProtoHTTP2, ProtoHTTP11, ProtoHTTP10}
	// A configuration without certificates is what crypto/tls answers with unrecognized_name.
	s.refuse = &tls.Config{MinVersion: c.MinVersion, MaxVersion: c.MaxVersion, SessionTicketsDisabled: true}
}

// renew gives the configurations the ticket keys of the period.
func (s *snapshot) renew(from Deriver, now time.Time) {
	if s.tickets.Off {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	period := s.tickets.period(now)
	if s.keyed && s.period == period {
		return
	}
	s.period, s.keyed = period, true
	keys := s.tickets.keys(from, s.scope, period)
	s.plain.SetSessionTicketKeys(keys)
	s.http2.SetSessionTicketKeys(keys)
}

// find returns the certificates for what a client asks for.
func (s *snapshot) find(name string) []*shown {
	if found := s.names.find(name); found != nil {
		return found
	}
	if s.strict {
		return nil
	}
	return s.fallback
}

// choose is GetCertificate. No certificate and no error make crypto/tls answer with unrecognized_name.
func (s *snapshot) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	found := s.find(hello.ServerName)
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0].cert, nil
	}
	// The name is decided on; a default is shown for any.
	any := *hello
	any.ServerName = ""
	for _, c := range found[:len(found)-1] {
		if any.SupportsCertificate(c.cert) == nil {
			return c.cert, nil
		}
	}
	return found[len(found)-1].cert, nil
}

// Front is how clients are met: certificates by name, a policy, client certificates, tickets. It lives over reloads. Safe for concurrent use.
type Front struct {
	name    string
	keys    Deriver
	outer   [2]*tls.Config // without and with HTTP/2
	now     atomic.Pointer[snapshot]
	unknown *atomic.Uint64 // of all fronts

	state *state // guarded by the Keeper's lock
}

func newFront(name string, keys Deriver, unknown *atomic.Uint64) *Front {
	f := &Front{name: name, keys: keys, unknown: unknown}
	for i := range f.outer {
		f.outer[i] = &tls.Config{
			MinVersion: tls.VersionTLS12, // what is used is the snapshot's
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				return f.configFor(hello, i == 1), nil
			},
		}
	}
	return f
}

// Name returns the name of the configuration's section.
func (f *Front) Name() string { return f.name }

// Config returns the configuration for a listener, which stays the same over reloads; each handshake takes what is in force when its
// ClientHello has come. http2 offers HTTP/2 by ALPN.
func (f *Front) Config(http2 bool) *tls.Config {
	if http2 {
		return f.outer[1]
	}
	return f.outer[0]
}

// configFor decides on the configuration of one handshake.
func (f *Front) configFor(hello *tls.ClientHelloInfo, http2 bool) *tls.Config {
	s := f.now.Load()
	known := s.names.find(hello.ServerName) != nil
	if !known {
		f.unknown.Add(1)
	}
	switch {
	case s.strict && !known: // also of a session that was made under another name
		return s.refuse
	case http2:
		return s.http2
	}
	return s.plain
}
