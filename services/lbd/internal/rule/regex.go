package rule

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// regex is a regular expression with what lets it be skipped.
type regex struct {
	*regexp.Regexp
	prefix  string // every match's input begins with it
	literal []byte // not nil: the expression is this text, anywhere
}

func (x *regex) match(b []byte) bool {
	switch {
	case !hasPrefix(b, x.prefix):
		return false
	case x.literal != nil:
		return bytes.Contains(b, x.literal)
	}
	return x.Match(b)
}

// compileRegex compiles an expression within the bounds.
func compileRegex(s string) (*regex, *fault) {
	if len(s) > MaxPattern {
		return nil, faultf("", "the regular expression has %d bytes, more than %d", len(s), MaxPattern)
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, faultf("as Go and RE2 have them: no look-around, no references back", "%q is no regular expression: %s", s, regexError(err))
	}
	if n := size(tree); n > maxProgram {
		return nil, faultf("repeat less", "the regular expression has about %d steps, more than %d", n, maxProgram)
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, faultf("", "%q is no regular expression: %s", s, regexError(err))
	}
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if !isVariable(name) {
			return nil, faultf("a-z, digits and _, beginning with a letter", "the group's name %q cannot be a variable", name)
		}
		if _, taken := builtins()[name]; taken {
			return nil, faultf("give it another name", "the group's name %q is a variable already", name)
		}
	}
	x := &regex{Regexp: re, prefix: anchored(tree)}
	if text, whole := re.LiteralPrefix(); whole && text != "" && re.NumSubexp() == 0 {
		x.literal = []byte(text)
	}
	return x, nil
}

func regexError(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// size is about how many instructions re compiles to.
func size(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCapture:
		n = 2
	}
	for _, sub := range re.Sub {
		n += size(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, 1<<20)
}

// anchored returns the text that every input of re begins with.
func anchored(re *syntax.Regexp) string {
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	if next := re.Sub[1]; next.Op == syntax.OpLiteral && next.Flags&syntax.FoldCase == 0 {
		if text := string(next.Rune); plain(text) {
			return text
		}
	}
	return ""
}

// plain reports whether only the bytes of text match it: U+FFFD is also what any invalid byte is for an expression.
func plain(text string) bool { return !strings.ContainsRune(text, utf8.RuneError) }
