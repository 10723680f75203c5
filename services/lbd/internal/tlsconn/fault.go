package tlsconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
)

// Fault is why a handshake has failed: one of few words, for counting.
type Fault string

// The faults.
const (
	Closed      Fault = "closed"      // the peer went away
	NotTLS      Fault = "not-tls"     // what came is no TLS
	TooLong     Fault = "too-long"    // the peer's messages are larger than is taken
	Busy        Fault = "busy"        // ErrBusy
	Parameters  Fault = "parameters"  // no version, cipher, group or protocol that both know
	Certificate Fault = "certificate" // the peer's is missing, not trusted or for another name
	Refused     Fault = "refused"     // the peer has told by an alert that it does not go on
	Protocol    Fault = "protocol"    // all else: the peer does not keep to TLS, or we have no certificate for it
)

// FaultOf returns why a handshake has failed with err.
func FaultOf(err error) Fault {
	var header tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	var op *net.OpError
	var system *os.SyscallError
	switch {
	case errors.Is(err, ErrBusy):
		return Busy
	case errors.Is(err, ErrTruncated), errors.Is(err, io.EOF):
		return Closed
	case errors.Is(err, ErrHandshake):
		return TooLong
	case errors.As(err, &header):
		return NotTLS
	case errors.As(err, &verify), isX509(err):
		return Certificate
	case errors.As(err, &op) && op.Op == "remote error":
		return Refused
	case errors.As(err, &system):
		return Closed
	}
	return faultOfText(err.Error())
}

// faultOfText knows the errors of crypto/tls that have no type.
func faultOfText(text string) Fault {
	for _, t := range []struct {
		part string
		is   Fault
	}{
		{"handshake message of length", TooLong},
		{"unsupported versions", Parameters},
		{"no cipher suite", Parameters},
		{"no supported", Parameters},
		{"no mutually supported", Parameters},
		{"unsupported application protocols", Parameters},
		{"no ECDHE", Parameters},
		{"supported by both", Parameters},
		{"didn't provide a certificate", Certificate},
		{"client certificate", Certificate},
	} {
		if strings.Contains(text, t.part) {
			return t.is
		}
	}
	return Protocol
}

func isX509(err error) bool {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid)
}
