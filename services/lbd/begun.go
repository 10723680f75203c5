package lbd

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"time"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/limit"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// beginnings counts how connections begin, by TLS and the PROXY protocol.
type beginnings struct {
	log        zerolog.Logger
	handshakes *metric.CounterVec
	failures   *metric.CounterVec
	seconds    *metric.HistogramVec
	broken     *metric.CounterVec

	mu     sync.Mutex // guards what follows
	rate   limit.Rate // of lines about members, and of those about floods
	told   limit.Bucket
	floods limit.Bucket
}

// maxFaults is how many words there are for failures, of either side.
const maxFaults = 2 * 16

func newBeginnings(r *metric.Registry, log zerolog.Logger) (*beginnings, error) {
	rate, err := limit.NewRate(1, time.Second, 10)
	if err != nil {
		return nil, err
	}
	return &beginnings{
		log: log, rate: rate,
		handshakes: r.CounterVec("tls_handshakes_total", "TLS handshakes that went well, by side, version and whether an earlier session was resumed.",
			2*4*2, "side", "version", "resumed"),
		failures: r.CounterVec("connection_failures_total", "Connections that ended before a request could pass, by side and reason: TLS, the PROXY protocol.",
			maxFaults, "side", "reason"),
		seconds: r.HistogramVec("tls_handshake_seconds", "Time of a TLS handshake that went well, with its round trips.", metric.LatencyBuckets(), 2*2, "side", "resumed"),
		broken: r.CounterVec("http2_failures_total", "Connections of HTTP/2 that were ended because the client broke the protocol's rules, or did what only costs us, by reason.",
			http2.Reasons, "reason"),
	}, nil
}

// begun counts one. It is called on the engine's threads.
func (b *beginnings) begun(e *engine.Begun) {
	side := "client"
	if e.Member {
		side = "member"
	}
	if e.Fault != "" {
		b.failures.With(side, e.Fault).Inc()
		if e.Member && e.Err != nil {
			b.tell(e)
		}
		return
	}
	resumed := "no"
	if e.TLS.DidResume {
		resumed = "yes"
	}
	b.handshakes.With(side, versionName(e.TLS.Version), resumed).Inc()
	b.seconds.With(side, resumed).Observe(e.Took.Seconds())
}

// broke counts a client's connection of HTTP/2 that was ended for its fault, and logs who floods: a counter does not say. It is called on the
// engine's threads.
func (b *beginnings) broke(client netip.AddrPort, why http2.Reason) {
	b.broken.With(why.String()).Inc()
	if why.Flood() && b.mayTell(&b.floods) {
		b.log.Warn().Str("client", client.String()).Str("reason", why.String()).Msg("a client did too often what only costs us: its connection of HTTP/2 was ended")
	}
}

// mayTell reports whether one more line is written. Of many a few are.
func (b *beginnings) mayTell(lines *limit.Bucket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ok, _ := lines.Allow(b.rate, time.Now().UnixNano(), 1)
	return ok
}

// tell logs why a member could not be spoken to: what is wrong with a certificate is seen nowhere else.
func (b *beginnings) tell(e *engine.Begun) {
	if b.mayTell(&b.told) {
		b.log.Warn().Str("member", e.Peer.String()).Str("reason", e.Fault).Err(e.Err).Msg("no TLS with a member")
	}
}

func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return "older"
}
