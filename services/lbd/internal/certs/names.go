package certs

import (
	"crypto/x509"
	"strings"
)

const maxNames = 1024 // of a certificate

// CheckName returns a name as it is compared: in lower case, without a final dot. It is no name that a client could ask for, or *. and such a
// name, if ok is false.
func CheckName(s string) (name string, ok bool) {
	name = strings.ToLower(strings.TrimSuffix(s, "."))
	rest := strings.TrimPrefix(name, "*.")
	if rest == "" || len(name) > 253 {
		return name, false
	}
	for label := range strings.SplitSeq(rest, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return name, false
		}
	}
	return name, true
}

// namesOf returns the names that a certificate is for, without those that nobody can ask for.
func namesOf(c *x509.Certificate) []string {
	var out []string
	for _, s := range c.DNSNames {
		if name, ok := CheckName(s); ok && len(out) < maxNames {
			out = append(out, name)
		}
	}
	return out
}

// covers reports whether a certificate for pattern is shown for name.
func covers(pattern, name string) bool {
	rest, wild := strings.CutPrefix(pattern, "*")
	if !wild {
		return pattern == name
	}
	dot := strings.IndexByte(name, '.')
	return dot > 0 && name[dot:] == rest
}

// index finds certificates by name.
type index struct {
	exact map[string][]*shown
	wild  map[string][]*shown // by what stands for the *: ".example.org"
}

// add enters a certificate under a name.
func (x *index) add(name string, c *shown) {
	if x.exact == nil {
		x.exact, x.wild = map[string][]*shown{}, map[string][]*shown{}
	}
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		x.wild[rest] = append(x.wild[rest], c)
		return
	}
	x.exact[name] = append(x.exact[name], c)
}

// find returns the certificates for the name that a client asks for, nil if there is none.
func (x *index) find(name string) []*shown {
	name = strings.ToLower(name) // allocates nothing where it is so
	if found := x.exact[name]; found != nil {
		return found
	}
	if dot := strings.IndexByte(name, '.'); dot > 0 {
		return x.wild[name[dot:]]
	}
	return nil
}
