package accesslog

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// variable is what a token of a format stands for.
type variable uint8

const (
	literal variable = iota

	// Texts.
	varClient
	varPeer
	varMethod
	varTarget
	varPath
	varQuery
	varProto
	varScheme
	varHost
	varID
	varTrace
	varRoute
	varPool
	varMember
	varReason
	varHeader
	varReferer
	varUserAgent
	varTLS
	varCipher
	varServerName
	varNode

	// Times.
	varTime
	varTimeCLF

	// Whole numbers.
	varStatus
	varGRPC
	varSent
	varReceived
	varRetries
	varSample

	// Seconds.
	varHandshake
	varRead
	varDelay
	varGather
	varQueue
	varConnect
	varFirst
	varSend
	varDuration
)

// named is a variable with its name, in the order of JSON's fields.
type named struct {
	name string
	v    variable
}

func variables() []named {
	return []named{
		{"time", varTime}, {"time_clf", varTimeCLF}, {"node", varNode}, {"client", varClient}, {"peer", varPeer}, {"id", varID}, {"trace", varTrace},
		{"method", varMethod}, {"scheme", varScheme}, {"host", varHost}, {"target", varTarget}, {"path", varPath}, {"query", varQuery},
		{"proto", varProto}, {"tls", varTLS}, {"tls_cipher", varCipher}, {"tls_name", varServerName}, {"referer", varReferer}, {"user_agent", varUserAgent}, {"status", varStatus}, {"grpc_status", varGRPC}, {"sent", varSent}, {"received", varReceived}, {"route", varRoute}, {"pool", varPool},
		{"member", varMember}, {"retries", varRetries}, {"reason", varReason}, {"handshake", varHandshake}, {"read", varRead}, {"delay", varDelay},
		{"gather", varGather}, {"queue", varQueue}, {"connect", varConnect}, {"head", varFirst}, {"send", varSend},
		{"duration", varDuration}, {"sample", varSample},
	}
}

// Names returns the variables that a format may use, besides $(header.NAME).
func Names() []string {
	var out []string
	for _, n := range variables() {
		out = append(out, n.name)
	}
	return out
}

// Problem is something wrong with a format.
type Problem struct {
	Msg, Hint string
	Unknown   string // instead of Msg: a variable that there is not
}

// Error returns what is wrong.
func (p *Problem) Error() string {
	switch {
	case p.Unknown != "":
		return "unknown variable $" + p.Unknown
	case p.Hint != "":
		return p.Msg + " (" + p.Hint + ")"
	}
	return p.Msg
}

// lookup returns the token of a variable's name.
func lookup(name string) (token, *Problem) {
	all := variables()
	if i := slices.IndexFunc(all, func(n named) bool { return n.name == name }); i >= 0 {
		return token{v: all[i].v}, nil
	}
	if field, ok := strings.CutPrefix(name, "header."); ok {
		if !http1.IsToken(field) {
			return token{}, &Problem{Msg: "header." + field + " names no header"}
		}
		lower := strings.ToLower(field)
		return token{v: varHeader, name: lower, id: http1.Lookup([]byte(lower))}, nil
	}
	return token{}, &Problem{Unknown: name}
}

// bytes returns a text of the client's. It is nil if the request has none.
func (e *Entry) bytes(t *token) []byte {
	switch t.v {
	case varHost:
		return e.Host
	case varID:
		return e.ID
	case varTrace:
		return e.Trace
	}
	if e.Head == nil {
		return nil
	}
	target := &e.Head.Target
	switch t.v {
	case varMethod:
		return e.Head.Method.In(e.Bytes)
	case varTarget:
		return target.Raw.In(e.Bytes)
	case varPath:
		return target.Path.In(e.Bytes)
	case varQuery:
		return target.Query.In(e.Bytes)
	case varHeader:
		return e.header(t)
	case varReferer:
		return e.Head.Get(e.Bytes, http1.Referer)
	case varUserAgent:
		return e.Head.Get(e.Bytes, http1.UserAgent)
	}
	return nil
}

// header returns the value of the first field with the token's name.
func (e *Entry) header(t *token) []byte {
	if t.id != http1.Other {
		return e.Head.Get(e.Bytes, t.id)
	}
	for i := range e.Head.Fields {
		f := &e.Head.Fields[i]
		if f.ID == http1.Other && http1.Equal(f.Name.In(e.Bytes), t.name) {
			return f.Value.In(e.Bytes)
		}
	}
	return nil
}

// string returns a text of ours.
func (e *Entry) string(v variable) string {
	switch v {
	case varProto:
		return e.Proto
	case varRoute:
		return e.Route
	case varPool:
		return e.Pool
	case varMember:
		return e.Member
	case varReason:
		return e.Reason
	case varTLS, varCipher, varServerName:
		return e.secured(v)
	case varScheme:
		if e.Secure {
			return "https"
		}
		return "http"
	}
	return ""
}

// secured returns a text about the connection's TLS.
func (e *Entry) secured(v variable) string {
	switch {
	case e.TLS == nil:
		return ""
	case v == varTLS:
		return versionName(e.TLS.Version)
	case v == varCipher:
		return tls.CipherSuiteName(e.TLS.CipherSuite)
	}
	return e.TLS.ServerName
}

// versionName is a version as other servers' logs have it.
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return tls.VersionName(v)
}
