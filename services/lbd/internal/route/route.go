// Package route finds the pool for a request by host and path: an ordered list, the first that matches wins. It is pure.
package route

import (
	"net"
	"net/netip"
	"strings"
)

// Rule is one entry of the list.
type Rule[P any] struct {
	Host  string // "" any, "name", or "*.name" for every name below it
	Path  string // "/files": itself and below; "/files/": below
	Strip bool   // the caller takes Path off
	To    P
}

// Table is an immutable list of rules.
type Table[P any] struct{ rules []Rule[P] }

// New returns the table of rules, in order.
func New[P any](rules []Rule[P]) *Table[P] {
	t := &Table[P]{rules: make([]Rule[P], len(rules))}
	for i, r := range rules {
		r.Host = strings.ToLower(r.Host)
		t.rules[i] = r
	}
	return t
}

// Match returns the first rule for a request with this Host (port and letter case do not matter) and decoded path, nil
// where there is none.
func (t *Table[P]) Match(host, path string) *Rule[P] {
	host = bare(host)
	for i := range t.rules {
		if r := &t.rules[i]; hostMatches(r.Host, host) && pathMatches(r.Path, path) {
			return r
		}
	}
	return nil
}

// bare returns host in lower case, without port and final dot.
func bare(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(host, "]"), "["), ".")
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	return strings.ToLower(host)
}

func hostMatches(pattern, host string) bool {
	if pattern == "" || pattern == host {
		return true
	}
	suffix, wild := strings.CutPrefix(pattern, "*")
	return wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

func pathMatches(prefix, path string) bool {
	if !strings.HasPrefix(path, prefix) {
		return false
	}
	return strings.HasSuffix(prefix, "/") || len(path) == len(prefix) || path[len(prefix)] == '/'
}

// Strip takes prefix, which path begins with when decoded, off an encoded path. The result begins with "/".
func Strip(encoded, prefix string) string {
	prefix = strings.TrimSuffix(prefix, "/")
	i := 0
	for range len(prefix) {
		if i >= len(encoded) {
			break
		}
		if encoded[i] == '%' {
			i += 2
		}
		i++
	}
	rest := encoded[min(i, len(encoded)):]
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	return rest
}

// HasDots reports whether the decoded path has a segment "." or "..": such a path names something else to lbd than to a
// server that resolves it.
func HasDots(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}
