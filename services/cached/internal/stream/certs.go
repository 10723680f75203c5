package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
)

// Files say where certificates are and what is demanded of clients, as memcached's -o options do.
type Files struct {
	Chain string // ssl_chain_cert: PEM, the server's certificate first
	Key   string // ssl_key: PEM; "" when it is in Chain
	CA    string // ssl_ca_cert: PEM, authorities of clients' certificates
	// Verify is ssl_verify_mode: 0 no certificate of the client is asked for, 1 one that is shown must be good, 2 and 3 it must show one.
	// (3 is 2 without asking again in a renegotiation, which there is none of.)
	Verify int
	// Min is ssl_min_version: 0 to 3 for TLS 1.0 to 1.3. memcached's default is 2.
	Min int
}

// DefaultMin is TLS 1.2.
const DefaultMin = 2

var (
	verifyModes = [...]tls.ClientAuthType{tls.NoClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert, tls.RequireAndVerifyClientCert}
	minVersions = [...]uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13}
)

// Certs holds the certificates that new connections are given. Load replaces all at once; connections that are there keep theirs.
// It is safe for concurrent use.
type Certs struct {
	files Files
	now   atomic.Pointer[snapshot]
}

type snapshot struct {
	config *tls.Config
	mutual *tls.Config // for listeners that demand a certificate, whatever Verify says; nil without authorities
	read   time.Time
}

// LoadCerts reads the files for the first time. What does not fit together is fault.Config.
func LoadCerts(f Files) (*Certs, error) {
	c := &Certs{files: f}
	return c, c.Load()
}

// Load reads the files again, for refresh_certs. With an error all stays as it is.
func (c *Certs) Load() error {
	commit, err := c.Prepare()
	if err == nil {
		commit()
	}
	return err
}

// Prepare reads the files again; nothing changes before commit is called, so that a reload of several things is done whole or not at all.
func (c *Certs) Prepare() (commit func(), err error) {
	s, err := c.files.read()
	if err != nil {
		return nil, fault.Wrap(fault.Config, err, "stream: certificates")
	}
	return func() { c.now.Store(s) }, nil
}

func (f *Files) read() (*snapshot, error) {
	if f.Verify < 0 || f.Verify >= len(verifyModes) {
		return nil, fmt.Errorf("ssl_verify_mode is %d, not 0 to 3", f.Verify)
	}
	if f.Min < 0 || f.Min >= len(minVersions) {
		return nil, fmt.Errorf("ssl_min_version is %d, not 0 to 3", f.Min)
	}
	key := f.Key
	if key == "" {
		key = f.Chain
	}
	pair, err := tls.LoadX509KeyPair(f.Chain, key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: minVersions[f.Min], ClientAuth: verifyModes[f.Verify],
	}
	s := &snapshot{config: config, read: time.Now()}
	if f.CA != "" {
		if config.ClientCAs, err = readPool(f.CA); err != nil {
			return nil, err
		}
		s.mutual = config.Clone()
		s.mutual.ClientAuth = tls.RequireAndVerifyClientCert
	} else if f.Verify > 0 {
		// crypto/tls would trust whatever the host's authorities have signed.
		return nil, errors.New("ssl_verify_mode demands certificates of clients, but there is no ssl_ca_cert to verify them by")
	}
	return s, nil
}

func readPool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}

// Config is the configuration for a listener; each handshake takes the certificates as they are then. mutual demands a certificate of the
// client even where Verify does not (`-l mtls:`).
func (c *Certs) Config(mutual bool) *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		s := c.now.Load()
		switch {
		case !mutual:
			return s.config, nil
		case s.mutual == nil:
			return nil, errors.New("the listener demands certificates of clients, but there is no ssl_ca_cert to verify them by")
		}
		return s.mutual, nil
	}}
}

// Mutual tells whether there are authorities for a listener that demands certificates.
func (c *Certs) Mutual() bool { return c.now.Load().mutual != nil }

// Age is the time since the certificates were read, for time_since_server_cert_refresh.
func (c *Certs) Age() time.Duration { return time.Since(c.now.Load().read) }

// MinVersion is the word for ssl_min_version in `stats settings`.
func (c *Certs) MinVersion() string {
	return [...]string{"tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"}[c.files.Min]
}

// clientName is the name in a client's verified certificate: the common name, else the first alternative one.
func clientName(s tls.ConnectionState) string {
	if len(s.VerifiedChains) == 0 {
		return ""
	}
	c := s.PeerCertificates[0]
	switch {
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	}
	return c.SerialNumber.String()
}
