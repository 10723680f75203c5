package web

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// digests are the checksums that a sender gave for its body, nil where it gave none.
type digests struct {
	sha256, md5 []byte
	sum         hash.Hash // of MD5, while the body comes
}

// parseDigests reads Repr-Digest and Content-Digest (RFC 9530; of their algorithms sha-256, others are passed over) and
// Content-MD5 (RFC 1864). A PUT's body is the whole representation, so the two digests are one here.
func parseDigests(h http.Header) (d digests, err error) {
	for _, field := range []string{"Repr-Digest", "Content-Digest"} {
		v, err := parseDigestField(h, field)
		if err != nil {
			return d, err
		}
		if v != nil && d.sha256 != nil && string(v) != string(d.sha256) {
			return d, fault.New(fault.Invalid, "web: Repr-Digest and Content-Digest differ")
		}
		if v != nil {
			d.sha256 = v
		}
	}
	if s := h.Get("Content-MD5"); s != "" {
		d.md5, err = base64.StdEncoding.DecodeString(s)
		if err != nil || len(d.md5) != md5.Size {
			return d, fault.New(fault.Invalid, "web: Content-MD5 is no MD5 in base64")
		}
		d.sum = md5.New()
	}
	return d, nil
}

// parseDigestField finds sha-256 in a dictionary of byte sequences (RFC 8941 §3.2).
func parseDigestField(h http.Header, field string) ([]byte, error) {
	var found []byte
	for item := range strings.SplitSeq(strings.Join(h.Values(field), ","), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		if key != "sha-256" {
			continue
		}
		value, _, _ = strings.Cut(value, ";") // parameters mean nothing here
		inner, ok1 := strings.CutPrefix(strings.TrimSpace(value), ":")
		inner, ok2 := strings.CutSuffix(inner, ":")
		b, err := base64.StdEncoding.DecodeString(inner)
		if !ok1 || !ok2 || err != nil || len(b) != sha256.Size {
			return nil, fault.New(fault.Invalid, "web: %s has no SHA-256 where it says so", field)
		}
		found = b // the last of equal keys counts
	}
	return found, nil
}

// tee returns w, and what is needed to compute MD5 on the way.
func (d *digests) tee(w io.Writer) io.Writer {
	if d.sum == nil {
		return w
	}
	return io.MultiWriter(w, d.sum)
}

// verify compares what came with what was announced.
func (d *digests) verify(sha [32]byte) error {
	if d.sha256 != nil && string(d.sha256) != string(sha[:]) {
		return fault.New(fault.Invalid, "web: the body's SHA-256 is not the one of its digest field")
	}
	if d.md5 != nil && string(d.md5) != string(d.sum.Sum(nil)) {
		return fault.New(fault.Invalid, "web: the body's MD5 is not the one of Content-MD5")
	}
	return nil
}

// reprDigest is the value of Repr-Digest for a body.
func reprDigest(sha [32]byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sha[:]) + ":"
}
