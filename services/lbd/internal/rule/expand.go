package rule

import (
	"bytes"
	"strings"
)

// Bounds of what templates make.
const (
	maxTarget = 16 << 10 // bytes of a path with query, or of a Location
	maxValue  = 8 << 10  // bytes of a header's value
)

// expander puts texts together for a rule that matched.
type expander struct {
	s        *state
	captures [][]byte // by slot
	location bool     // what is made is told to a client: only URI characters
}

// expand appends what t stands for, at most limit bytes.
func (x *expander) expand(b []byte, t template, limit int) ([]byte, Refusal) {
	begin := len(b)
	for i := range t {
		why := OK
		if t[i].kind == literal {
			b = append(b, t[i].text...)
		} else {
			b, why = x.variable(b, &t[i])
		}
		if why != OK {
			return b, why
		}
		if len(b)-begin > limit {
			return b[:begin], TooLong
		}
	}
	return b, OK
}

// variable appends a variable's value, escaped for its place.
func (x *expander) variable(b []byte, t *token) ([]byte, Refusal) {
	switch t.kind {
	case varPath:
		if t.in == inPath {
			return x.sentPath(b), OK
		}
	case varQuery:
		if t.in == inQuery {
			return x.sentQuery(b), OK
		}
	case varTarget:
		if t.in == inPath {
			b = x.sentPath(b)
			if x.s.req.Query() != nil {
				b = x.sentQuery(append(b, '?'))
			}
			return b, OK
		}
	case varHost:
		if t.in == inHost && bytes.IndexByte(x.s.host, ':') >= 0 {
			return ipv6Host(b, x.s.host)
		}
	}
	mark := len(x.s.scratch)
	b, why := appendEscaped(b, x.value(t), t.in)
	x.s.scratch = x.s.scratch[:mark]
	return b, why
}

// sentPath appends the path as the client wrote it.
func (x *expander) sentPath(b []byte) []byte {
	if x.location {
		return escape(b, x.s.req.Path(), toldPath)
	}
	return escape(b, x.s.req.Path(), sentPath)
}

// sentQuery appends the query as the client wrote it.
func (x *expander) sentQuery(b []byte) []byte {
	if x.location {
		return escape(b, x.s.req.Query(), toldQuery)
	}
	return escape(b, x.s.req.Query(), sentQuery)
}

// ipv6Host appends an IPv6 address as a host.
func ipv6Host(b, host []byte) ([]byte, Refusal) {
	if _, ok := parseAddr(host); !ok {
		return b, BadRewrite
	}
	return append(append(append(b, '['), host...), ']'), OK
}

// value returns a variable's value, unescaped. It is good until the next one.
func (x *expander) value(t *token) []byte {
	s := x.s
	switch t.kind {
	case varHost:
		return s.host
	case varPath:
		return s.req.Path()
	case varQuery:
		return s.req.Query()
	case varTarget:
		begin := len(s.scratch)
		s.scratch = append(s.scratch, s.req.Path()...)
		if q := s.req.Query(); q != nil {
			s.scratch = append(append(s.scratch, '?'), q...)
		}
		return s.scratch[begin:]
	case varClient:
		begin := len(s.scratch)
		if s.facts.Client.IsValid() {
			s.scratch = s.facts.Client.AppendTo(s.scratch)
		}
		return s.scratch[begin:]
	case varScheme:
		begin := len(s.scratch)
		s.scratch = append(s.scratch, schemeName(s.facts.Secure)...)
		return s.scratch[begin:]
	case varMethod:
		return s.req.Method()
	case varServerName:
		begin := len(s.scratch)
		s.scratch = append(s.scratch, s.facts.ServerName...)
		return s.scratch[begin:]
	case varCertificate:
		begin := len(s.scratch)
		s.scratch = append(s.scratch, s.facts.Certificate.text(t.text)...)
		return s.scratch[begin:]
	case varHeader:
		v, _ := find(s.req, t.text, 0)
		return v
	case varSlot:
		return x.captures[t.slot]
	}
	return x.named(t)
}

func schemeName(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// named returns the value of a cookie or parameter.
func (x *expander) named(t *token) []byte {
	var at found
	any := [1]pattern{{op: anyValue}}
	if t.kind == varCookie {
		x.s.cookie(t.text, any[:], &at)
	} else {
		x.s.parameter(t.text, any[:], &at)
	}
	return at.value
}

// appendEscaped appends v escaped for its place.
func appendEscaped(b, v []byte, in place) ([]byte, Refusal) {
	switch in {
	case inPath:
		return escape(b, v, pathByte), OK
	case inQuery, inFragment:
		return escape(b, v, queryByte), OK
	case inValue:
		return escape(b, v, valueByte), OK
	case inHost:
		if len(v) == 0 {
			return b, BadRewrite
		}
		for _, c := range v {
			if escapeClasses[c]&hostByte == 0 {
				return b, BadRewrite
			}
		}
	}
	return append(b, v...), OK
}

// capture finds the values of the rule's slots.
func (x *expander) capture(r *compiled) {
	x.captures = x.captures[:0]
	for range r.slots {
		x.captures = append(x.captures, nil)
	}
	for _, c := range r.capturing {
		at, ok := x.s.matched(&r.when, c)
		if !ok {
			continue
		}
		p := &r.when.patterns(c)[at.by]
		if p.op != matches {
			continue
		}
		loc := p.re.FindSubmatchIndex(at.value)
		for i := range r.slots {
			for _, from := range r.slots[i].from {
				if from.on == c.on && from.name == c.name && from.by == at.by && loc != nil && loc[2*from.group] >= 0 {
					x.captures[i] = at.value[loc[2*from.group]:loc[2*from.group+1]]
				}
			}
		}
	}
}

// condRef is one condition of a rule.
type condRef struct {
	on   cond
	name int
}

// patterns returns the values of a condition.
func (c *conds) patterns(at condRef) []pattern {
	switch at.on {
	case onHost:
		return c.hosts
	case onPath:
		return c.paths
	case onServerName:
		return c.servers
	case onTLSClient:
		return c.clients
	case onUserAgent:
		return c.agents
	case onHeader:
		return c.headers[at.name].values
	case onCookie:
		return c.cookies[at.name].values
	}
	return c.query[at.name].values
}

// matched returns what made a condition hold.
func (s *state) matched(c *conds, at condRef) (f found, ok bool) {
	ps := c.patterns(at)
	switch at.on {
	case onHost:
		ok = f.is(ps, s.host)
	case onPath:
		ok = f.is(ps, s.path)
	case onServerName:
		ok = s.serverName(ps, &f)
	case onTLSClient:
		ok = s.tlsClient(ps, &f)
	case onUserAgent:
		ok = s.header("user-agent", ps, &f)
	case onHeader:
		ok = s.header(c.headers[at.name].name, ps, &f)
	case onCookie:
		ok = s.cookie(c.cookies[at.name].name, ps, &f)
	case onQuery:
		ok = s.parameter(c.query[at.name].name, ps, &f)
	}
	return f, ok
}

// trimAmpersands takes the separators off the ends of a query, which an empty variable leaves.
func trimAmpersands(b []byte) []byte { return bytes.Trim(b, "&") }

// oneSlash takes all but the last of the slashes off that begin a path: two would begin a host.
func oneSlash(b []byte) []byte {
	for len(b) > 1 && b[0] == '/' && b[1] == '/' {
		b = b[1:]
	}
	return b
}

// startsAtPath reports whether a redirection stays on the host.
func startsAtPath(t template) bool {
	return t.begins(varPath, varTarget) || strings.HasPrefix(t.head(), "/")
}
