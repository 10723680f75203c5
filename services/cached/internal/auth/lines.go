package auth

import (
	"bytes"
	"fmt"

	"github.com/everup/everup/shared/fault"
)

// Bounds of a -Y file: memcached's.
const (
	MaxLines = 8
	MaxLine  = 255 // bytes, without or with its line end
)

// ParseFile reads the content of a -Y file: lines of user:password, at most MaxLines. A line without a colon, also an empty one, is
// fault.Config. Where memcached silently stops reading or keeps what cannot be used, a warning says so.
//
//   - Lines behind the eighth are not read.
//   - A line longer than MaxLine is cut there, and nothing behind it is read.
//   - A carriage return ends a password; so does a zero byte, and nothing behind it is read.
//   - Two lines may name the same user: both passwords are good.
func ParseFile(b []byte) (u *Users, warnings []string, err error) {
	u = newUsers()
	for n := 1; len(b) > 0; n++ {
		if n > MaxLines {
			warnings = append(warnings, fmt.Sprintf("only the first %d lines are read", MaxLines))
			break
		}
		var line []byte
		var why string
		line, b, why = cutLine(b)
		user, password, ok := bytes.Cut(line, []byte{':'})
		if !ok || bytes.IndexByte(user, 0) >= 0 {
			return nil, nil, fault.New(fault.Config, "line %d is not user:password", n)
		}
		password, stop := cutPassword(password)
		if stop {
			b, why = nil, "holds a zero byte; nothing behind it is read"
		}
		if why == "" {
			why = unusable(user, password)
		}
		if why != "" {
			warnings = append(warnings, fmt.Sprintf("line %d %s", n, why))
		}
		u.add(user, password)
	}
	if u.Len() == 0 {
		warnings = append(warnings, "there are no users: nobody can log in")
	}
	return u, warnings, nil
}

// cutLine takes the first line off b. What is left is empty when the line is too long.
func cutLine(b []byte) (line, rest []byte, why string) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i >= 0 && i < MaxLine:
		return b[:i], b[i+1:], ""
	case len(b) <= MaxLine:
		return b, nil, ""
	case i == MaxLine && i == len(b)-1:
		return b[:i], nil, ""
	case i == MaxLine:
		return b[:i], nil, fmt.Sprintf("has %d bytes; the lines behind it are not read", MaxLine)
	}
	return b[:MaxLine], nil, fmt.Sprintf("is longer than %d bytes; nothing behind them is read", MaxLine)
}

// cutPassword ends a password where memcached does.
func cutPassword(p []byte) (password []byte, zero bool) {
	if i := bytes.IndexAny(p, "\r\x00"); i >= 0 {
		return p[:i], p[i] == 0
	}
	return p, false
}

// unusable says why nobody can log in with a line: the text protocol's login is two words.
func unusable(user, password []byte) string {
	switch {
	case len(user) == 0 || len(password) == 0:
		return "has an empty user or password; clients cannot send that"
	case bytes.IndexByte(user, ' ') >= 0 || bytes.IndexByte(password, ' ') >= 0:
		return "has a blank in user or password; clients cannot send that"
	}
	return ""
}
