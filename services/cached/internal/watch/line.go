package watch

import (
	"net/netip"
	"strconv"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/ops"
	"github.com/everup/everup/services/cached/internal/session"
)

// Get is a look-up of a key, for Fetchers: every one, also that with which a store begins.
type Get struct {
	Key         []byte
	Found       bool
	Class, Size int // of the item and its value, 0 when there is none
	Conn        int64
}

// Append appends the line.
func (e *Get) Append(dst []byte) []byte {
	status := "not_found"
	if e.Found {
		status = "found"
	}
	dst = appendKey(dst, "item_get", e.Key)
	dst = append(append(dst, " status="...), status...)
	dst = appendInt(dst, " clsid=", int64(e.Class))
	dst = appendInt(dst, " cfd=", e.Conn)
	return appendInt(dst, " size=", int64(e.Size))
}

// Store is a store, for Mutations.
type Store struct {
	Key         []byte
	Status      ops.Outcome
	Mode        ops.Mode
	TTL         int64 // seconds, 0 for none
	Class, Size int
	Conn        int64
}

// Append appends the line.
func (e *Store) Append(dst []byte) []byte {
	dst = appendKey(dst, "item_store", e.Key)
	dst = append(append(dst, " status="...), statusName(e.Status)...)
	dst = append(append(dst, " cmd="...), modeName(e.Mode)...)
	dst = appendInt(dst, " ttl=", e.TTL)
	dst = appendInt(dst, " clsid=", int64(e.Class))
	dst = appendInt(dst, " cfd=", e.Conn)
	return appendInt(dst, " size=", int64(e.Size))
}

func statusName(o ops.Outcome) string {
	switch o {
	case ops.Stored:
		return "stored"
	case ops.Exists:
		return "exists"
	case ops.NotFound:
		return "not_found"
	case ops.TooLarge:
		return "too_large"
	case ops.NoMemory:
		return "no_memory"
	}
	return "not_stored"
}

func modeName(m ops.Mode) string {
	switch m {
	case ops.Add:
		return "add"
	case ops.Replace:
		return "replace"
	case ops.Append:
		return "append"
	case ops.Prepend:
		return "prepend"
	case ops.CAS:
		return "cas"
	}
	return "set"
}

// Delete is a delete that found its item, for Deletions.
type Delete struct {
	Key         []byte
	Command     string
	Class, Size int
	Conn        int64
}

// Append appends the line.
func (e *Delete) Append(dst []byte) []byte {
	dst = appendKey(dst, "deleted", e.Key)
	dst = append(append(dst, " cmd="...), e.Command...)
	dst = appendInt(dst, " clsid=", int64(e.Class))
	dst = appendInt(dst, " cfd=", e.Conn)
	return appendInt(dst, " size=", int64(e.Size))
}

// appendEvicted appends the line of an eviction.
func appendEvicted(dst []byte, g *engine.Gone) []byte {
	fetched := " fetch=no"
	if g.Fetched {
		fetched = " fetch=yes"
	}
	dst = append(appendKey(dst, "eviction", g.Key), fetched...)
	dst = appendInt(dst, " ttl=", g.TTL)
	dst = appendInt(dst, " la=", g.Idle)
	dst = appendInt(dst, " clsid=", int64(g.Class))
	return appendInt(dst, " size=", int64(g.Size))
}

// AppendConnNew appends the line of a new connection, for ConnEvents.
func AppendConnNew(dst []byte, p *session.Peer) []byte {
	return appendInt(appendPeer(append(dst, "type=conn_new"...), p), " cfd=", p.ID)
}

// AppendConnClose appends the line of a connection that ended, for ConnEvents; reason is normal, error, idle_timeout or shutdown.
func AppendConnClose(dst []byte, p *session.Peer, reason string) []byte {
	dst = appendPeer(append(dst, "type=conn_close"...), p)
	return appendInt(append(append(dst, " reason="...), reason...), " cfd=", p.ID)
}

func appendPeer(dst []byte, p *session.Peer) []byte {
	rip, port, transport := p.Remote, uint16(0), "tcp"
	switch p.Transport {
	case session.Unix:
		rip, transport = "unix", "local"
	case session.UDP:
		transport = "udp"
	}
	if a, err := netip.ParseAddrPort(p.Remote); err == nil {
		rip, port = a.Addr().String(), a.Port()
	}
	dst = append(append(dst, " rip="...), rip...)
	dst = appendInt(dst, " rport=", int64(port))
	return append(append(dst, " transport="...), transport...)
}

func appendKey(dst []byte, kind string, key []byte) []byte {
	dst = append(append(dst, "type="...), kind...)
	return AppendURI(append(dst, " key="...), key)
}

func appendInt(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(dst, name...), n, 10)
}

// AppendURI appends key with all but letters, digits and -._~ as %XX.
func AppendURI(dst, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
