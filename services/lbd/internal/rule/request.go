package rule

import (
	"bytes"
	"net/netip"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Request is a request's head, whatever protocol it came by. What its methods return is good until Decide returns, and must not change.
type Request interface {
	Method() []byte
	Authority() []byte // host[:port] that the request names, empty if none
	Path() []byte      // as the client wrote it; "*" and the path of CONNECT, which is empty, meet no rule
	Query() []byte     // as the client wrote it, without '?'; nil if there is no '?'
	Fields() int       // number of field lines
	Field(i int) (name, value []byte)
}

// Facts are what is known of a request besides its head.
type Facts struct {
	Client     netip.Addr // see Proxies.Client
	Secure     bool       // it came by TLS, see Proxies.Secure
	ServerName string     // TLS server name, empty if none
	// Certificate is what the client's certificate says, where it has shown one that was verified; nil: it has not.
	Certificate *Certificate
	DoS         Levels
	Random      uint64  // chance for splits
	Limiter     Limiter // nil: every limit lets every request pass
}

// Certificate is what a client's certificate says.
type Certificate struct {
	Subject     string // distinguished name
	Name        string // common name, else the first alternative one
	Names       string // all alternative ones, with their kinds
	Serial      string // hexadecimal
	Fingerprint string // SHA-256, hexadecimal
}

// text returns the value of one of the variables that are about the certificate.
func (c *Certificate) text(variable string) string {
	if c == nil {
		return ""
	}
	switch variable {
	case "tls_client_subject":
		return c.Subject
	case "tls_client_names":
		return c.Names
	case "tls_client_serial":
		return c.Serial
	case "tls_client_fingerprint":
		return c.Fingerprint
	}
	return c.Name
}

// find returns the value of the first field with a lower-case name at or after i, and where it is; -1 if there is none.
func find(req Request, lower string, i int) ([]byte, int) {
	for n := req.Fields(); i < n; i++ {
		if name, value := req.Field(i); http1.Equal(name, lower) {
			return value, i
		}
	}
	return nil, -1
}

// Header returns the value of the first field with a name, which is given in lower case; nil if there is none.
func Header(r Request, lower string) []byte {
	value, _ := find(r, lower, 0)
	return value
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// containsFold reports whether b contains the lower-case text but for ASCII letter case.
func containsFold(b []byte, lower string) bool {
	for n := len(lower); len(b) >= n; b = b[1:] {
		if n == 0 || lowerByte(b[0]) == lower[0] && http1.Equal(b[:n], lower) {
			return true
		}
	}
	return false
}

// Proxies are the networks of proxies in front that are believed.
type Proxies []netip.Prefix

// maxHops bounds how many addresses of X-Forwarded-For are looked at.
const maxHops = 64

// Trusts reports whether the address is one of theirs.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap()
	for i := range p {
		if p[i].Contains(a) {
			return true
		}
	}
	return false
}

// Client returns the address of the client: peer, or, where peer is trusted, the last address of X-Forwarded-For that is not. An entry
// that is no address ends the search at the one behind it.
func (p Proxies) Client(peer netip.Addr, req Request) netip.Addr {
	at := peer.Unmap()
	if !p.Trusts(at) {
		return at
	}
	hops := 0
	for i := req.Fields() - 1; i >= 0; i-- {
		name, list := req.Field(i)
		if !http1.Equal(name, "x-forwarded-for") {
			continue
		}
		for more := true; more; hops++ {
			var entry []byte
			cut := bytes.LastIndexByte(list, ',')
			entry, more = list[cut+1:], cut >= 0
			if more {
				list = list[:cut]
			}
			a, ok := parseAddr(http1.TrimBlank(entry))
			if !ok || hops >= maxHops {
				return at
			}
			if at = a; !p.Trusts(at) {
				return at
			}
		}
	}
	return at
}

// Secure reports whether the client speaks TLS: with lbd, or, where peer is trusted, as its X-Forwarded-Proto says.
func (p Proxies) Secure(peer netip.Addr, tls bool, req Request) bool {
	if tls || !p.Trusts(peer) {
		return tls
	}
	value, _ := find(req, "x-forwarded-proto", 0)
	return http1.Equal(value, "https")
}

// parseAddr reads an address, also with a port behind it. IPv4, of which there are most, allocates nothing.
func parseAddr(b []byte) (netip.Addr, bool) {
	if a, rest, ok := parseIPv4(b); ok && (len(rest) == 0 || rest[0] == ':') {
		return a, true
	}
	if len(b) > 64 {
		return netip.Addr{}, false
	}
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return netip.Addr{}, false
		}
		b = b[1:end]
	}
	a, err := netip.ParseAddr(string(b))
	return a.Unmap().WithZone(""), err == nil
}

// parseIPv4 reads four decimal numbers without leading zeros, and returns what follows.
func parseIPv4(b []byte) (_ netip.Addr, rest []byte, ok bool) {
	var a [4]byte
	for i := range a {
		if i > 0 {
			if len(b) == 0 || b[0] != '.' {
				return netip.Addr{}, nil, false
			}
			b = b[1:]
		}
		n, digits := 0, 0
		for len(b) > 0 && b[0] >= '0' && b[0] <= '9' && digits < 3 {
			n, digits, b = n*10+int(b[0]-'0'), digits+1, b[1:]
			if n == 0 {
				break
			}
		}
		if digits == 0 || n > 255 {
			return netip.Addr{}, nil, false
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), b, true
}
