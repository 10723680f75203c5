package encoding

import (
	"bytes"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Drops reports whether a field of the answer is not true of it any more.
func (d Decision) Drops(id http1.ID, name []byte) bool {
	if d.Coding == Identity {
		return false
	}
	return id == http1.ContentLength || http1.Equal(name, "accept-ranges")
}

// NamesAcceptEncoding reports whether the value of a Vary says that the answer depends on Accept-Encoding.
func NamesAcceptEncoding(vary []byte) (found bool) {
	http1.Elements(vary, func(e []byte) bool {
		found = http1.Equal(e, "accept-encoding") || len(e) == 1 && e[0] == '*'
		return !found
	})
	return found
}

// AppendWeak appends an entity tag as a weak one.
func AppendWeak(b, tag []byte) []byte {
	if !bytes.HasPrefix(tag, weak) {
		b = append(b, weak...)
	}
	return append(b, tag...)
}

var weak = []byte("W/")

// AppendStrong appends an If-Match whose tags are all strong. See the package's documentation for when that is right: Restores.
func AppendStrong(b, list []byte) []byte {
	quoted := false
	for i := 0; i < len(list); i++ {
		c := list[i]
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && c == 'W' && bytes.HasPrefix(list[i+1:], []byte(`/"`)) {
			i++
			continue
		}
		b = append(b, c)
	}
	return b
}

// Restores reports whether a request's If-Match is to be made strong again: its method changes something, and it is about no range.
func Restores(h *http1.Head, in []byte) bool {
	switch string(h.Method.In(in)) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return false
	}
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.ID == http1.Range || http1.Equal(f.Name.In(in), "content-range") {
			return false
		}
	}
	return true
}

// ReweakenETag reports whether the strong tag of a 304 is one that the client knows as a weak one only, by its If-None-Match.
func ReweakenETag(request *http1.Head, in []byte, tag []byte) bool {
	if len(tag) < 2 || tag[0] != '"' {
		return false
	}
	asWeak := false
	for i := range request.Fields {
		f := &request.Fields[i]
		if f.ID != http1.IfNoneMatch {
			continue
		}
		switch as := lists(f.Value.In(in), tag); {
		case as == strongly:
			return false
		case as == weakly:
			asWeak = true
		}
	}
	return asWeak
}

type listed uint8

const (
	unlisted listed = iota
	weakly
	strongly
)

// lists says how a list of tags has a strong tag.
func lists(list, tag []byte) (as listed) {
	for len(list) > 0 {
		open := bytes.IndexByte(list, '"')
		if open < 0 {
			return as
		}
		n := bytes.IndexByte(list[open+1:], '"')
		if n < 0 {
			return as
		}
		if bytes.Equal(list[open:open+n+2], tag) {
			if !bytes.HasSuffix(list[:open], weak) {
				return strongly
			}
			as = weakly
		}
		list = list[open+n+2:]
	}
	return as
}
