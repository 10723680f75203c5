package dos

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/fault"
)

// Types is a set of content types.
type Types []typePattern

type typePattern struct {
	whole  string // "image/png", in lower case
	begins string // "image/" of "image/*"
	re     *regexp.Regexp
}

// ParseType reads a type ("text/css"), all of a kind ("image/*"), or "~ " and a regular expression (RE2) for any part of a type, in any letter
// case. Another text is fault.Invalid.
func ParseType(s string) (p typePattern, err error) {
	if text, ok := strings.CutPrefix(s, "~"); ok {
		re, err := regexp.Compile("(?i:" + strings.TrimSpace(text) + ")")
		if err != nil || len(text) > 256 {
			return p, fault.New(fault.Invalid, "%q is no regular expression of a content type", text)
		}
		return typePattern{re: re}, nil
	}
	kind, sub, ok := strings.Cut(strings.ToLower(s), "/")
	if !ok || kind == "" || sub == "" || strings.ContainsAny(kind, " *;,") || strings.ContainsAny(sub, " /;,") || sub != "*" && strings.Contains(sub, "*") {
		return p, fault.New(fault.Invalid, "%q is no content type: write it like image/png, image/* or ~ ^image/(png|gif)$", s)
	}
	if sub == "*" {
		return typePattern{begins: kind + "/"}, nil
	}
	return typePattern{whole: kind + "/" + sub}, nil
}

// NewTypes reads a set. The error is ParseType's.
func NewTypes(list []string) (t Types, err error) {
	for _, s := range list {
		p, err := ParseType(s)
		if err != nil {
			return nil, err
		}
		t = append(t, p)
	}
	return t, nil
}

// Has reports whether a value of Content-Type is among them; its parameters do not matter.
func (t Types) Has(value []byte) bool {
	if i := bytes.IndexByte(value, ';'); i >= 0 {
		value = value[:i]
	}
	value = bytes.TrimSpace(value)
	for i := range t {
		switch p := &t[i]; {
		case p.re != nil:
			if p.re.Match(value) {
				return true
			}
		case p.whole != "":
			if http1.Equal(value, p.whole) {
				return true
			}
		case len(value) > len(p.begins) && http1.Equal(value[:len(p.begins)], p.begins):
			return true
		}
	}
	return false
}
