package encoding

import (
	"fmt"
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Policy says which answers are compressed, and how. It is not changed once it is in use.
type Policy struct {
	Prefer []Coding // codings to use, the best one first
	Types  Types
	Min    int64 // bytes of the least content that is compressed, where that is known
	Level  Level
}

// DefaultTypes are types of text, and of what else gets much smaller.
func DefaultTypes() []string {
	return []string{
		"text/*", "application/json", "application/*+json", "application/xml", "application/*+xml", "application/javascript",
		"application/x-javascript", "application/x-ndjson", "application/yaml", "application/wasm", "application/manifest+json",
		"application/vnd.ms-fontobject", "image/svg+xml", "image/x-icon", "image/bmp", "font/ttf", "font/otf",
	}
}

// Types is a set of media types.
type Types struct {
	exact    map[string]bool
	patterns []pattern
}

// pattern is a type and what its subtype ends with.
type pattern struct{ major, end string } // major empty: any

// compressed are types that a pattern does not mean, for they are compressed already. Whoever names one gets it.
var compressed = []string{
	"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/heic", "image/jxl", "font/woff", "font/woff2",
	"application/zip", "application/gzip", "application/x-gzip", "application/zstd", "application/x-xz", "application/x-bzip2",
	"application/x-7z-compressed", "application/vnd.rar", "application/x-rar-compressed", "application/java-archive", "application/epub+zip",
}

// longestType is the longest type that is looked at.
const longestType = 127

// ParseTypes makes a set of types such as text/html, text/*, application/*+json and */*.
func ParseTypes(list []string) (Types, error) {
	t := Types{exact: map[string]bool{}}
	for _, s := range list {
		major, sub, ok := strings.Cut(strings.ToLower(s), "/")
		if !ok || !http1.IsToken(major) || !http1.IsToken(sub) || len(s) > longestType {
			return t, fmt.Errorf("%q is no media type", s)
		}
		end, some := strings.CutPrefix(sub, "*")
		if strings.Contains(end, "*") || major != "*" && strings.Contains(major, "*") || major == "*" && !some {
			return t, fmt.Errorf("%q: * stands for a whole type, or for the beginning of a subtype", s)
		}
		if !some {
			t.exact[major+"/"+sub] = true
			continue
		}
		t.patterns = append(t.patterns, pattern{strings.TrimPrefix(major, "*"), end})
	}
	return t, nil
}

// Has reports whether a Content-Type, which may have parameters, is in the set.
func (t *Types) Has(value []byte) bool { return has(t, value) }

func has[T string | []byte](t *Types, value T) bool {
	var lower [longestType]byte
	n := 0
	for i := range len(value) {
		c := value[i]
		if c == ';' || c == ' ' || c == '\t' {
			break
		}
		if n == len(lower) {
			return false
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[n] = c
		n++
	}
	if t.exact[string(lower[:n])] {
		return true
	}
	return len(t.patterns) > 0 && t.matches(string(lower[:n]))
}

func (t *Types) matches(kind string) bool {
	major, sub, ok := strings.Cut(kind, "/")
	if !ok || sub == "" {
		return false
	}
	for _, p := range t.patterns {
		if (p.major == "" || p.major == major) && strings.HasSuffix(sub, p.end) {
			return !slices.Contains(compressed, kind) && major != "video" && major != "audio"
		}
	}
	return false
}

// Decision is what becomes of an answer.
type Decision struct {
	Coding Coding // Identity: it stays as it is
	Vary   bool   // another client might get it in another coding
}

// Judge decides on the answer whose head is h, to a client that takes a.
func (p *Policy) Judge(h *http1.Head, in []byte, a *Accept) Decision {
	if !hasWhole(h.Status) || !p.suits(h, in) {
		return Decision{}
	}
	return Decision{Coding: a.Choose(p.Prefer), Vary: true}
}

// JudgeOwn decides on content of our own, of which only the type and the length matter.
func (p *Policy) JudgeOwn(kind string, size int64, a *Accept) Decision {
	if size < p.Min || !has(&p.Types, kind) {
		return Decision{}
	}
	return Decision{Coding: a.Choose(p.Prefer), Vary: true}
}

// hasWhole reports whether answers of a status hold a whole representation.
func hasWhole(status int) bool {
	switch status {
	case 204, 205, 206, 226, 304:
		return false
	}
	return status >= 200
}

// suits reports whether an answer's header lets it be compressed.
func (p *Policy) suits(h *http1.Head, in []byte) bool {
	typed := false
	for i := range h.Fields {
		f := &h.Fields[i]
		v := f.Value.In(in)
		switch f.ID {
		case http1.ContentType:
			if typed = !typed && p.Types.Has(v); !typed {
				return false // also of two types, one of which is not meant
			}
		case http1.ContentEncoding:
			return false
		case http1.ContentLength:
			if length(v) < p.Min {
				return false
			}
		case http1.CacheControl:
			if forbidsTransform(v) {
				return false
			}
		default:
			if binds(f.Name.In(in)) {
				return false
			}
		}
	}
	return typed
}

// binds reports whether a field speaks of the very bytes that the answer has.
func binds(name []byte) bool {
	switch len(name) {
	case len("digest"):
		return http1.Equal(name, "digest")
	case len("content-md5"):
		return http1.Equal(name, "content-md5") || http1.Equal(name, "repr-digest")
	case len("content-range"):
		return http1.Equal(name, "content-range")
	case len("content-digest"):
		return http1.Equal(name, "content-digest")
	}
	return false
}

// length reads a Content-Length, which has been checked.
func length(v []byte) (n int64) {
	for _, c := range v {
		n = n*10 + int64(c-'0')
	}
	return n
}

// forbidsTransform reports whether a Cache-Control says no-transform. Quotes are not looked at: what stands in them is taken for a directive, and
// nothing is lost but the compression.
func forbidsTransform(v []byte) (found bool) {
	http1.Elements(v, func(e []byte) bool {
		found = http1.Equal(e, "no-transform")
		return !found
	})
	return found
}
