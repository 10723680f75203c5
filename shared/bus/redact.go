package bus

import (
	"net/url"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// userInfo is what stands between "//" and "@" in a URL.
var userInfo = regexp.MustCompile(`//[^/@\s"]*@`)

// redactURLs takes users and passwords out of the URLs in s.
func redactURLs(s string) string { return userInfo.ReplaceAllString(s, "//"+redacted+"@") }

// redact takes every secret the bus knows out of s, where a library's error may quote it.
func (b *Bus) redact(s string) string {
	s = redactURLs(s)
	for _, secret := range b.secrets() {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	return s
}

func (b *Bus) secrets() []string {
	var out []string
	if p := b.cfg.Password.Reveal(); p != "" {
		out = append(out, p)
	}
	for _, raw := range b.cfg.URLs {
		if u, err := url.Parse(raw); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok && p != "" {
				out = append(out, p)
			}
		}
	}
	return out
}
