package conns

import (
	"fmt"
	"net/netip"

	"github.com/everup/everup/services/cached/internal/session"
)

// Reason is why a connection ended.
type Reason uint8

// Reasons, with memcached's words.
const (
	Failed      Reason = iota // error
	Normal                    // normal
	IdleTimeout               // idle_timeout
	Shutdown                  // shutdown
)

func (r Reason) String() string {
	return [...]string{Failed: "error", Normal: "normal", IdleTimeout: "idle_timeout", Shutdown: "shutdown"}[r]
}

// Begun is the line that `watch connevents` shows of a new connection, without time and number.
func Begun(id int64, t session.Transport, remote string) []byte {
	ip, port := split(remote)
	return fmt.Appendf(nil, "type=conn_new rip=%s rport=%d transport=%s cfd=%d", ip, port, transport(t), id)
}

// Ended is the line of one that has ended.
func Ended(id int64, t session.Transport, remote string, why Reason) []byte {
	ip, port := split(remote)
	return fmt.Appendf(nil, "type=conn_close rip=%s rport=%d transport=%s reason=%s cfd=%d", ip, port, transport(t), why, id)
}

func split(remote string) (ip string, port uint16) {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "", 0
	}
	return a.Addr().String(), a.Port()
}

// transport is memcached's word, which knows no TLS.
func transport(t session.Transport) string {
	switch t {
	case session.Unix:
		return "local"
	case session.TLS:
		return "tcp"
	}
	return t.String()
}
