package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// stapleLife is how long an OCSP answer is good that does not say so (RFC 6960 section 4.2.2.1 only tells that there may be a newer one).
const stapleLife = 7 * 24 * time.Hour

// skew is how far the clock of who signed may be ahead.
const skew = 5 * time.Minute

var (
	errRevoked  = errors.New("says that the certificate is revoked")
	errNoIssuer = errors.New("cannot be checked: the chain does not hold the issuer's certificate")
)

// staple is an OCSP answer that says that a certificate is good.
type staple struct {
	raw         []byte
	from, until time.Time
}

// parseStaple reads an answer for a certificate, in DER.
func parseStaple(b []byte, leaf, issuer *x509.Certificate) (*staple, error) {
	if issuer == nil {
		return nil, errNoIssuer
	}
	r, err := ocsp.ParseResponseForCert(b, leaf, issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("is no OCSP answer for the certificate: %w", err)
	case r.Status == ocsp.Revoked:
		return nil, errRevoked
	case r.Status != ocsp.Good:
		return nil, errors.New("does not say that the certificate is good")
	}
	s := &staple{raw: b, from: r.ThisUpdate, until: r.NextUpdate}
	if s.until.IsZero() {
		s.until = s.from.Add(stapleLife)
	}
	return s, nil
}

// good reports whether the answer may be sent.
func (s *staple) good(now time.Time) bool {
	return s != nil && !now.Before(s.from.Add(-skew)) && now.Before(s.until)
}

// mustStaple reports whether clients demand an OCSP answer with the certificate (RFC 7633).
func mustStaple(c *x509.Certificate) bool {
	feature := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	for _, e := range c.Extensions {
		if !e.Id.Equal(feature) {
			continue
		}
		var features []int
		rest, err := asn1.Unmarshal(e.Value, &features)
		return err == nil && len(rest) == 0 && slices.Contains(features, 5) // status_request
	}
	return false
}
