// Package grpc knows of gRPC what a proxy needs that answers in a server's place: which requests are calls, what status stands for an
// answer of HTTP, and how a message is written (gRPC over HTTP/2: Responses, and the mapping of HTTP status codes). It is pure.
//
// The mapping is made for clients that got an answer of somebody who knows nothing of gRPC. We know what has happened, and differ where
// a client would be led to do the wrong thing: see Of.
package grpc

import (
	"bytes"
	"strconv"

	"github.com/everup/everup/services/lbd/internal/http1"
)

// Status is how a call has ended: the number of grpc-status plus one, so that the zero value is none.
type Status uint8

// The statuses that a proxy has use for.
const (
	None              Status = 0 // no status: it is no call, or has broken off
	OK                Status = 1 + 0
	Unknown           Status = 1 + 2
	DeadlineExceeded  Status = 1 + 4
	PermissionDenied  Status = 1 + 7
	ResourceExhausted Status = 1 + 8
	Unimplemented     Status = 1 + 12
	Internal          Status = 1 + 13
	Unavailable       Status = 1 + 14
	Unauthenticated   Status = 1 + 16

	highest = Unauthenticated
)

// Type is the Content-Type of answers.
const Type = "application/grpc"

// IsType reports whether a Content-Type is a call's: application/grpc with or without a suffix, such as +proto. That of gRPC-Web is another
// protocol.
func IsType(value []byte) bool {
	if len(value) < len(Type) || !http1.Equal(value[:len(Type)], Type) {
		return false
	}
	rest := value[len(Type):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';' || rest[0] == ' ' || rest[0] == '\t'
}

// Of returns the status for an error of HTTP that is the proxy's own. Time-outs are DEADLINE_EXCEEDED where the mapping has UNAVAILABLE (504) and UNKNOWN
// (408): calls that are UNAVAILABLE are tried again by clients' policies, though the member may have done what it was asked. So does
// Envoy since 2026. What is too large is RESOURCE_EXHAUSTED, as servers of gRPC have it.
func Of(status int) Status {
	switch status {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 408, 504:
		return DeadlineExceeded
	case 413, 431:
		return ResourceExhausted
	case 429, 502, 503:
		return Unavailable
	}
	return Unknown
}

// Parse reads a grpc-status. A number that there is not is UNKNOWN, as clients have it; what is none is None.
func Parse(value []byte) Status {
	n := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return None
		}
		n = min(n*10+int(c-'0'), int(highest))
	}
	switch {
	case len(value) == 0:
		return None
	case n >= int(highest):
		return Unknown
	}
	return Status(1 + n)
}

// Code returns the number that grpc-status has, -1 for None.
func (s Status) Code() int { return int(s) - 1 }

// Append appends the number as grpc-status has it.
func (s Status) Append(b []byte) []byte { return strconv.AppendInt(b, int64(s.Code()), 10) }

// MaxMessage bounds what of a text goes into a message, in bytes before they are encoded: clients bound heads.
const MaxMessage = 1024

// AppendMessage appends a text as grpc-message has it: bytes other than visible ASCII and the space are percent-encoded, and "%" itself. What is
// longer than MaxMessage is cut; an end of the line is left out.
func AppendMessage(b, text []byte) []byte {
	text = bytes.TrimRight(text, "\r\n")
	for _, c := range text[:min(len(text), MaxMessage)] {
		if c >= ' ' && c <= '~' && c != '%' {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}

const hex = "0123456789ABCDEF"
