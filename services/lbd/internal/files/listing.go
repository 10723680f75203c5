package files

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxListed bounds the entries of a directory that are listed: each costs a call.
const maxListed = 1000

// list answers with a directory's list.
func (t *Tree) list(r *Request, a *Answer) error {
	list, more, err := t.fs.List(&a.File, maxListed)
	a.closeFile()
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(e Entry) bool {
		return !t.o.Hidden && strings.HasPrefix(e.Name, ".") || e.Kind == Special && !e.Link
	})
	slices.SortFunc(list, func(x, y Entry) int {
		if dx, dy := x.Kind == Directory, y.Kind == Directory; dx != dy {
			if dx {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.Name, y.Name)
	})
	a.Status = 200
	a.Kind = "text/html; charset=utf-8"
	a.add("Content-Type", a.Kind)
	a.add("Cache-Control", "no-cache")
	a.add("Content-Security-Policy", "default-src 'none'")
	a.add("X-Content-Type-Options", "nosniff")
	begin := len(a.buf)
	a.buf = appendList(a.buf, r.Path, list, more)
	a.text(a.last(len(a.buf) - begin))
	a.Whole = a.Length
	if string(r.method()) == "HEAD" {
		a.Content = a.Content[:0]
	}
	return nil
}

// appendList appends the page. Links are relative to the directory, so that it does not matter where it is.
func appendList(b, path []byte, list []Entry, more bool) []byte {
	b = append(b, "<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>"...)
	b = appendHTML(b, string(path))
	b = append(b, "</title></head>\n<body>\n<h1>"...)
	b = appendHTML(b, string(path))
	b = append(b, "</h1>\n<table>\n"...)
	if len(path) > 1 {
		b = append(b, "<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n"...)
	}
	for i := range list {
		b = appendEntry(b, &list[i])
	}
	b = append(b, "</table>\n"...)
	if more {
		b = strconv.AppendInt(append(b, "<p>Only "...), maxListed, 10)
		b = append(b, " entries are shown.</p>\n"...)
	}
	return append(b, "</body>\n</html>\n"...)
}

func appendEntry(b []byte, e *Entry) []byte {
	slash := ""
	if e.Kind == Directory {
		slash = "/"
	}
	b = append(b, "<tr><td><a href=\"./"...)
	b = append(appendEscaped(b, e.Name), slash...)
	b = append(b, "\">"...)
	b = append(appendHTML(b, e.Name), slash...)
	b = append(b, "</a></td><td>"...)
	b = time.Unix(0, e.Changed).UTC().AppendFormat(b, "2006-01-02 15:04")
	b = append(b, "</td><td>"...)
	if e.Kind == Regular {
		b = strconv.AppendInt(b, e.Size, 10)
	}
	return append(b, "</td></tr>\n"...)
}

// appendHTML appends text for HTML, also within quotes. What is no UTF-8 is shown as such.
func appendHTML(b []byte, s string) []byte {
	for _, c := range s {
		switch c {
		case '<':
			b = append(b, "&lt;"...)
		case '>':
			b = append(b, "&gt;"...)
		case '&':
			b = append(b, "&amp;"...)
		case '"':
			b = append(b, "&#34;"...)
		case '\'':
			b = append(b, "&#39;"...)
		default:
			if c < ' ' || c == 0x7f {
				c = '\uFFFD'
			}
			b = append(b, string(c)...)
		}
	}
	return b
}

// appendEscaped appends a name for the path of a URL: all but RFC 3986's unreserved characters as escapes.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}
