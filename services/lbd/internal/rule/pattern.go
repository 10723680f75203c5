package rule

import (
	"fmt"
	"net/netip"
	"strings"
)

// pattern is one value of a condition.
type pattern struct {
	op   operator
	text string
	re   *regex
}

type operator uint8

const (
	equal    operator = iota // the whole value
	anyValue                 // whatever it is
	matches                  // re
	below                    // of a path: text, on a segment's boundary
	under                    // of a host: ends in text, which begins with a dot, and is longer
	contains                 // text in lower case, in any letter case
)

func (p *pattern) match(b []byte) bool {
	switch p.op {
	case equal:
		return string(b) == p.text
	case matches:
		return p.re.match(b)
	case below:
		return isBelow(b, p.text)
	case under:
		n := len(b) - len(p.text)
		return n > 0 && string(b[n:]) == p.text
	case contains:
		return containsFold(b, p.text)
	}
	return true
}

// isBelow reports whether prefix is path, or path goes on behind it at a segment's boundary.
func isBelow(path []byte, prefix string) bool {
	if len(path) < len(prefix) || string(path[:len(prefix)]) != prefix {
		return false
	}
	return len(path) == len(prefix) || prefix[len(prefix)-1] == '/' || path[len(prefix)] == '/'
}

// fault is what is wrong with a text.
type fault struct{ msg, hint string }

func faultf(hint, format string, args ...any) *fault {
	return &fault{fmt.Sprintf(format, args...), hint}
}

// operand cuts "= " or "~ " off a value. It is 0 where there is none.
func operand(s string) (op byte, rest string, bad *fault) {
	if s == "" || s[0] != '=' && s[0] != '~' {
		return 0, s, nil
	}
	rest = strings.TrimLeft(s[1:], " ")
	if rest == s[1:] {
		return 0, "", faultf(`write "~ " before a regular expression, "= " before a text`, "%q has no space behind its %q", s, s[:1])
	}
	if rest == "" {
		return 0, "", faultf("", "%q has nothing behind its %q", s, s[:1])
	}
	return s[0], rest, nil
}

// hostPattern reads a value of Host or ServerName.
func hostPattern(s string) (pattern, *fault) {
	op, rest, bad := operand(s)
	switch {
	case bad != nil:
		return pattern{}, bad
	case op == '~':
		return regexPattern(rest)
	case !validHost(rest):
		return pattern{}, faultf("write www.example.com or *.example.com, without port", "%q is no host name", s)
	}
	if a, err := netip.ParseAddr(rest); err == nil {
		return pattern{op: equal, text: a.Unmap().String()}, nil
	}
	rest = strings.ToLower(rest)
	if suffix, wild := strings.CutPrefix(rest, "*"); wild {
		return pattern{op: under, text: suffix}, nil
	}
	return pattern{op: equal, text: rest}, nil
}

// maxHost is the longest host name (RFC 1035 section 2.3.4).
const maxHost = 253

func validHost(h string) bool {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Zone() == ""
	}
	h = strings.TrimPrefix(h, "*.")
	if h == "" || len(h) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// pathPattern reads a value of Path.
func pathPattern(s string) (pattern, *fault) {
	op, rest, bad := operand(s)
	switch {
	case bad != nil:
		return pattern{}, bad
	case op == '~':
		return regexPattern(rest)
	case !strings.HasPrefix(rest, "/"):
		return pattern{}, faultf("", "%q does not begin with /", s)
	case strings.ContainsAny(rest, "?#%*"):
		return pattern{}, faultf("", "%q is not a plain path: no ?, #, %% or *", s)
	}
	if _, _, why := normalize([]byte(rest), nil); why != OK || strings.Contains(rest, "//") {
		return pattern{}, faultf("paths are compared decoded, with one slash for several", "%q is a path that no request has", s)
	}
	if op == '=' {
		return pattern{op: equal, text: rest}, nil
	}
	return pattern{op: below, text: rest}, nil
}

// textPattern reads a value of a header, cookie or query parameter.
func textPattern(s string) (pattern, *fault) {
	op, rest, bad := operand(s)
	switch {
	case bad != nil:
		return pattern{}, bad
	case op == '~':
		return regexPattern(rest)
	case op == 0 && s == "*":
		return pattern{op: anyValue}, nil
	}
	return pattern{op: equal, text: rest}, nil
}

// agentPattern reads a value of UserAgent.
func agentPattern(s string) (pattern, *fault) {
	p, bad := textPattern(s)
	if bad == nil && p.op == equal && s == p.text {
		if s == "" {
			return pattern{}, faultf("", "is empty")
		}
		p = pattern{op: contains, text: asciiLower(s)}
	}
	return p, bad
}

// asciiLower lowers A to Z only, as containsFold does.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lowerByte(c)
	}
	return string(b)
}

func regexPattern(s string) (pattern, *fault) {
	re, bad := compileRegex(s)
	if bad != nil {
		return pattern{}, bad
	}
	return pattern{op: matches, re: re}, nil
}

// firstMatch returns the first pattern that b matches, -1 if there is none.
func firstMatch(ps []pattern, b []byte) int {
	for i := range ps {
		if ps[i].match(b) {
			return i
		}
	}
	return -1
}

// hostKeys are what the index keeps a condition on hosts under. Where one of the patterns is not a name, it is for any host.
func hostKeys(ps []pattern) (names, suffixes []string, all bool) {
	for i := range ps {
		switch ps[i].op {
		case equal:
			names = append(names, ps[i].text)
		case under:
			suffixes = append(suffixes, ps[i].text)
		default:
			return nil, nil, true
		}
	}
	return names, suffixes, len(ps) == 0
}

// pathKeys are the beginnings of paths, in whole segments and without a final slash, that all that match a condition on paths have.
func pathKeys(ps []pattern) []string {
	var out []string
	for i := range ps {
		key := ""
		switch p := &ps[i]; p.op {
		case equal, below:
			key = strings.TrimSuffix(p.text, "/")
		case matches:
			key = p.re.prefix[:max(0, strings.LastIndexByte(p.re.prefix, '/'))]
		}
		if key == "" || key[0] != '/' {
			return nil
		}
		out = append(out, key)
	}
	return out
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }
