package cached

import (
	"crypto/tls"
	"strconv"
	"strings"

	"github.com/everup/everup/services/cached/internal/config"
	"github.com/everup/everup/services/cached/internal/conns"
	"github.com/everup/everup/services/cached/internal/stream"
)

// openTLS binds the listeners with TLS.
func (s *Service) openTLS() error {
	c := &s.cfg
	if c.TLS == nil {
		return nil
	}
	var err error
	if s.certs, err = stream.LoadCerts(certFiles(c.TLS)); err != nil {
		return err
	}
	var listeners []stream.Listener
	for i, e := range c.Listen {
		if !e.TLS {
			continue
		}
		ln, err := s.listen("memcached-"+strconv.Itoa(i), e)
		if err != nil {
			return err
		}
		listeners = append(listeners, stream.Listener{Net: ln, TLS: s.certs.Config(e.Mutual), Tag: tag(e.Tag), Only: s.protocol(e)})
	}
	s.tls = stream.New(stream.Options{
		Listeners: listeners, Factory: s.factory(), Env: &s.sessions, Gate: s.gate,
		Limits: s.limits(c), Hooks: conns.Hooks{Accept: s.acceptState, Bug: s.bug},
	})
	return nil
}

// certFiles says c in memcached's numbers.
func certFiles(c *config.TLS) stream.Files {
	return stream.Files{
		Chain: c.Cert, Key: c.Key, CA: c.CA, Min: int(tlsVersion(c.Version)) - tls.VersionTLS10,
		Verify: map[string]int{"none": 0, "request": 1, "require": 2}[c.Verify],
	}
}

func tlsVersion(name string) uint16 {
	return map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[name]
}

func tlsName(version uint16) string { return strings.TrimPrefix(tls.VersionName(version), "TLS ") }

// readCerts is the command refresh_certs.
func (s *Service) readCerts() error {
	commit, err := s.prepareCerts()
	if err == nil {
		commit()
	}
	return err
}

// prepareCerts reads the certificates again; commit gives them to new connections.
func (s *Service) prepareCerts() (commit func(), err error) {
	set, err := s.certs.Prepare()
	if err != nil {
		return nil, err
	}
	return func() { set(); s.env.Log.Info().Msg("certificates read") }, nil
}

// tlsStats are the lines of `stats` about TLS.
func (s *Service) tlsStats(p *pairs) {
	p.add("ssl_handshake_errors", s.tls.Stats().HandshakeErrors)
	p.add("ssl_min_version", s.certs.MinVersion())
	p.add("time_since_server_cert_refresh", int64(s.certs.Age().Seconds()))
}
