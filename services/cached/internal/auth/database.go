package auth

import (
	"bytes"
	"fmt"

	"github.com/everup/everup/shared/fault"
)

// Bounds of a password database.
const (
	MaxDatabase  = 1 << 20 // bytes
	MaxPasswords = 1 << 16
)

// maxPair is the longest user and password together that upstream's memcached lets in.
const maxPair = 252

// ParseDatabase reads the content of a MEMCACHED_SASL_PWDB file: lines of user:password, or user:password:more. As memcached compares as
// many bytes as the client sends and then wants a colon or the end, a password may hold colons and be given up to any of them. The
// first line of a user is the one that counts. Lines that are none, comments say, are skipped; a warning counts them. A file beyond the
// bounds is fault.Full.
func ParseDatabase(b []byte) (u *Users, warnings []string, err error) {
	if len(b) > MaxDatabase {
		return nil, nil, fault.New(fault.Full, "more than %d bytes", MaxDatabase)
	}
	u = newUsers()
	seen := map[string]bool{}
	skipped, again := 0, 0
	for line := range bytes.Lines(b) {
		line, _, _ = bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{'\r'})
		user, secret, ok := bytes.Cut(line, []byte{':'})
		switch {
		case !ok || bytes.IndexByte(line, 0) >= 0:
			skipped++
			continue
		case seen[string(user)]:
			again++
			continue
		}
		seen[string(user)] = true
		for _, password := range readings(secret) {
			if len(user)+len(password) <= maxPair {
				u.add(user, password)
			}
		}
		if u.Len() > MaxPasswords {
			return nil, nil, fault.New(fault.Full, "more than %d passwords", MaxPasswords)
		}
	}
	if skipped > 0 {
		warnings = append(warnings, fmt.Sprintf("%d lines are not user:password and were skipped", skipped))
	}
	if again > 0 {
		warnings = append(warnings, fmt.Sprintf("%d lines name a user again and were skipped", again))
	}
	if u.Len() == 0 {
		warnings = append(warnings, "there are no users: nobody can log in")
	}
	return u, warnings, nil
}

// readings are secret and each beginning of it that a colon ends.
func readings(secret []byte) [][]byte {
	all := [][]byte{secret}
	for i, c := range secret {
		if c == ':' && i <= maxPair {
			all = append(all, secret[:i])
		}
	}
	return all
}
