package http2

import "github.com/everup/everup/services/lbd/internal/http1"

// message is what the fields of a head are gathered to (RFC 9113 section 8.3).
type message struct {
	kind    blockKind
	stream  *Stream // of trailers
	pseudo  [unknown]http1.Text
	seen    [unknown]bool
	began   bool // a field other than a pseudo-header field has come
	host    http1.Field
	hasHost bool
	cookies int
}

// blockKind is what a block is of.
type blockKind uint8

const (
	headBlock blockKind = iota
	trailerBlock
	skippedBlock // nobody wants it, but what it does to the table counts
)

// decodeHead decodes a head into the Pool's memory.
func (c *Conn) decodeHead(b []byte, response bool) (why http1.Refusal, ok bool) {
	var m message
	c.pool.head.Reset()
	why, ok = c.decodeFields(b, &m)
	if !ok {
		return why, false
	}
	switch {
	case why != http1.OK:
	case response:
		why = c.completeResponse(&m)
	default:
		why = c.completeRequest(&m)
	}
	if why != http1.OK { // what is known of it, for a log
		c.pool.head.Method, c.pool.head.Target.Raw = m.pseudo[method], m.pseudo[path]
		c.pool.head.Version, c.pool.head.Len = http1.HTTP11, len(c.pool.text.b)
	}
	return why, true
}

// gather takes a field.
func (c *Conn) gather(m *message, f decoded) http1.Refusal {
	switch p := f.means.pseudo; {
	case f.means.name != http1.OK:
		return f.means.name
	case f.means.value != http1.OK:
		return f.means.value
	case p == unknown || p != regular && (m.began || m.seen[p]):
		return http1.BadPseudo
	case p != regular:
		m.pseudo[p], m.seen[p] = f.value, true
		return http1.OK
	}
	m.began = true
	field := http1.Field{Name: f.name, Value: f.value, ID: f.means.id}
	switch f.means.id {
	case http1.Host:
		if m.hasHost {
			return http1.TwoHosts
		}
		m.host, m.hasHost = field, true
		return http1.OK
	case http1.Cookie:
		m.cookies++
	}
	return c.pool.head.Add(c.pool.text.b, field, &c.o.Limits)
}

// gatherTrailer takes a field behind the content.
func (c *Conn) gatherTrailer(s *Stream, f decoded) http1.Refusal {
	switch {
	case f.means.pseudo != regular:
		return http1.BadPseudo
	case f.means.name != http1.OK:
		return f.means.name
	}
	return s.trailers.AddTrailer(f.name.In(c.pool.text.b), f.value.In(c.pool.text.b))
}

// completeRequest judges a request as a whole (RFC 9113 section 8.3.1).
func (c *Conn) completeRequest(m *message) http1.Refusal {
	b := func(p pseudo) []byte { return m.pseudo[p].In(c.pool.text.b) }
	connect := string(b(method)) == "CONNECT"
	target := m.pseudo[path]
	switch {
	case !m.seen[method] || m.seen[status]:
		return http1.BadPseudo
	case connect && (m.seen[scheme] || m.seen[path] || !m.seen[authority]):
		return http1.BadPseudo // RFC 9113 section 8.5
	case connect:
		target = m.pseudo[authority]
	case !m.seen[scheme] || !m.seen[path]:
		return http1.BadPseudo
	case string(b(scheme)) != "https" && string(b(scheme)) != "http":
		return http1.BadPseudo
	case target.Len() == 0 || b(path)[0] != '/' && string(b(path)) != "*":
		return http1.BadTarget
	}
	if why := c.addHost(m); why != http1.OK {
		return why
	}
	if m.cookies > 1 {
		c.joinCookies()
	}
	return c.pool.head.CompleteRequest(c.pool.text.b, m.pseudo[method], target, &c.o.Limits)
}

// addHost makes :authority the field Host, which says the same if it is there. One of both there has to be.
func (c *Conn) addHost(m *message) http1.Refusal {
	t := &c.pool.text
	f := m.host
	switch {
	case !m.hasHost && !m.seen[authority]:
		return http1.NoHost
	case m.hasHost && m.seen[authority] && !http1.EqualFold(f.Value.In(t.b), m.pseudo[authority].In(t.b)):
		return http1.OtherHost
	case !m.hasHost:
		f = http1.Field{Name: t.copyString("host"), Value: m.pseudo[authority], ID: http1.Host}
	}
	return c.pool.head.Add(t.b, f, &c.o.Limits)
}

// joinCookies makes one field of those that a cookie was divided into (RFC 9113 section 8.2.3).
func (c *Conn) joinCookies() {
	h, t := &c.pool.head, &c.pool.text
	start := len(t.b)
	first := -1
	kept := h.Fields[:0]
	for i := range h.Fields {
		f := h.Fields[i]
		if f.ID != http1.Cookie {
			if f.ID == http1.Host {
				h.HostAt = len(kept)
			}
			kept = append(kept, f)
			continue
		}
		if first < 0 {
			first = len(kept)
			kept = append(kept, f)
		} else {
			t.b = append(t.b, "; "...)
		}
		t.b = append(t.b, f.Value.In(t.b)...)
	}
	h.Fields = kept
	h.Fields[first].Value = http1.Place(start, len(t.b))
}

// completeResponse judges an answer as a whole (RFC 9113 section 8.3.2). 101 there is none (section 8.6).
func (c *Conn) completeResponse(m *message) http1.Refusal {
	switch {
	case !m.seen[status] || m.seen[method] || m.seen[scheme] || m.seen[authority] || m.seen[path]:
		return http1.BadPseudo
	case m.hasHost:
		if why := c.pool.head.Add(c.pool.text.b, m.host, &c.o.Limits); why != http1.OK {
			return why
		}
	}
	code := m.pseudo[status].In(c.pool.text.b)
	n := 0
	for _, x := range code {
		if x < '0' || x > '9' || len(code) != 3 {
			return http1.BadStatus
		}
		n = n*10 + int(x-'0')
	}
	if n == 101 || n > 599 {
		return http1.BadStatus
	}
	return c.pool.head.CompleteResponse(c.pool.text.b, n, &c.o.Limits)
}
