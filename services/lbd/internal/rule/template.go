package rule

import (
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// place is where a variable stands, which says how it is escaped.
type place uint8

const (
	inValue    place = iota // a header's value
	inPath                  // within a path: "/" stays
	inQuery                 // within a name or value of a query
	inFragment              // behind "#"
	inHost                  // part of a host name
	inKey                   // of a split: nothing is escaped
)

// variable is what a token stands for.
type variable uint8

const (
	literal variable = iota
	varHost
	varPath
	varQuery
	varTarget
	varClient
	varScheme
	varMethod
	varServerName
	varCertificate
	varHeader
	varCookie
	varArg
	varSlot // a capture
)

// builtins are the variables without a dot in their names.
func builtins() map[string]variable {
	return map[string]variable{
		"host": varHost, "path": varPath, "query": varQuery, "target": varTarget, "client": varClient, "scheme": varScheme,
		"method": varMethod, "tls_name": varServerName, "tls_client": varCertificate,
		"tls_client_subject": varCertificate, "tls_client_names": varCertificate, "tls_client_serial": varCertificate,
		"tls_client_fingerprint": varCertificate,
	}
}

// token is a part of a template.
type token struct {
	kind variable
	text string // of a literal, and the name of a header, cookie, parameter or variable about a certificate
	slot int
	in   place
}

// Template is a text with variables.
//
//	$1 … $9            groups of the path's regular expression, decoded as the path is
//	$name              a named group of any regular expression of the rule
//	$host              the host without port
//	$path $query       as the client wrote them; $target is both, with the "?"
//	$client            the client's address
//	$scheme $method $tls_name
//	$tls_client        the name in the client's certificate, if that was verified; also $tls_client_subject, _names, _serial,
//	                   _fingerprint
//	$(header.Name)     the first field of the name; $(cookie.name), $(arg.name)
//	$(name), ${name}   $name where a letter, digit or _ follows
//	$$                 $
//
// What a request does not have is empty.
type template []token

// slot is a capture that templates of a rule use.
type slot struct {
	name string
	from []source
}

// source is a group of a pattern of a condition.
type source struct {
	on    cond
	name  int // index of the header, cookie or parameter
	by    int // index of the pattern
	group int
}

// parser reads the templates of one rule.
type parser struct {
	groups map[string][]source // captures that the rule has
	paths  int                 // its path patterns
	slots  []slot              // captures that templates use
}

// parse reads a text for a place.
func (p *parser) parse(s string, in place) (template, *fault) {
	var out template
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i != 0 {
			if i < 0 {
				i = len(s)
			}
			out = out.literal(s[:i])
			s = s[i:]
			continue
		}
		if strings.HasPrefix(s, "$$") {
			out, s = out.literal("$"), s[2:]
			continue
		}
		name, rest, bad := cutName(s[1:])
		if bad != nil {
			return nil, bad
		}
		t, bad := p.variable(name)
		if bad != nil {
			return nil, bad
		}
		t.in = in
		out, s = append(out, t), rest
	}
	for _, t := range out {
		if i := strings.IndexFunc(t.text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }); i >= 0 {
			return nil, faultf("", "has a control character")
		}
	}
	return out, nil
}

// literal adds text.
func (t template) literal(s string) template {
	if n := len(t); n > 0 && t[n-1].kind == literal {
		t[n-1].text += s
		return t
	}
	return append(t, token{text: s})
}

// cutName cuts the name of a variable off what stands behind "$".
func cutName(s string) (name, rest string, bad *fault) {
	hint := "write $$ for the character itself"
	if s == "" {
		return "", "", faultf(hint, "ends in a $")
	}
	if closing := strings.IndexByte("({", s[0]); closing >= 0 {
		name, rest, ok := strings.Cut(s[1:], ")}"[closing:closing+1])
		if !ok || name == "" {
			return "", "", faultf(hint, "$%c is not closed", s[0])
		}
		return name, rest, nil
	}
	if s[0] >= '0' && s[0] <= '9' {
		return s[:1], s[1:], nil
	}
	n := 0
	for n < len(s) && (s[n] >= 'a' && s[n] <= 'z' || n > 0 && (s[n] >= '0' && s[n] <= '9' || s[n] == '_')) {
		n++
	}
	if n == 0 {
		return "", "", faultf(hint, "has a $ that begins no variable")
	}
	return s[:n], s[n:], nil
}

// isVariable reports whether $name can be written.
func isVariable(name string) bool {
	got, rest, bad := cutName(name)
	return bad == nil && rest == "" && got == name && (name[0] < '0' || name[0] > '9')
}

// variable finds what a name stands for.
func (p *parser) variable(name string) (token, *fault) {
	if kind, ok := builtins()[name]; ok {
		t := token{kind: kind}
		if kind == varCertificate {
			t.text = name
		}
		return t, nil
	}
	if space, rest, ok := strings.Cut(name, "."); ok && rest != "" {
		switch {
		case space == "header" && http1.IsToken(rest):
			return token{kind: varHeader, text: strings.ToLower(rest)}, nil
		case space == "cookie" && http1.IsToken(rest):
			return token{kind: varCookie, text: rest}, nil
		case space == "arg":
			return token{kind: varArg, text: rest}, nil
		}
	}
	from := p.groups[name]
	switch {
	case len(from) == 0 && name >= "0" && name <= "9":
		return token{}, faultf("captures are the groups (…) of a path that begins with ~", "there is no capture $%s", name)
	case len(from) == 0:
		return token{}, faultf("known: "+strings.Join(p.known(), ", "), "unknown variable $%s", name)
	case name[0] >= '0' && name[0] <= '9' && len(from) < p.paths:
		return token{}, faultf("write a rule for the others", "not every path has the capture $%s", name)
	}
	i := slices.IndexFunc(p.slots, func(s slot) bool { return s.name == name })
	if i < 0 {
		i = len(p.slots)
		p.slots = append(p.slots, slot{name, from})
	}
	return token{kind: varSlot, slot: i}, nil
}

// known lists the variables for a hint.
func (p *parser) known() []string {
	var out []string
	for name := range builtins() {
		out = append(out, "$"+name)
	}
	for name := range p.groups {
		out = append(out, "$"+name)
	}
	slices.Sort(out)
	return append(out, "$(header.NAME)", "$(cookie.NAME)", "$(arg.NAME)")
}

// begins reports whether the template begins with one of the variables.
func (t template) begins(kinds ...variable) bool {
	return len(t) > 0 && slices.Contains(kinds, t[0].kind)
}

// head returns the literal that the template begins with.
func (t template) head() string {
	if len(t) > 0 && t[0].kind == literal {
		return t[0].text
	}
	return ""
}
