package http2

import "github.com/everup/everup/services/lbd/internal/http1"

// staticFields is the static table of RFC 7541 appendix A, from index 1.
var staticFields = [...][2]string{
	{":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"}, {":scheme", "http"},
	{":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"}, {":status", "304"}, {":status", "400"},
	{":status", "404"}, {":status", "500"}, {"accept-charset", ""}, {"accept-encoding", "gzip, deflate"}, {"accept-language", ""},
	{"accept-ranges", ""}, {"accept", ""}, {"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""}, {"authorization", ""},
	{"cache-control", ""}, {"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""}, {"content-length", ""},
	{"content-location", ""}, {"content-range", ""}, {"content-type", ""}, {"cookie", ""}, {"date", ""}, {"etag", ""}, {"expect", ""},
	{"expires", ""}, {"from", ""}, {"host", ""}, {"if-match", ""}, {"if-modified-since", ""}, {"if-none-match", ""}, {"if-range", ""},
	{"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""}, {"location", ""}, {"max-forwards", ""},
	{"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""}, {"referer", ""}, {"refresh", ""}, {"retry-after", ""},
	{"server", ""}, {"set-cookie", ""}, {"strict-transport-security", ""}, {"transfer-encoding", ""}, {"user-agent", ""}, {"vary", ""},
	{"via", ""}, {"www-authenticate", ""},
}

// The indices of the static table that are used by name.
const (
	indexAuthority = 1
	indexGET       = 2
	indexPOST      = 3
	indexSlash     = 4
	indexHTTP      = 6
	indexHTTPS     = 7
	indexStatus    = 8
	firstRegular   = 15
)

// meaning is what a field means to us, found once for each line of a table.
type meaning struct {
	pseudo pseudo
	id     http1.ID
	name   http1.Refusal // of the name
	value  http1.Refusal // of the value, with this name
}

// pseudo names the pseudo-header fields (RFC 9113 section 8.3).
type pseudo uint8

const (
	regular pseudo = iota
	method
	scheme
	authority
	path
	status
	unknown
)

// staticLine is a line of the static table.
type staticLine struct {
	text  string // the name and the value
	name  int    // bytes of the name
	means meaning
}

var (
	static        = makeStatic()
	staticNameLen = len("access-control-allow-origin") // the longest
	staticNames   = makeStaticNames()
)

func makeStatic() (t [len(staticFields) + 1]staticLine) {
	for i, f := range staticFields {
		t[i+1] = staticLine{text: f[0] + f[1], name: len(f[0]), means: judge([]byte(f[0]), []byte(f[1]))}
	}
	return t
}

// makeStaticNames lists the names of regular fields by their length.
func makeStaticNames() [][]uint8 {
	t := make([][]uint8, staticNameLen+1)
	for i := firstRegular; i <= len(staticFields); i++ {
		n := len(staticFields[i-1][0])
		t[n] = append(t[n], uint8(i))
	}
	return t
}

// staticName returns the index of a line of the static table with a name, in any case, 0 if there is none.
func staticName(name []byte) int {
	if len(name) > staticNameLen {
		return 0
	}
	for _, i := range staticNames[len(name)] {
		if want := staticFields[i-1][0]; name[0]|0x20 == want[0] && http1.Equal(name, want) {
			return int(i)
		}
	}
	return 0
}

// judge says what a field means.
func judge(name, value []byte) meaning {
	m := judgeName(name)
	m.value = judgeValue(m, value)
	return m
}

func judgeName(name []byte) (m meaning) {
	if len(name) > 0 && name[0] == ':' {
		m.pseudo = pseudoOf(name)
		return m
	}
	m.id, m.name = http1.JudgeName(name)
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			m.name = http1.BadName // RFC 9113 section 8.2.1
		}
	}
	switch m.id {
	case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade:
		m.name = http1.BadConnection // RFC 9113 section 8.2.2
	}
	return m
}

func judgeValue(m meaning, value []byte) http1.Refusal {
	if m.id == http1.TE && !http1.Equal(value, "trailers") {
		return http1.BadConnection // RFC 9113 section 8.2.2
	}
	return http1.JudgeValue(value)
}

func pseudoOf(name []byte) pseudo {
	switch string(name) {
	case ":method":
		return method
	case ":scheme":
		return scheme
	case ":authority":
		return authority
	case ":path":
		return path
	case ":status":
		return status
	}
	return unknown
}
