package holder

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/trailer"
	"github.com/everup/everup/shared/vip/internal/wire"
)

// hostilityTTL is how long a peer whose adverts are not authentic is named after its last.
const hostilityTTL = time.Minute

// hostility is a conflict about authentication, told and kept as package vrrp's: of the first peer that shows one, until that
// peer shows it no more or is silent for a minute. Two nodes without a common secret do not hear each other, so that both
// hold the addresses; this is what says why.
type hostility struct {
	kind   string // "": none
	peer   netip.Addr
	detail string
	seen   time.Duration
}

// note takes in a trailer's verdict. A replay is not the peer's doing, so it says nothing of it.
func (s *hostility) note(h *holder, now time.Duration, r *router, from netip.Addr, v trailer.Verdict) {
	kind, detail := "", ""
	switch v {
	case trailer.Accepted:
	case trailer.Replayed:
		return
	case trailer.Short, trailer.Malformed:
		return
	case trailer.Missing:
		kind, detail = "trailer", fmt.Sprintf("%v does not authenticate its adverts, this host demands it", from)
	case trailer.Stale:
		kind, detail = "clock", fmt.Sprintf("the clock of %v is too far from this host's to authenticate its adverts", from)
	default:
		kind, detail = "secret", fmt.Sprintf("adverts of %v are authenticated with another secret than this host's", from)
	}
	s.set(h, now, r, from, kind, detail)
}

// noteTrailer takes in a packet that has more bytes than its addresses need, at a router that authenticates nothing.
func (s *hostility) noteTrailer(h *holder, now time.Duration, r *router, d *sock.Datagram) {
	if len(d.Payload) >= 8+trailer.Len {
		s.set(h, now, r, d.Src, "trailer", fmt.Sprintf("%v authenticates its adverts, this host does not", d.Src))
	}
}

func (s *hostility) set(h *holder, now time.Duration, r *router, from netip.Addr, kind, detail string) {
	if s.kind != "" && s.peer != from {
		return
	}
	s.seen = now
	if s.kind == kind {
		return
	}
	s.clear(h, r)
	if kind != "" {
		s.kind, s.peer, s.detail = kind, from, detail
		h.tellOf(r, wire.Tell{Kind: wire.TellConflict, Conflict: kind, Peer: from, Detail: detail})
	}
}

// expire forgets a peer that is silent.
func (s *hostility) expire(h *holder, now time.Duration, r *router) {
	if s.kind != "" && now >= s.seen+hostilityTTL {
		s.clear(h, r)
	}
}

func (s *hostility) clear(h *holder, r *router) {
	if s.kind == "" {
		return
	}
	gone := *s
	*s = hostility{}
	h.tellOf(r, wire.Tell{Kind: wire.TellConflict, Conflict: gone.kind, Peer: gone.peer, Detail: gone.detail, Gone: true})
}
