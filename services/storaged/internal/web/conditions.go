package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
)

// preconditions are those of a request that changes an object (RFC 9110 §13.1); readers' are net/http's business.
type preconditions struct {
	match, noneMatch *tags      // nil: no such field
	unmodifiedSince  *time.Time // not looked at when match is there
}

// tags is a list of entity tags, or "*".
type tags struct {
	any  bool
	list []tag
}

type tag struct {
	opaque string // with its quotes
	weak   bool
}

// parsePreconditions reads the fields. A malformed list of tags is an error: to ignore it would be to write
// without the condition asked for. A malformed date counts as absent (RFC 9110 §13.1.4).
func parsePreconditions(h http.Header) (p preconditions, err error) {
	if p.match, err = parseTags(h, "If-Match"); err != nil {
		return p, err
	}
	if p.noneMatch, err = parseTags(h, "If-None-Match"); err != nil {
		return p, err
	}
	if t, err := http.ParseTime(h.Get("If-Unmodified-Since")); err == nil {
		p.unmodifiedSince = &t
	}
	return p, nil
}

func parseTags(h http.Header, field string) (*tags, error) {
	values := h.Values(field)
	if len(values) == 0 {
		return nil, nil
	}
	s := strings.TrimSpace(strings.Join(values, ","))
	if s == "*" {
		return &tags{any: true}, nil
	}
	var out tags
	for s != "" {
		s = strings.TrimLeft(s, ", \t")
		if s == "" {
			break
		}
		t, rest, ok := cutTag(s)
		if !ok {
			return nil, fault.New(fault.Invalid, "web: %s is no list of entity tags", field)
		}
		out.list = append(out.list, t)
		s = rest
	}
	if len(out.list) == 0 {
		return nil, fault.New(fault.Invalid, "web: %s is empty", field)
	}
	return &out, nil
}

// cutTag cuts an entity tag and the white space after it; a comma or the end must follow.
func cutTag(s string) (t tag, rest string, ok bool) {
	s, t.weak = strings.CutPrefix(s, "W/")
	if len(s) < 2 || s[0] != '"' {
		return t, "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return t, "", false
	}
	t.opaque = s[:end+2]
	rest = strings.TrimLeft(s[end+2:], " \t")
	return t, rest, rest == "" || rest[0] == ','
}

// has reports whether etag, which is strong, is in the list; weak tags count only when asked for by weakly.
func (t *tags) has(etag string, weakly bool) bool {
	for _, have := range t.list {
		if have.opaque == etag && (weakly || !have.weak) {
			return true
		}
	}
	return false
}

// errPrecondition is answered with 412.
var errPrecondition = fault.New(fault.Conflict, "web: a precondition does not hold")

// check evaluates p in the order of RFC 9110 §13.2.2. It is a blob.Condition.
func (p preconditions) check(e names.Entry, exists bool) error {
	etag := blob.ETag(e.SHA256)
	switch {
	case p.match != nil:
		if !exists || !p.match.any && !p.match.has(etag, false) {
			return errPrecondition
		}
	case p.unmodifiedSince != nil:
		if !exists || e.Modified.Truncate(time.Second).After(*p.unmodifiedSince) {
			return errPrecondition
		}
	}
	if p.noneMatch != nil && exists && (p.noneMatch.any || p.noneMatch.has(etag, true)) {
		return errPrecondition
	}
	return nil
}
