package files

import (
	"github.com/everup/everup/services/lbd/internal/http1"
)

// judgement is what conditions come to.
type judgement uint8

const (
	met       judgement = iota // or there are none
	unchanged                  // 304
	failed                     // 412
)

// judge looks at the conditions in the order of RFC 9110 section 13.2.2.
func (r *Request) judge(a *Answer) judgement {
	if matched, there := r.matches(http1.IfMatch, a, true); there {
		if !matched {
			return failed
		}
	} else if since, ok := r.date(http1.IfUnmodifiedSince); ok && a.changed > since {
		return failed
	}
	if matched, there := r.matches(http1.IfNoneMatch, a, false); there {
		if matched {
			return unchanged
		}
	} else if since, ok := r.date(http1.IfModifiedSince); ok && a.changed <= since {
		return unchanged
	}
	return met
}

// date returns the date in a field that is there once and is one.
func (r *Request) date(id http1.ID) (unix int64, ok bool) {
	v, lines := r.get(id)
	if lines != 1 {
		return 0, false
	}
	return http1.ParseDate(v, r.Now)
}

// matches reports whether a field lists the entity tag, and whether it is there at all.
func (r *Request) matches(id http1.ID, a *Answer, strong bool) (matched, there bool) {
	for i := range r.Head.Fields {
		if f := &r.Head.Fields[i]; f.ID == id {
			there = true
			matched = matched || listed(f.Value.In(r.Bytes), a, strong)
		}
	}
	return matched, there
}

// listed reports whether a list of entity tags (RFC 9110 section 8.8.3) has a's. What is no tag ends it.
func listed(list []byte, a *Answer, strong bool) bool {
	if string(list) == "*" {
		return true
	}
	for {
		for len(list) > 0 && (list[0] == ' ' || list[0] == '\t' || list[0] == ',') {
			list = list[1:]
		}
		tag, weak, rest := nextTag(list)
		if tag == nil {
			return false
		}
		if same(tag, weak, a, strong) {
			return true
		}
		list = rest
		for len(list) > 0 && (list[0] == ' ' || list[0] == '\t') {
			list = list[1:]
		}
		if len(list) > 0 && list[0] != ',' {
			return false
		}
	}
}

// same compares by section 8.8.3.2.
func same(tag []byte, weak bool, a *Answer, strong bool) bool {
	own := a.etag
	if a.weak {
		own = own[2:]
	}
	return string(tag) == string(own) && !(strong && (weak || a.weak))
}

// nextTag cuts an entity tag off b; nil if b does not begin with one. tag has the quotes, but no W/.
func nextTag(b []byte) (tag []byte, weak bool, rest []byte) {
	if len(b) >= 2 && b[0] == 'W' && b[1] == '/' {
		weak, b = true, b[2:]
	}
	if len(b) == 0 || b[0] != '"' {
		return nil, false, nil
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[:i+1], weak, b[i+1:]
		case c <= ' ' || c == 0x7f:
			return nil, false, nil
		}
	}
	return nil, false, nil
}

// fresh reports whether ranges are of what the client has a part of (RFC 9110 section 13.1.5): there is no If-Range, or it names exactly this
// file. A date names it only if the file could not have changed once more within that second.
func (r *Request) fresh(a *Answer) bool {
	v, lines := r.get(http1.IfRange)
	if lines == 0 {
		return true
	}
	if lines > 1 {
		return false
	}
	if tag, weak, rest := nextTag(v); tag != nil {
		return len(rest) == 0 && same(tag, weak, a, true)
	}
	since, ok := http1.ParseDate(v, r.Now)
	return ok && since == a.changed && r.Now.Unix() > a.changed+1
}
