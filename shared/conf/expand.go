package conf

import (
	"fmt"
	"os"
	"strings"
)

// maxExpanded bounds what all expansions of a configuration add together.
const maxExpanded = 16 << 20

// expander replaces ${…} in text.
type expander struct {
	env      func(string) (string, bool)
	readFile func(string) ([]byte, error)
	errs     *collector
	used     map[string]string // what each reference that was followed gave, for the hash
	failed   map[string]error  // of files
	total    int
}

func newExpander(o Options, errs *collector) *expander {
	e := &expander{env: o.Env, readFile: o.ReadFile, errs: errs, used: map[string]string{}, failed: map[string]error{}}
	if e.env == nil {
		e.env = os.LookupEnv
	}
	if e.readFile == nil {
		e.readFile = func(name string) ([]byte, error) { return readBounded(name, maxValueFile) }
	}
	return e
}

// expand returns s with its references replaced, and whether there were any. It is not ok when one cannot be followed; the
// error is recorded then.
func (e *expander) expand(s string, at position, p *path) (text string, expanded, ok bool) {
	if !strings.Contains(s, "${") {
		return s, false, true
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "$${"):
			b.WriteString("${")
			s = s[3:]
		case strings.HasPrefix(s, "${"):
			ref, rest, closed := strings.Cut(s[2:], "}")
			value, problem, hint := e.follow(ref, closed)
			if problem != "" {
				e.errs.add(at, p, problem, hint)
				return "", true, false
			}
			b.WriteString(value)
			s = rest
		default:
			b.WriteByte('$')
			s = s[1:]
		}
		if b.Len() > maxExpanded {
			e.errs.add(at, p, fmt.Sprintf("expansions add more than %v", Size(maxExpanded)), "")
			return "", true, false
		}
	}
	if e.total += b.Len(); e.total > maxExpanded {
		e.errs.add(at, p, fmt.Sprintf("expansions add more than %v", Size(maxExpanded)), "")
		return "", true, false
	}
	return b.String(), true, true
}

// follow returns what stands behind ${ref}, or a problem with a hint.
func (e *expander) follow(ref string, closed bool) (value, problem, hint string) {
	if !closed || strings.Contains(ref, "${") {
		return "", "${ is not closed", "write ${NAME}, or $${ for the two characters themselves; references do not nest"
	}
	if name, ok := strings.CutPrefix(ref, "file:"); ok {
		return e.file(name)
	}
	name, fallback, hasFallback := strings.Cut(ref, ":-")
	if !validVariable(name) {
		return "", fmt.Sprintf("${%s} is not a reference", ref), "write ${NAME}, ${NAME:-fallback} or ${file:/path}"
	}
	value, ok := e.env(name)
	if (!ok || value == "") && hasFallback {
		value, ok = fallback, true
	}
	if !ok {
		return "", fmt.Sprintf("the environment variable %s is not set", name), fmt.Sprintf("set it, or write ${%s:-fallback}", name)
	}
	e.used[ref] = value
	return value, "", ""
}

// file returns a file's content without its final newline.
func (e *expander) file(name string) (value, problem, hint string) {
	if value, ok := e.used["file:"+name]; ok {
		return value, "", ""
	}
	err := e.failed[name]
	if err == nil {
		var data []byte
		if data, err = e.readFile(name); err == nil && len(data) > maxValueFile {
			err = fmt.Errorf("%s is larger than %v", name, Size(maxValueFile))
		}
		value = strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	}
	if err != nil {
		e.failed[name] = err
		return "", "cannot read the value from its file: " + err.Error(), ""
	}
	e.used["file:"+name] = value
	return value, "", ""
}

// validVariable reports whether s can be the name of an environment variable.
func validVariable(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
