// Package page makes the pages that lbd answers errors with, in place of a line of text: HTML of the operator's with a few variables. It
// is pure. A Page and a Set are not changed once they are in use.
//
// A variable is written {{status}}: a form that pages of other making hardly hold. What it stands for is escaped for HTML, also within
// quotes; it is not made to stand within scripts.
package page

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// MaxSize bounds a page's text, in bytes.
const MaxSize = 64 << 10

// Vars are what variables stand for.
type Vars struct {
	Status     int
	Why        string // {{why}}: lbd's word for the cause, as in the access log
	Host       []byte // {{host}}: as the client wrote it
	RequestID  []byte // {{request_id}}
	RetryAfter int    // {{retry_after}}: seconds
}

// variable is which of Vars.
type variable int

const (
	status variable = iota
	reason
	why
	host
	requestID
	retryAfter
)

// names are the variables' names, by variable.
var names = []string{"status", "reason", "why", "host", "request_id", "retry_after"}

// Page is a page.
type Page struct {
	parts []part
}

// part is text, and a variable behind it.
type part struct {
	text string
	v    variable
	last bool // there is no variable
}

// Parse makes a page of a text. What stands between {{ and }} must be a variable.
func Parse(text string) (*Page, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("a page of %d bytes, at most %d", len(text), MaxSize)
	}
	p := &Page{}
	for {
		before, rest, found := strings.Cut(text, "{{")
		if !found {
			p.parts = append(p.parts, part{text: text, last: true})
			return p, nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		v := slices.Index(names, strings.TrimSpace(name))
		if !closed || v < 0 {
			return nil, fmt.Errorf("{{%.40s is no variable (there are {{%s}})", name, strings.Join(names, "}}, {{"))
		}
		p.parts = append(p.parts, part{text: before, v: variable(v)})
		text = after
	}
}

// Append appends the page with its variables filled in.
func (p *Page) Append(dst []byte, v *Vars) []byte {
	for i := range p.parts {
		t := &p.parts[i]
		if dst = append(dst, t.text...); t.last {
			break
		}
		switch t.v {
		case status:
			dst = strconv.AppendInt(dst, int64(v.Status), 10)
		case reason:
			dst = appendEscaped(dst, http1.Reason(v.Status))
		case why:
			dst = appendEscaped(dst, v.Why)
		case host:
			dst = appendEscaped(dst, v.Host)
		case requestID:
			dst = appendEscaped(dst, v.RequestID)
		case retryAfter:
			dst = strconv.AppendInt(dst, int64(v.RetryAfter), 10)
		}
	}
	return dst
}

// appendEscaped appends text for HTML.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Set is pages by status.
type Set struct {
	exact map[int]*Page
	class [6]*Page // 4: of 4xx, 5: of 5xx
}

// Add adds the page of a status from 400 to 599, written "404", or of a class of them, "4xx" or "5xx". It reports whether key is one.
func (s *Set) Add(key string, p *Page) bool {
	switch key {
	case "4xx", "5xx":
		s.class[key[0]-'0'] = p
		return true
	}
	n, err := strconv.Atoi(key)
	if err != nil || n < 400 || n > 599 || len(key) != 3 {
		return false
	}
	if s.exact == nil {
		s.exact = map[int]*Page{}
	}
	s.exact[n] = p
	return true
}

// Over returns a set of s's pages, and those of below where s has none.
func (s *Set) Over(below *Set) *Set {
	switch {
	case s == nil:
		return below
	case below == nil:
		return s
	}
	out := &Set{exact: map[int]*Page{}, class: s.class}
	for n, p := range below.exact {
		if s.class[n/100] == nil {
			out.exact[n] = p
		}
	}
	for n, p := range s.exact {
		out.exact[n] = p
	}
	for i, p := range below.class {
		if out.class[i] == nil {
			out.class[i] = p
		}
	}
	return out
}

// Find returns the page of a status, nil if there is none.
func (s *Set) Find(n int) *Page {
	if s == nil || n < 400 || n > 599 {
		return nil
	}
	if p := s.exact[n]; p != nil {
		return p
	}
	return s.class[n/100]
}

// WantsHTML reports whether a field Accept names HTML, as those of browsers do. Programs, which send */* or nothing, get a line of text.
func WantsHTML(accept []byte) bool {
	wants := false
	http1.Elements(accept, func(e []byte) bool {
		const html = "text/html"
		if len(e) < len(html) || !http1.Equal(e[:len(html)], html) {
			return true
		}
		rest := e[len(html):]
		wants = len(rest) == 0 || (rest[0] == ';' || rest[0] == ' ' || rest[0] == '\t') && !refused(rest)
		return !wants
	})
	return wants
}

// refused reports whether parameters end in a weight of 0.
func refused(params []byte) bool {
	s := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(string(params), " ", ""), "\t", ""))
	_, q, ok := strings.Cut(s, ";q=")
	return ok && strings.Trim(q, "0.") == ""
}
