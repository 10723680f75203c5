package rule

import "strings"

// parsePath reads the template of a path.
func (p *parser) parsePath(s string) (template, *fault) {
	t, bad := p.parse(s, inPath)
	if bad != nil {
		return nil, bad
	}
	if !strings.HasPrefix(t.head(), "/") && !t.begins(varPath) {
		return nil, faultf("", "does not begin with / or $path")
	}
	for _, part := range t {
		switch {
		case part.kind == varTarget || part.kind == varQuery:
			return nil, faultf("write query: beside path:", "a query does not belong in a path")
		case part.kind != literal:
		case strings.ContainsAny(part.text, "?#"):
			return nil, faultf("write query: beside path:", "a path has no ? or #")
		case !isURIText(part.text):
			return nil, faultf("percent-encode it", "has a character that no path has")
		}
	}
	return t, nil
}

// parseQuery reads the template of a query, without "?".
func (p *parser) parseQuery(s string) (template, *fault) {
	t, bad := p.parse(s, inQuery)
	if bad != nil {
		return nil, bad
	}
	for _, part := range t {
		if part.kind == literal && (strings.Contains(part.text, "#") || !isURIText(part.text)) {
			return nil, faultf("percent-encode it", "has a character that no query has")
		}
	}
	return t, nil
}

// parseHost reads the template of host[:port].
func (p *parser) parseHost(s string) (template, *fault) {
	t, bad := p.parse(s, inHost)
	if bad != nil {
		return nil, bad
	}
	for _, part := range t {
		if part.kind == literal && !isHostText(part.text) {
			return nil, faultf("write host or host:port", "has a character that no host has")
		}
	}
	return t, ownHost(t)
}

// ownHost refuses a capture that could make of the host that the rule writes a part of another.
func ownHost(host template) *fault {
	n := len(host)
	for n > 0 && host[n-1].kind != literal {
		n--
	}
	if n == 0 || n == len(host) {
		return nil
	}
	before := host[n-1].text
	if end := before[len(before)-1]; end == '.' || end == '/' {
		return nil
	}
	return faultf("write / before it, or a dot if it is meant so", "the variable at the end could make another host of %q", before)
}

// parseURL reads the template of a redirection.
func (p *parser) parseURL(s string) (template, *fault) {
	t, bad := p.parse(s, inPath)
	if bad != nil {
		return nil, bad
	}
	w := urlWalk{at: inPath}
	rest := t
	switch head := t.head(); {
	case strings.HasPrefix(head, "//"):
		return nil, faultf("write https://host/ or one slash", "begins with //")
	case strings.HasPrefix(head, "/"), t.begins(varPath, varTarget):
	case strings.HasPrefix(head, "http://"), strings.HasPrefix(head, "https://"):
		w.at = inHost
		w.skip = strings.Index(head, "://") + len("://")
	case t.begins(varScheme) && len(t) > 1 && strings.HasPrefix(t[1].text, "://"):
		w.at, w.skip, rest = inHost, len("://"), t[1:]
	default:
		return nil, faultf("", "does not begin with /, http://, https://, $scheme://, $path or $target")
	}
	for i := range rest {
		if bad := w.token(&rest[i]); bad != nil {
			return nil, bad
		}
	}
	return t, ownHost(w.host)
}

// urlWalk follows a URL from part to part and tells each variable where it stands.
type urlWalk struct {
	at   place
	skip int      // bytes of the next literal that are the scheme
	host template // what the authority is made of
	done bool     // $target was there
}

func (w *urlWalk) token(t *token) *fault {
	if w.done {
		return faultf("$target holds the path and the query", "nothing can follow $target")
	}
	if t.kind == literal {
		return w.literal(t.text)
	}
	whole := t.kind == varPath || t.kind == varTarget
	if w.at == inHost && whole {
		w.at = inPath // both begin with a slash
	}
	t.in = w.at
	if w.at == inHost {
		w.host = append(w.host, *t)
	}
	w.done = t.kind == varTarget && w.at == inPath
	return nil
}

func (w *urlWalk) literal(s string) *fault {
	if !isURIText(s) {
		return faultf("percent-encode it", "has a character that no URL has")
	}
	rest := s[w.skip:]
	if w.at == inHost {
		n := strings.IndexAny(rest, "/?#")
		if n < 0 {
			n = len(rest)
		}
		if !isHostText(rest[:n]) {
			return faultf("", "has a character that no host has")
		}
		if own := s[:w.skip+n]; own != "" {
			w.host = w.host.literal(own)
		}
		if rest = rest[n:]; rest != "" {
			w.at = inPath
		}
	}
	w.skip = 0
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		w.at = inFragment
	} else if i := strings.IndexByte(rest, '?'); i >= 0 && w.at == inPath {
		w.at = inQuery
	}
	return nil
}

// isURIText reports whether s can stand in a URI as it is (RFC 3986 section 2).
func isURIText(s string) bool {
	for i := range len(s) {
		if escapeClasses[s[i]]&uriByte == 0 {
			return false
		}
	}
	return true
}

// isHostText reports whether s can be part of host[:port].
func isHostText(s string) bool {
	for i := range len(s) {
		if c := s[i]; escapeClasses[c]&hostByte == 0 && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return true
}
