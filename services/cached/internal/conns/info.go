package conns

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/everup/everup/services/cached/internal/session"
)

// Listening is the state of a listener in a listing, memcached's word.
const Listening = "conn_listening"

// Unborn is the state of a connection that has sent nothing yet, memcached's word.
const Unborn = "conn_new_cmd"

// Info describes one connection or listener.
type Info struct {
	ID            int64
	Transport     session.Transport
	Remote, Local string // as in session.Peer; a listener has only a Local
	State         string
	Idle          int64 // seconds since the last input
}

// Pairs are the lines of `stats conns` about all, in memcached's order and spelling, the listeners first.
func Pairs(all []Info) []session.Pair {
	slices.SortFunc(all, func(a, b Info) int {
		if l := cmp.Compare(b2i(b.State == Listening), b2i(a.State == Listening)); l != 0 {
			return l
		}
		return cmp.Compare(a.ID, b.ID)
	})
	out := make([]session.Pair, 0, 4*len(all))
	for i := range all {
		c := &all[i]
		add := func(name, value string) {
			out = append(out, session.Pair{Name: strconv.FormatInt(c.ID, 10) + ":" + name, Value: value})
		}
		if c.State == Listening {
			add("addr", spell(c.Transport, c.Local))
		} else {
			add("addr", spell(c.Transport, c.Remote))
			add("listen_addr", spell(c.Transport, c.Local))
		}
		add("state", c.State)
		add("secs_since_last_cmd", strconv.FormatInt(c.Idle, 10))
	}
	return out
}

// spell writes an address as memcached does: tcp:127.0.0.1:11211, tcp6:[::1]:11211, unix:/path.
func spell(t session.Transport, addr string) string {
	switch t {
	case session.Unix:
		if addr == "unix" { // a client has no name
			return addr
		}
		return "unix:" + addr
	case session.UDP:
		return "udp" + family(addr) + ":" + addr
	}
	return "tcp" + family(addr) + ":" + addr
}

func family(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is6() && !a.Addr().Is4In6() {
		return "6"
	}
	return ""
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
