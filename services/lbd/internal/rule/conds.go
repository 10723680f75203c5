package rule

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// cond names a condition.
type cond uint8

const (
	met cond = iota
	onHost
	onPath
	onMethod
	onScheme
	onDoS
	onTagged
	onServerName
	onTLSClient
	onFrom
	onUserAgent
	onHeader
	onCookie
	onQuery
	onNot
)

// String returns the key in the configuration.
func (c cond) String() string {
	return [...]string{"", "host", "path", "method", "scheme", "dos", "tagged", "tls_name", "tls_client", "from", "user_agent", "header", "cookie", "query", "not"}[c]
}

// conds is a Match, compiled. What is empty or 0 holds always.
type conds struct {
	hosts, paths, servers, agents []pattern
	clients                       []pattern // by name in their certificates
	methods                       []string
	schemes                       uint8 // a bit for each
	dos                           []thought
	tagged                        uint64
	hasTagged                     bool
	from                          ranges
	headers, cookies, query       []named
}

// named is a condition on the values of a name.
type named struct {
	name   string
	values []pattern
}

// state is what conditions look at.
type state struct {
	req     Request
	facts   *Facts
	host    []byte // see bareHost
	path    []byte // see normalize
	tags    uint64
	scratch []byte // what was decoded
}

// begin looks at the request's host and path.
func (s *state) begin(req Request, f *Facts) Refusal {
	s.req, s.facts, s.tags = req, f, 0
	s.scratch = s.scratch[:0]
	s.host, s.scratch = bareHost(req.Authority(), s.scratch)
	var why Refusal
	s.path, s.scratch, why = normalize(req.Path(), s.scratch)
	return why
}

// fails returns the first condition that does not hold, and which of its names; met if all do. The cheap ones come first.
func (c *conds) fails(s *state) (cond, int) {
	switch {
	case len(c.hosts) > 0 && firstMatch(c.hosts, s.host) < 0:
		return onHost, 0
	case len(c.paths) > 0 && firstMatch(c.paths, s.path) < 0:
		return onPath, 0
	case len(c.methods) > 0 && !oneOf(c.methods, s.req.Method()):
		return onMethod, 0
	case c.schemes != 0 && c.schemes>>schemeBit(s.facts.Secure)&1 == 0:
		return onScheme, 0
	}
	for i := range c.dos {
		if !c.dos[i].holds(s.facts.DoS) {
			return onDoS, i
		}
	}
	switch {
	case c.hasTagged && c.tagged&s.tags == 0:
		return onTagged, 0
	case len(c.servers) > 0 && !s.serverName(c.servers, nil):
		return onServerName, 0
	case len(c.clients) > 0 && !s.tlsClient(c.clients, nil):
		return onTLSClient, 0
	case len(c.from) > 0 && !c.from.contains(s.facts.Client):
		return onFrom, 0
	case len(c.agents) > 0 && !s.header("user-agent", c.agents, nil):
		return onUserAgent, 0
	}
	for i := range c.headers {
		if !s.header(c.headers[i].name, c.headers[i].values, nil) {
			return onHeader, i
		}
	}
	for i := range c.cookies {
		if !s.cookie(c.cookies[i].name, c.cookies[i].values, nil) {
			return onCookie, i
		}
	}
	for i := range c.query {
		if !s.parameter(c.query[i].name, c.query[i].values, nil) {
			return onQuery, i
		}
	}
	return met, 0
}

func schemeBit(secure bool) uint8 {
	if secure {
		return 1
	}
	return 0
}

func oneOf(list []string, b []byte) bool {
	for _, s := range list {
		if string(b) == s {
			return true
		}
	}
	return false
}

// found is a value that matched, and the pattern it did.
type found struct {
	value []byte
	by    int
}

// header reports whether a field of the name matches one of the patterns, and tells which if at is not nil.
func (s *state) header(name string, ps []pattern, at *found) bool {
	for value, i := find(s.req, name, 0); i >= 0; value, i = find(s.req, name, i+1) {
		if at.is(ps, value) {
			return true
		}
	}
	return false
}

