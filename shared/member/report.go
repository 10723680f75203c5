package member

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/logx"
	"github.com/everup/everup/shared/metric"
	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

// How long a health item about strangers or refusals stays after the last one was seen.
const (
	strangerTime = 5 * time.Minute
	refusedTime  = 30 * time.Second
	conflictTime = time.Minute
	logInterval  = time.Minute // between log lines about the same thing
)

// report tells the operator: metrics, health items, throttled log lines.
type report struct {
	log      zerolog.Logger
	throttle *logx.Throttle
	fleet    string
	known    func() int // members besides us that are alive

	joins, joinFailures   *metric.Counter
	strangers, dropped    *metric.CounterVec
	packetsIn, packetsOut *metric.Counter
	bytesIn, bytesOut     *metric.Counter
	sendErrors            *metric.Counter
	refutes               atomic.Uint64 // own incarnations raised against rumours
	refuted               chan struct{} // gets a token at each

	strangerItem, refusedItem, conflictItem, isolatedItem, snapshotItem, skewItem *health.Item

	mu   sync.Mutex
	seen map[*health.Item]time.Time // when an item that ends by itself was last raised
}

func newReport(env Env, fleet string) *report {
	m, h := env.Metrics, env.Health
	if m == nil {
		m = metric.NewRegistry("everup")
	}
	if h == nil {
		h = health.NewRegistry()
	}
	r := &report{
		log: env.Log, throttle: logx.NewThrottle(logInterval), fleet: fleet, seen: map[*health.Item]time.Time{},
		refuted: make(chan struct{}, 1),

		joins:        m.Counter("member_joins_total", "Attempts to join another member."),
		joinFailures: m.Counter("member_join_failures_total", "Attempts to join another member that failed."),
		strangers:    m.CounterVec("member_strangers_total", "Streams and packets refused, by reason.", 16, "reason"),
		dropped:      m.CounterVec("member_updates_dropped_total", "Updates from others that were dropped, by reason.", 16, "reason"),
		packetsIn:    m.Counter("member_received_packets_total", "Gossip packets received."),
		packetsOut:   m.Counter("member_sent_packets_total", "Gossip packets sent."),
		bytesIn:      m.Counter("member_received_bytes_total", "Gossip bytes received, packets and streams."),
		bytesOut:     m.Counter("member_sent_bytes_total", "Gossip bytes sent, packets and streams."),
		sendErrors:   m.Counter("member_send_errors_total", "Gossip packets the kernel refused to send."),

		strangerItem: h.Item("member.stranger", health.Options{Title: "a process that is not of this fleet tries to join"}),
		refusedItem:  h.Item("member.join-refused", health.Options{Title: "a member refuses this daemon"}),
		conflictItem: h.Item("member.name-conflict", health.Options{Title: "two processes claim the same member ID"}),
		isolatedItem: h.Item("member.isolated", health.Options{Title: "no other member is reached", Visible: isolatedVisible}),
		snapshotItem: h.Item("member.snapshot", health.Options{Title: "the fleet's snapshot cannot be written"}),
		skewItem:     h.Item("member.clock", health.Options{Title: "another member's clock is far ahead"}),
	}
	return r
}

// isolatedVisible keeps a start, in which nobody is reached yet, from being an alarm.
const isolatedVisible = 5 * time.Second

// gauges registers what is computed when asked.
func (r *report) gauges(m *metric.Registry, f *Fleet) {
	if m == nil {
		return
	}
	for state, name := range map[State]string{Alive: "alive", Dead: "dead", Left: "left"} {
		m.GaugeFunc("member_members", "Members known, by state.", func() float64 { return float64(f.count(state)) },
			metric.Label{Name: "state", Value: name})
	}
	m.GaugeFunc("member_state_keys", "Keys in the fleet's replicated state.", func() float64 { n, _ := f.kv.sizes(); return float64(n) })
	m.GaugeFunc("member_state_bytes", "Bytes in the fleet's replicated state.", func() float64 { _, n := f.kv.sizes(); return float64(n) })
}

// stranger tells of a stream that was opened to us and refused, by us or by the other side.
func (r *report) stranger(from netip.AddrPort, e *refusedError) {
	if e.why == ourselves {
		return
	}
	r.strangers.With(e.why.label()).Inc()
	detail := fmt.Sprintf("%s at %s: %s", who(e.peer), from.Addr(), reason(e.why, e.said, false, r.fleet, e.peer))
	item := r.strangerItem
	if e.why == nameTaken {
		item = r.conflictItem
	}
	r.raise(item, health.Warn, detail, hint(e.why))
	r.warn(from.Addr().String()+e.why.label(), "refused a stranger: "+detail)
}

// joinRefused tells of a stream that we opened and that was refused, by the other side or by us.
func (r *report) joinRefused(to netip.AddrPort, e *refusedError) {
	if e.why == ourselves {
		return
	}
	r.strangers.With(e.why.label()).Inc()
	detail := fmt.Sprintf("%s: %s", to, reason(e.why, e.said, true, r.fleet, e.peer))
	r.raise(r.refusedItem, health.Fail, detail, hint(e.why))
	if e.why == nameTaken {
		r.raise(r.conflictItem, health.Fail, detail, hint(e.why))
	}
	r.warn(to.String()+e.why.label(), "refused by "+detail)
}

// conflict tells that gossip names two addresses for one ID.
func (r *report) conflict(c conflict, self bool) {
	level, detail := health.Warn, fmt.Sprintf("%s is at %s and claimed by %s", c.id, c.held, c.also)
	if self {
		level = health.Fail
	}
	r.strangers.With(nameTaken.label()).Inc()
	r.raise(r.conflictItem, level, detail, hint(nameTaken))
	r.warn("conflict"+string(c.id), "name conflict: "+detail)
}

