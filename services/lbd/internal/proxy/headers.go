package proxy

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/route"
)

// hopByHop are the fields that concern one connection only (RFC 9110, 7.6.1), besides those that Connection names.
var hopByHop = [...]string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authorization",
}

// dropHopByHop removes them from h.
func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				h.Del(name)
			}
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// hasToken reports whether a list field holds the token, in any letter case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}

// upgradeOf returns what protocol h wants to change to, "" for none.
func upgradeOf(h http.Header) string {
	if !hasToken(h["Connection"], "upgrade") {
		return ""
	}
	return h.Get("Upgrade")
}

// outgoing returns the request as it goes to a member.
func (x *exchange) outgoing(member string) *http.Request {
	in := x.r
	out := &http.Request{
		Method: in.Method, URL: x.target(member), Host: in.Host, Header: in.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: in.ContentLength, Trailer: in.Trailer,
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	upgrade, trailers := upgradeOf(in.Header), hasToken(in.Header["Te"], "trailers")
	dropHopByHop(out.Header)
	if upgrade != "" {
		out.Header["Connection"], out.Header["Upgrade"] = []string{"Upgrade"}, []string{upgrade}
	}
	if trailers {
		out.Header["Te"] = []string{"trailers"}
	}
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // else net/http names itself
	}
	x.tellClient(out.Header)
	out.Body = x.body.reader()
	switch {
	case out.Body == nil:
		out.ContentLength, out.Trailer = 0, nil
	case x.body.whole && len(in.Trailer) == 0:
		out.ContentLength = int64(len(x.body.kept))
		if out.ContentLength == 0 {
			out.Body = http.NoBody
		}
	}
	if x.body.whole {
		out.Header.Del("Expect") // the body is here: nobody waits
	}
	return out
}

// target is the URL at a member: path and query as the client wrote them, but for a prefix to strip.
func (x *exchange) target(member string) *url.URL {
	u := &url.URL{
		Scheme: "http", Host: member, Path: x.r.URL.Path, RawPath: x.r.URL.RawPath,
		RawQuery: x.r.URL.RawQuery, ForceQuery: x.r.URL.ForceQuery,
	}
	if x.strip == "" {
		return u
	}
	encoded := route.Strip(x.r.URL.EscapedPath(), x.strip)
	if path, err := url.PathUnescape(encoded); err == nil {
		u.Path, u.RawPath = path, encoded
	}
	return u
}

// tellClient sets X-Forwarded-For, -Proto and -Host. What the client sent of them, and its Forwarded (RFC 7239), counts only
// when it is a trusted proxy.
func (x *exchange) tellClient(h http.Header) {
	prior := h["X-Forwarded-For"]
	proto, host := h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-Host")
	trusted := x.trusted(x.peer)
	for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		h.Del(name)
	}
	if !trusted {
		h.Del("Forwarded")
		prior, proto, host = nil, "", ""
	}
	if !x.set.Forwarded {
		return
	}
	h.Set("X-Forwarded-For", strings.Join(append(slices.Clone(prior), x.peer.String()), ", "))
	if proto == "" {
		proto = "http"
	}
	if host == "" {
		host = x.r.Host
	}
	h.Set("X-Forwarded-Proto", proto)
	h.Set("X-Forwarded-Host", host)
}

func (x *exchange) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(x.live.Trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}
