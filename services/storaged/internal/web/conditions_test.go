package web

import (
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/everup/everup/services/storaged/internal/names"
)

func FuzzPreconditions(f *testing.F) {
	f.Add(`"a", W/"b"`, "*")
	f.Add(`W/`, `"`)
	sha := sha256.Sum256(nil)
	f.Add(etagOf(""), etagOf(""))
	f.Fuzz(func(t *testing.T, match, noneMatch string) {
		p, err := parsePreconditions(http.Header{"If-Match": {match}, "If-None-Match": {noneMatch}})
		if err != nil {
			return
		}
		e := names.Entry{SHA256: sha}
		if p.check(e, true) == nil && noneMatch == "*" {
			t.Fatal("If-None-Match: * holds although the object exists")
		}
		if p.check(e, false) == nil {
			t.Fatal("If-Match holds although there is no object")
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add(reprDigest(sha256.Sum256(nil)))
	f.Add("sha-256=:::, sha-512=")
	f.Fuzz(func(t *testing.T, v string) {
		d, err := parseDigests(http.Header{"Repr-Digest": {v}})
		if err == nil && d.sha256 != nil && len(d.sha256) != sha256.Size {
			t.Fatalf("digest of %d bytes", len(d.sha256))
		}
	})
}