// is is the first match of b, kept in f if that is not nil.
func (f *found) is(ps []pattern, b []byte) bool {
	i := firstMatch(ps, b)
	if i >= 0 && f != nil {
		f.value, f.by = b, i
	}
	return i >= 0
}

// cookie is header for a cookie.
func (s *state) cookie(name string, ps []pattern, at *found) bool {
	for list, i := find(s.req, "cookie", 0); i >= 0; list, i = find(s.req, "cookie", i+1) {
		for len(list) > 0 {
			var key, value []byte
			if key, value, list = http1.NextCookie(list); string(key) == name && at.is(ps, value) {
				return true
			}
		}
	}
	return false
}

// parameter is header for a query parameter. A value in at is good until the next begin.
func (s *state) parameter(name string, ps []pattern, at *found) bool {
	for rest := s.req.Query(); len(rest) > 0; {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte("&"))
		rawKey, rawValue, _ := bytes.Cut(pair, []byte("="))
		mark := len(s.scratch)
		if key := s.decoded(rawKey); string(key) == name && at.is(ps, s.decoded(rawValue)) {
			if at == nil {
				s.scratch = s.scratch[:mark]
			}
			return true
		}
		s.scratch = s.scratch[:mark]
	}
	return false
}

// decoded returns a name or value of a query: "+" is a space, an escape that is none stands for itself.
func (s *state) decoded(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return b
	}
	begin := len(s.scratch)
	for i := 0; i < len(b); {
		c, n := decodeByte(b[i:])
		switch {
		case n == 0:
			n = 1
			c = b[i]
		case b[i] == '+':
			c = ' '
		}
		s.scratch = append(s.scratch, c)
		i += n
	}
	return s.scratch[begin:len(s.scratch):len(s.scratch)]
}

// serverName is header for the TLS server name. A name in at is good until the next begin.
func (s *state) serverName(ps []pattern, at *found) bool {
	if s.facts.ServerName == "" {
		return false
	}
	mark := len(s.scratch)
	s.scratch = append(s.scratch, s.facts.ServerName...)
	name := bytes.TrimSuffix(s.scratch[mark:len(s.scratch):len(s.scratch)], []byte("."))
	for i := range name {
		name[i] = lowerByte(name[i])
	}
	ok := at.is(ps, name)
	if at == nil {
		s.scratch = s.scratch[:mark]
	}
	return ok
}

// tlsClient is header for the name in the client's certificate. A name in at is good until the next begin.
func (s *state) tlsClient(ps []pattern, at *found) bool {
	if s.facts.Certificate == nil {
		return false
	}
	mark := len(s.scratch)
	s.scratch = append(s.scratch, s.facts.Certificate.Name...)
	ok := at.is(ps, s.scratch[mark:len(s.scratch):len(s.scratch)])
	if at == nil {
		s.scratch = s.scratch[:mark]
	}
	return ok
}

// ranges are networks: disjoint, in order.
type ranges []span

type span struct{ low, high netip.Addr }

// newRanges joins networks.
func newRanges(prefixes []netip.Prefix) ranges {
	var all ranges
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		low := p.Masked().Addr()
		all = append(all, span{low, lastOf(p)})
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(a.low.Compare(b.low), b.high.Compare(a.high)) })
	var out ranges
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].high.BitLen() == r.low.BitLen() && r.low.Compare(out[n-1].high) <= 0 {
			continue // within it: networks do not overlap otherwise
		}
		out = append(out, r)
	}
	return out
}

// lastOf returns the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func (r ranges) contains(a netip.Addr) bool {
	a = a.Unmap()
	lo, hi := 0, len(r)
	for lo < hi {
		if mid := (lo + hi) / 2; r[mid].high.Less(a) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(r) && r[lo].low.Compare(a) <= 0 && a.IsValid()
}
