package http1

// ID names the fields that mean something to a proxy itself.
type ID uint8

// The fields.
const (
	Other ID = iota
	Host
	ContentLength
	TransferEncoding
	Connection
	KeepAlive
	ProxyConnection
	Upgrade
	Expect
	TE
	Trailer
	Via
	Forwarded
	XForwardedFor
	XForwardedProto
	XForwardedHost
	Cookie
	SetCookie
	UserAgent
	Referer
	Accept
	AcceptEncoding
	Authorization
	ProxyAuthorization
	ProxyAuthenticate
	Range
	Date
	Server
	ContentType
	ContentEncoding
	ETag
	Vary
	CacheControl
	Location
	HTTP2Settings
	StrictTransportSecurity
	IfMatch
	IfNoneMatch
	IfModifiedSince
	IfUnmodifiedSince
	IfRange
	XForwardedPort
	XRequestID
	Traceparent
	Tracestate

	ids
)

var names = [ids]string{
	"", "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "upgrade",
	"expect", "te", "trailer", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
	"cookie", "set-cookie", "user-agent", "referer", "accept", "accept-encoding", "authorization",
	"proxy-authorization", "proxy-authenticate", "range", "date", "server", "content-type", "content-encoding",
	"etag", "vary", "cache-control", "location", "http2-settings", "strict-transport-security",
	"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range",
	"x-forwarded-port", "x-request-id", "traceparent", "tracestate",
}

// String returns the field's name in lower case.
func (id ID) String() string {
	if id < ids {
		return names[id]
	}
	return ""
}

// longest is the length of the longest name.
const longest = len("strict-transport-security")

// byLength lists the fields by the length of their names: at most a few have the same.
var byLength = makeByLength()

func makeByLength() (t [longest + 1][]ID) {
	for id := Other + 1; id < ids; id++ {
		n := len(names[id])
		t[n] = append(t[n], id)
	}
	return t
}

// Lookup returns the ID of a field's name, in any case.
func Lookup(name []byte) ID {
	if len(name) > longest {
		return Other
	}
	for _, id := range byLength[len(name)] {
		if want := names[id]; name[0]|0x20 == want[0] && Equal(name, want) {
			return id
		}
	}
	return Other
}

// hopByHop are the fields that end at a proxy whether Connection names them or not (RFC 9110 section 7.6.1).
const hopByHop = 1<<Connection | 1<<KeepAlive | 1<<ProxyConnection | 1<<Upgrade | 1<<TE | 1<<TransferEncoding | 1<<HTTP2Settings |
	1<<ProxyAuthenticate | 1<<ProxyAuthorization

// HopByHop reports whether a field ends at a proxy. Trailer is not among them: what it announces is passed on.
func (id ID) HopByHop() bool { return hopByHop>>id&1 != 0 }

// notInTrailer are the fields that frame, route or authenticate a message and hence mean nothing behind it (RFC 9110 section
// 6.5.1).
const notInTrailer = 1<<Host | 1<<ContentLength | 1<<TransferEncoding | 1<<Connection | 1<<KeepAlive | 1<<ProxyConnection |
	1<<Upgrade | 1<<Expect | 1<<TE | 1<<Trailer | 1<<Cookie | 1<<SetCookie | 1<<Authorization | 1<<ProxyAuthorization |
	1<<ProxyAuthenticate | 1<<Range | 1<<ContentType | 1<<ContentEncoding | 1<<CacheControl | 1<<Location | 1<<Vary |
	1<<Forwarded | 1<<XForwardedFor | 1<<XForwardedProto | 1<<XForwardedHost | 1<<XForwardedPort | 1<<HTTP2Settings |
	1<<IfMatch | 1<<IfNoneMatch | 1<<IfModifiedSince | 1<<IfUnmodifiedSince | 1<<IfRange

// InTrailer reports whether a field may stand behind a body.
func (id ID) InTrailer() bool { return notInTrailer>>id&1 == 0 }
