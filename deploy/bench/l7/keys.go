package l7

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// keyPair is a certificate with its key in files.
type keyPair struct {
	cert, key, both string // paths
	pool            *x509.CertPool
}

// makeKeys makes a certificate of ECDSA P-256 for 127.0.0.1, which all proxies use.
func makeKeys(dir string) (keyPair, error) {
	k := keyPair{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), both: filepath.Join(dir, "both.pem"), pool: x509.NewCertPool()}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return k, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return k, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	k.pool.AppendCertsFromPEM(cert)
	for path, b := range map[string][]byte{k.cert: cert, k.key: key, k.both: slices.Concat(cert, key)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			return k, err
		}
	}
	return k, nil
}
