// Package affinity finds in a request what binds it to a member of a pool: the key that a consistent hash places, and the cookie of a
// session.
//
// A Key and Sessions are made once and not changed; they are pure but for the secrets that they are given, allocate nothing for a
// request, and may be used by any number of goroutines.
package affinity

import "github.com/everup/everup/services/lbd/internal/http1"

// Request is what is looked at of a request's head. What its methods return is only read.
type Request interface {
	Path() []byte  // as the client wrote it
	Query() []byte // likewise, without '?'; nil if there is none
	Fields() int   // number of field lines
	Field(i int) (name, value []byte)
}

// cookies calls f with each cookie of a name (RFC 6265 section 4.2.1) until it is false. Names are told apart by letter case.
func cookies(req Request, name string, f func(value []byte) bool) {
	for i := range req.Fields() {
		field, list := req.Field(i)
		if !http1.Equal(field, "cookie") {
			continue
		}
		for len(list) > 0 {
			var got, value []byte
			if got, value, list = http1.NextCookie(list); string(got) == name && !f(value) {
				return
			}
		}
	}
}
