package accesslog

import (
	"strconv"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// combined is the combined format of web servers, then what a load balancer knows besides.
const combined = `$client - - [$time_clf] "$method $target $proto" $status $sent "$referer" "$user_agent"` +
	` host="$host" pool=$pool member=$member retries=$retries received=$received head=$head duration=$duration reason=$reason` +
	` route="$route" id=$id handshake=$handshake read=$read gather=$gather queue=$queue connect=$connect send=$send delay=$delay`

// Bounds of a format.
const (
	maxTokens   = 128
	MaxTemplate = 4096 // bytes
)

// token is a part of a line: text, and a variable behind it.
type token struct {
	lead string // in JSON `"key":`
	v    variable
	name string   // of a header, in lower case
	id   http1.ID // of a header that has one
	stop byte     // in a template: a value does not hold this character; 0: none
}

// Format makes lines. It is not changed once it is made, and is safe for concurrent use.
type Format struct {
	tokens []token
	json   bool
	node   string
	clock  *clock
}

// Combined returns the combined format with what a load balancer knows besides.
func Combined(node string) *Format {
	f, p := Template(combined, node)
	if p != nil {
		panic("BUG: accesslog: " + p.Error())
	}
	return f
}

// Template compiles a text with variables: $name, $(name) or ${name}, $(header.Name), $$ for $.
func Template(text, node string) (*Format, *Problem) {
	if len(text) > MaxTemplate {
		return nil, &Problem{Msg: "is longer than " + strconv.Itoa(MaxTemplate) + " bytes"}
	}
	f := &Format{node: node, clock: new(clock)}
	lead := ""
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i != 0 {
			if i < 0 {
				i = len(text)
			}
			lead, text = lead+text[:i], text[i:]
			continue
		}
		if strings.HasPrefix(text, "$$") {
			lead, text = lead+"$", text[2:]
			continue
		}
		name, rest, p := cutName(text[1:])
		if p != nil {
			return nil, p
		}
		t, p := lookup(name)
		if p != nil {
			return nil, p
		}
		t.lead = lead
		f.tokens = append(f.tokens, t)
		lead, text = "", rest
	}
	f.tokens = append(f.tokens, token{lead: lead})
	return f, f.finish()
}

// finish checks a template and says for each value what ends it. The last token has no variable.
func (f *Format) finish() *Problem {
	switch n := len(f.tokens); {
	case n > maxTokens:
		return &Problem{Msg: "has more than " + strconv.Itoa(maxTokens-1) + " variables"}
	case n == 1:
		return &Problem{Msg: "has no variable", Hint: "write it like $client $status $duration"}
	}
	stop := byte(0)
	for i := len(f.tokens) - 1; i >= 0; i-- {
		t := &f.tokens[i]
		if !t.endsAt(stop) {
			return &Problem{Msg: "has " + strconv.Quote(string(stop)) + " right behind a variable, whose value may hold it", Hint: "put a space or another separator between them"}
		}
		if strings.ContainsFunc(t.lead, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return &Problem{Msg: "has a control character", Hint: "a line holds none but tabs"}
		}
		t.stop = stop
		if t.lead != "" {
			stop = t.lead[0]
		}
	}
	return nil
}

// endsAt reports whether the value can be kept from holding c, which is what stands behind it. Escapes are letters, digits and
// backslashes themselves.
func (t *token) endsAt(c byte) bool {
	if t.v == literal || t.v >= varTime {
		return !digit(c) && c != '.'
	}
	return !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '\\'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// cutName cuts the name of a variable off what stands behind "$".
func cutName(s string) (name, rest string, p *Problem) {
	const hint = "write $$ for the character itself"
	if s == "" {
		return "", "", &Problem{Msg: "ends in a $", Hint: hint}
	}
	if i := strings.IndexByte("({", s[0]); i >= 0 {
		name, rest, ok := strings.Cut(s[1:], ")}"[i:i+1])
		if !ok || name == "" {
			return "", "", &Problem{Msg: "$" + s[:1] + " is not closed", Hint: hint}
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && (s[n] >= 'a' && s[n] <= 'z' || n > 0 && (digit(s[n]) || s[n] == '_')) {
		n++
	}
	if n == 0 {
		return "", "", &Problem{Msg: "has a $ that begins no variable", Hint: hint}
	}
	return s[:n], s[n:], nil
}

// DefaultFields are JSON's fields where none are named.
func DefaultFields() []string {
	var out []string
	for _, n := range variables() {
		switch n.v {
		case varTimeCLF, varPeer, varPath, varQuery, varNode, varCipher, varServerName:
			continue
		}
		out = append(out, n.name)
	}
	return out
}

// JSON compiles an object with a field for each of the variables, which are named as in a template without "$". A field that is empty, or
// a time that is 0, is left out.
func JSON(fields []string, node string) (*Format, int, *Problem) {
	f := &Format{node: node, clock: new(clock), json: true}
	for i, name := range fields {
		t, p := lookup(name)
		if p != nil {
			return nil, i, p
		}
		t.lead = string(appendJSON(nil, name)) + ":"
		f.tokens = append(f.tokens, t)
	}
	if len(f.tokens) > maxTokens {
		return nil, 0, &Problem{Msg: "has more than " + strconv.Itoa(maxTokens) + " fields"}
	}
	return f, 0, nil
}

// Append appends the line of e, without line end. Of requests of e's kind one in sample is written.
func (f *Format) Append(b []byte, e *Entry, sample int) []byte {
	if f.json {
		return f.appendObject(b, e, sample)
	}
	for i := range f.tokens {
		t := &f.tokens[i]
		b = append(b, t.lead...)
		n := len(b)
		if b = f.appendValue(b, t, e, sample); len(b) == n && t.v != literal {
			b = append(b, '-')
		}
	}
	return b
}