func who(peer hello) string {
	if peer.ID == "" {
		return "a process"
	}
	return fmt.Sprintf("%q", cut(string(peer.ID), 128))
}

// reason puts a refusal in words. said: the peer decided; dialer: we opened the stream.
func reason(why refusal, said, dialer bool, fleet string, peer hello) string {
	switch why {
	case otherFleet:
		return fmt.Sprintf("it is of the fleet %q, this is %q", cut(peer.Fleet, 64), fleet)
	case otherSecret:
		return "it holds another secret"
	case noSecret, needlessKey:
		// noSecret: the dialer lacks one; needlessKey: the listener does.
		if (why == noSecret) == dialer {
			return "it demands a secret, and this daemon has none"
		}
		return "it has no secret"
	case nameTaken:
		if said {
			return "it knows another living process by this daemon's name"
		}
		return "its name belongs to another living member"
	case otherVersion:
		return "it speaks another version of the gossip protocol"
	}
	return "it does not speak everup's gossip protocol"
}

func hint(why refusal) string {
	switch why {
	case otherFleet:
		return "set the same cluster.fleet on both, or take the address out of cluster.join"
	case otherSecret, noSecret, needlessKey:
		return "give both the same cluster.secrets; while rotating, add the new secret everywhere before it goes first"
	case nameTaken:
		return "give each host its own `node` name; a restarted daemon with a new address is taken once its old self is known dead"
	case otherVersion:
		return "upgrade the older one"
	}
	return "look at what runs at that address"
}

// raise sets an item that ends by itself when it is not raised again.
func (r *report) raise(i *health.Item, l health.Level, detail, hint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[i] = time.Now()
	i.Set(l, detail, hint)
}

// sweep ends the items whose cause was not seen for long enough.
func (r *report) sweep(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for item, seen := range r.seen {
		limit := strangerTime
		switch item {
		case r.refusedItem:
			limit = refusedTime
		case r.conflictItem:
			limit = conflictTime
		}
		if now.Sub(seen) > limit {
			item.OK()
			delete(r.seen, item)
		}
	}
}

func (r *report) warn(key, msg string) {
	if ok, n := r.throttle.Allow(key); ok {
		r.log.Warn().Int("suppressed", n).Msg(msg)
	}
}

// ours reports whether a packet bears our fleet's label. The label is in clear; what it proves is decryption's matter.
func (r *report) ours(p []byte, from netip.AddrPort) bool {
	_, label, err := memberlist.RemoveLabelHeaderFromPacket(p)
	if err == nil && label == r.fleet {
		return true
	}
	why := &refusedError{why: notEverup}
	if err == nil && label != "" {
		why = &refusedError{why: otherFleet, peer: hello{Fleet: label}}
	}
	r.stranger(from, why)
	return false
}

// libraryLog returns the logger for memberlist. What it says of single probes is detail; what we count and tell by
// ourselves is not told twice.
func (r *report) libraryLog() *log.Logger { return log.New(&libraryWriter{r: r}, "", 0) }

type libraryWriter struct{ r *report }

var _ io.Writer = (*libraryWriter)(nil)

// Write takes one line, "[LEVEL] memberlist: text".
func (w *libraryWriter) Write(line []byte) (int, error) {
	level, text := splitLine(bytes.TrimSpace(line))
	switch {
	case bytes.HasPrefix(text, []byte("Refuting")):
		w.r.refutes.Add(1)
		token(w.r.refuted)
		level = zerolog.DebugLevel
	case bytes.HasPrefix(text, []byte("Decrypt packet failed")):
		w.undecipherable(text)
		return len(line), nil
	case bytes.HasPrefix(text, []byte("handler queue full")):
		w.r.dropped.With("handler").Inc()
	}
	if level >= zerolog.WarnLevel {
		key := string(text[:min(len(text), 24)])
		ok, _ := w.r.throttle.Allow(key)
		if !ok {
			level = zerolog.DebugLevel
		}
	}
	w.r.log.WithLevel(level).Str("lib", "memberlist").Msg(string(text))
	return len(line), nil
}

// undecipherable counts a packet of our label that no key of ours opens: the line ends in "from=address".
func (w *libraryWriter) undecipherable(text []byte) {
	_, addr, _ := bytes.Cut(text, []byte("from="))
	from, _ := netip.ParseAddrPort(string(addr))
	w.r.stranger(from, &refusedError{why: otherSecret, peer: hello{Fleet: w.r.fleet}})
}

// splitLine maps memberlist's levels to ours, one lower: its errors are a packet or a peer that failed, which
// gossip lives with.
func splitLine(line []byte) (zerolog.Level, []byte) {
	level := zerolog.DebugLevel
	rest, ok := bytes.CutPrefix(line, []byte("["))
	if !ok {
		return level, line
	}
	name, text, _ := bytes.Cut(rest, []byte("] "))
	switch string(name) {
	case "DEBUG":
		level = zerolog.TraceLevel
	case "WARN":
		level = zerolog.InfoLevel
	case "ERR", "ERROR":
		level = zerolog.WarnLevel
	}
	return level, bytes.TrimPrefix(text, []byte("memberlist: "))
}

// raiseSkew tells of a record from too far in the future.
func (r *report) raiseSkew(t tagged, now time.Time) {
	detail := fmt.Sprintf("%s writes %s ahead of this host's clock", t.By, t.At.time().Sub(now).Round(time.Minute))
	r.raise(r.skewItem, health.Warn, detail, "set the clocks of both hosts right (NTP)")
	r.warn("clock"+string(t.By), detail)
}
