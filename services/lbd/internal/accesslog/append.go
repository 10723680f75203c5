package accesslog

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/everup/everup/services/lbd/internal/grpc"
)

const hex = "0123456789abcdef"

// appendValue appends a variable's value to a template's line. What is empty appends nothing.
func (f *Format) appendValue(b []byte, t *token, e *Entry, sample int) []byte {
	switch {
	case t.v >= varHandshake:
		return appendSeconds(b, e.seconds(t.v))
	case t.v == varGRPC && e.GRPC == grpc.None:
		return b
	case t.v >= varStatus:
		return strconv.AppendInt(b, e.number(t.v, sample), 10)
	}
	switch t.v {
	case literal:
		return b
	case varClient:
		return appendAddr(b, e.Client)
	case varPeer:
		return appendAddr(b, e.Peer)
	case varTime:
		return f.clock.appendRFC3339(b, e.Time)
	case varTimeCLF:
		return f.clock.appendCLF(b, e.Time)
	case varNode:
		return appendEscaped(b, f.node, t.stop)
	case varProto, varScheme, varRoute, varPool, varMember, varReason, varTLS, varCipher, varServerName:
		return appendEscaped(b, e.string(t.v), t.stop)
	}
	return appendEscaped(b, e.bytes(t), t.stop)
}

// number returns the value of a whole number.
func (e *Entry) number(v variable, sample int) int64 {
	switch v {
	case varStatus:
		return int64(e.Status)
	case varGRPC:
		return int64(e.GRPC.Code())
	case varSent:
		return e.Sent
	case varReceived:
		return e.Received
	case varRetries:
		return int64(e.Retries)
	}
	return int64(sample)
}

// seconds returns the value of a time.
func (e *Entry) seconds(v variable) time.Duration {
	switch v {
	case varHandshake:
		return e.Handshake
	case varRead:
		return e.Read
	case varDelay:
		return e.Delay
	case varGather:
		return e.Gather
	case varQueue:
		return e.Queue
	case varConnect:
		return e.Connect
	case varFirst:
		return e.First
	case varSend:
		return e.Send
	}
	return e.Duration
}

func appendAddr(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return b
	}
	return a.AppendTo(b)
}

// appendSeconds appends d with microseconds.
func appendSeconds(b []byte, d time.Duration) []byte {
	us := uint64(max(d.Microseconds(), 0))
	if us == 0 { // most phases do not happen
		return append(b, "0.000000"...)
	}
	s := us / 1e6
	if s < 10 {
		b = append(b, '0'+byte(s))
	} else {
		b = strconv.AppendUint(b, s, 10)
	}
	n := uint32(us % 1e6)
	high, low := n/1000, n%1000
	return append(b, '.', '0'+byte(high/100), '0'+byte(high/10%10), '0'+byte(high%10), '0'+byte(low/100), '0'+byte(low/10%10), '0'+byte(low%10))
}

// appendPadded appends n with leading zeros; unit is the value of its first digit.
func appendPadded(b []byte, n, unit int) []byte {
	for ; unit > 0; unit /= 10 {
		b = append(b, '0'+byte(n/unit%10))
	}
	return b
}

// plain reports whether c stands in a line as it is.
func plain(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }

// Words of eight bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zero is not 0 if a byte of x is.
func zero(x uint64) uint64 { return (x - ones) &^ x & highs }

// allPlain reports whether eight bytes are plain and none is stop. It may fail where they are.
func allPlain(x uint64, stop byte) bool {
	low := (x - ' '*ones) &^ x
	high := x | (x + ones)
	return (low|high)&highs|zero(x^'"'*ones)|zero(x^'\\'*ones)|zero(x^uint64(stop)*ones) == 0
}

// prefix returns how many bytes from i on are plain and not stop.
func prefix[T string | []byte](s T, i int, stop byte) int {
	n := i
	for ; len(s)-n >= 8; n += 8 {
		w := s[n : n+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 | uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		if !allPlain(x, stop) {
			break
		}
	}
	for n < len(s) && plain(s[n]) && s[n] != stop {
		n++
	}
	return n - i
}

// appendEscaped appends a text, cut to maxField, without what ends a line, a quoted text, or the value itself.
func appendEscaped[T string | []byte](b []byte, s T, stop byte) []byte {
	if len(s) > maxField {
		s = s[:maxField]
	}
	for i := 0; ; i++ {
		n := prefix(s, i, stop)
		b = append(b, s[i:i+n]...)
		if i += n; i == len(s) {
			return b
		}
		b = append(b, '\\', 'x', hex[s[i]>>4], hex[s[i]&15])
	}
}
