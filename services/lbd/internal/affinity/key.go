package affinity

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/ring"
)

// kind is what a key is taken from.
type kind uint8

const (
	uri kind = iota
	path
	header
	cookie
	query
	source
)

// Key says what of a request a consistent hash places. Every lbd with the same Key gives the same request the same hash.
type Key struct {
	kind   kind
	name   string // of a header in lower case, a cookie or a parameter
	v4, v6 int    // bits of a source that count
}

// ParseKey reads a key: "uri" (path and query), "path", "header NAME", "cookie NAME", "query NAME" or "source". Of the client's address
// the first v4 or v6 bits count.
func ParseKey(text string, v4, v6 int) (*Key, error) {
	what, name, named := strings.Cut(text, " ")
	k := &Key{name: name, v4: v4, v6: v6}
	switch what {
	case "uri":
		k.kind = uri
	case "path":
		k.kind = path
	case "source":
		k.kind = source
	case "header":
		k.kind, k.name = header, strings.ToLower(name)
	case "cookie":
		k.kind = cookie
	case "query":
		k.kind = query
	default:
		return nil, fault.New(fault.Invalid, "affinity: %q is no key", text)
	}
	takesName := k.kind == header || k.kind == cookie || k.kind == query
	switch {
	case takesName != named:
		return nil, fault.New(fault.Invalid, "affinity: %q has a name too many or too few", text)
	case named && !http1.IsToken(name):
		return nil, fault.New(fault.Invalid, "affinity: %q is no name of a %s", name, what)
	case v4 < 0 || v4 > 32 || v6 < 0 || v6 > 128:
		return nil, fault.New(fault.Invalid, "affinity: %d and %d bits of an address", v4, v6)
	}
	return k, nil
}

// Hash returns the hash of a request's key; false if it has none: no such header, cookie or parameter.
func (k *Key) Hash(req Request, client netip.Addr) (uint64, bool) {
	switch k.kind {
	case uri:
		h := ring.Hash(req.Path(), 0)
		if q := req.Query(); q != nil {
			h = ring.Hash(q, h)
		}
		return h, true
	case path:
		return ring.Hash(req.Path(), 0), true
	case source:
		return k.address(client)
	case header:
		for i := range req.Fields() {
			if name, value := req.Field(i); http1.Equal(name, k.name) {
				return ring.Hash(value, 0), true
			}
		}
	case cookie:
		return k.cookie(req)
	case query:
		return k.query(req.Query())
	}
	return 0, false
}

func (k *Key) address(a netip.Addr) (uint64, bool) {
	a = a.Unmap()
	if !a.IsValid() {
		return 0, false
	}
	bits := k.v6
	if a.Is4() {
		bits = k.v4
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return 0, false
	}
	b := p.Addr().As16()
	return ring.Hash(b[:], 0), true
}

func (k *Key) cookie(req Request) (h uint64, ok bool) {
	cookies(req, k.name, func(value []byte) bool {
		h, ok = ring.Hash(value, 0), true
		return false
	})
	return h, ok
}

// query finds the first parameter of the name, both as the client wrote them.
func (k *Key) query(q []byte) (uint64, bool) {
	for len(q) > 0 {
		var pair []byte
		pair, q, _ = bytes.Cut(q, []byte{'&'})
		if name, value, _ := bytes.Cut(pair, []byte{'='}); string(name) == k.name {
			return ring.Hash(value, 0), true
		}
	}
	return 0, false
}
