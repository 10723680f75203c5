package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
)

// TLSConfig is how a check speaks TLS, and what it wants of the certificate.
type TLSConfig struct {
	ServerName string `yaml:"server_name" doc:"Name to send (SNI) and to verify. Default: the HTTP host or the target's name."`
	Verify     bool   `yaml:"verify" default:"true" doc:"Refuse a certificate that is expired, of another name, or of an unknown authority."`
	CAFile     string `yaml:"ca_file" doc:"PEM file of the authorities to trust in place of the system's. Read when the check is made."`
	MinDays    int    `yaml:"min_days" default:"14" min:"0" max:"3650" doc:"Warn when the certificate is valid for fewer days than this. 0 warns only when it has expired."`
}

// Validate reports a path that is not absolute.
func (c *TLSConfig) Validate(r *conf.Report) { checkAbsolute(r, "ca_file", c.CAFile) }

// maxCAFile bounds a file of authorities; Debian's whole bundle is a quarter of it.
const maxCAFile = 1 << 20

// tlsSection is a TLSConfig made ready.
type tlsSection struct {
	TLSConfig
	roots *x509.CertPool
}

func newTLSSection(c *TLSConfig) (*tlsSection, error) {
	s := &tlsSection{TLSConfig: *sectionOr(c)}
	if s.CAFile == "" {
		return s, nil
	}
	fi, err := os.Stat(s.CAFile)
	if err != nil {
		return nil, err
	}
	if fi.Size() > maxCAFile {
		return nil, fault.New(fault.Full, "%s is larger than %d bytes", s.CAFile, maxCAFile)
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Config, "no certificate in %s", s.CAFile)
	}
	return s, nil
}

// config returns the client configuration for t.
func (s *tlsSection) config(t Target, alpn ...string) *tls.Config {
	return &tls.Config{
		ServerName:         t.nameOr(s.ServerName),
		InsecureSkipVerify: !s.Verify,
		RootCAs:            s.roots,
		NextProtos:         alpn,
		MinVersion:         tls.VersionTLS12,
		// A check is to see the full handshake that a new client sees.
		SessionTicketsDisabled: true,
	}
}

// handshake makes c a TLS connection and judges the certificate.
func (s *tlsSection) handshake(ctx context.Context, c *conn, t Target) (*tls.Conn, outcome, error) {
	tc := tls.Client(c, s.config(t))
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, outcome{}, fault.Wrap(classOf(ctx, err), err, "TLS handshake")
	}
	return tc, s.judge(tc.ConnectionState(), time.Now()), nil
}

// judge says how long the certificate of a connection is still valid.
func (s *tlsSection) judge(st tls.ConnectionState, now time.Time) outcome {
	if len(st.PeerCertificates) == 0 {
		return outcome{}
	}
	left := st.PeerCertificates[0].NotAfter.Sub(now)
	days := int(left.Hours() / 24)
	detail := fmt.Sprintf("%s, certificate expires in %d days", tls.VersionName(st.Version), days)
	if left <= 0 {
		detail = fmt.Sprintf("%s, certificate expired %d days ago", tls.VersionName(st.Version), -days)
	}
	return outcome{detail: detail, warn: left <= 0 || days < s.MinDays}
}

func newTLS(cfg *Config, d dialer) (checkFunc, error) {
	s, err := newTLSSection(cfg.TLS)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, t Target) (outcome, error) {
		c, err := d.dial(ctx, "tcp", t)
		if err != nil {
			return outcome{}, err
		}
		defer c.Close()
		tc, out, err := s.handshake(ctx, c, t)
		if err != nil {
			return outcome{}, err
		}
		_ = tc.Close() // says goodbye (close_notify); c's deadline bounds it
		return out, nil
	}, nil
}

// optionalTLS is newTLSSection for the types whose TLS is off where the section is absent.
func optionalTLS(c *TLSConfig) (*tlsSection, error) {
	if c == nil {
		return nil, nil
	}
	return newTLSSection(c)
}

// wrap is handshake for an optional section: without one c stays plain.
func (s *tlsSection) wrap(ctx context.Context, c *conn, t Target) (net.Conn, outcome, error) {
	if s == nil {
		return c, outcome{}, nil
	}
	tc, out, err := s.handshake(ctx, c, t)
	if err != nil {
		return nil, out, err
	}
	return tc, out, nil
}
