package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/conf"
)

// Endpoint is an address with what is spoken there.
type Endpoint struct {
	Addr     conf.Addr
	TLS      bool
	Mutual   bool   // TLS, and the client needs a certificate
	Protocol string // "text", "binary" or "" for the configuration's
	Tag      string // for clients' connections to be told apart in lists, at most 8 bytes
}

// UnmarshalText reads [tls:|mtls:][proto[ascii|binary]:][tag[NAME]:]ADDRESS, the prefixes in any order, as memcached's -l takes
// them; its notls: is taken, too.
func (e *Endpoint) UnmarshalText(text []byte) error {
	*e = Endpoint{}
	rest := string(text)
	for {
		head, tail, ok := strings.Cut(rest, ":")
		if !ok || !e.prefix(head) {
			break
		}
		rest = tail
	}
	if strings.HasPrefix(rest, "proto[") || strings.HasPrefix(rest, "tag[") {
		return fmt.Errorf("%q: a prefix is proto[ascii]:, proto[binary]: or tag[1 to 8 letters]:", rest)
	}
	return e.Addr.UnmarshalText([]byte(rest))
}

// prefix takes one prefix; false when it is none.
func (e *Endpoint) prefix(p string) bool {
	switch p {
	case "tls":
		e.TLS = true
	case "mtls":
		e.TLS, e.Mutual = true, true
	case "notls":
		e.TLS, e.Mutual = false, false
	case "proto[ascii]", "proto[text]":
		e.Protocol = "text"
	case "proto[binary]":
		e.Protocol = "binary"
	case "proto[negotiating]", "proto[auto]":
		e.Protocol = ""
	default:
		name, ok := strings.CutPrefix(p, "tag[")
		name, end := strings.CutSuffix(name, "]")
		if !ok || !end || len(name) == 0 || len(name) > 8 {
			return false
		}
		e.Tag = name
	}
	return true
}

// String returns e as UnmarshalText reads it.
func (e Endpoint) String() string {
	s := e.Addr.String()
	if e.Tag != "" {
		s = "tag[" + e.Tag + "]:" + s
	}
	switch e.Protocol {
	case "text":
		s = "proto[ascii]:" + s
	case "binary":
		s = "proto[binary]:" + s
	}
	switch {
	case e.Mutual:
		s = "mtls:" + s
	case e.TLS:
		s = "tls:" + s
	}
	return s
}

// MarshalText returns e as UnmarshalText reads it.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// FileMode is permissions in octal.
type FileMode uint32

// UnmarshalText reads octal digits, with or without a leading zero.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q are no octal permissions, as \"0660\"", text)
	}
	*m = FileMode(n)
	return nil
}

// MarshalText returns m in octal, with a leading zero.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }
