package vrrp

import "time"

// announcer keeps the schedule of announcements.
type announcer struct {
	at     time.Duration // of the next round
	rounds int           // of the burst that are left, the next included; 0: the next is a refresh
	second bool          // a second burst follows
}

func (n *announcer) stop() { *n = announcer{at: Never} }

// begin sends the first round of the first of two bursts.
func (n *announcer) begin(now time.Duration, cfg *Announce, out []Effect) []Effect {
	n.second = cfg.Again > 0
	return n.burst(now, cfg, out)
}

// again begins a burst; one under way begins anew with its next round, so that claims that come faster than the gap do
// not make announcements come faster. It reports whether none was under way.
func (n *announcer) again(now time.Duration, cfg *Announce, out []Effect) ([]Effect, bool) {
	if n.rounds > 0 {
		n.rounds = cfg.Rounds
		return out, false
	}
	return n.burst(now, cfg, out), true
}

func (n *announcer) burst(now time.Duration, cfg *Announce, out []Effect) []Effect {
	n.rounds = cfg.Rounds
	return n.round(now, cfg, out)
}

// step sends a round if it is due.
func (n *announcer) step(now time.Duration, cfg *Announce, out []Effect) []Effect {
	if now < n.at {
		return out
	}
	if n.rounds == 0 && n.second {
		n.second = false
		n.rounds = cfg.Rounds
	}
	return n.round(now, cfg, out)
}

func (n *announcer) round(now time.Duration, cfg *Announce, out []Effect) []Effect {
	n.rounds = max(n.rounds-1, 0)
	switch {
	case n.rounds > 0:
		n.at = now + cfg.Gap
	case n.second:
		n.at = now + cfg.Again
	case cfg.Refresh > 0:
		n.at = now + cfg.Refresh
	default:
		n.at = Never
	}
	return append(out, Effect{Kind: DoAnnounce})
}
