// Package tail keeps the last lines in memory, so that they can be followed while they come.
//
// Every line has a sequence number; a follower is nothing but the number it has read up to. A follower that is slower
// than the lines come loses the oldest and is told how many, and never holds up anyone.
package tail

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
)

// Line is a log line for people and programs. Text that is not UTF-8 has U+FFFD in its place; the files have the bytes.
type Line struct {
	Seq      uint64    `json:"seq,omitempty"` // since the daemon started; none for lines read from files
	Time     time.Time `json:"time"`          // the sender's, or that of receipt
	Host     string    `json:"host,omitempty"`
	App      string    `json:"app,omitempty"`
	PID      string    `json:"pid,omitempty"`
	Facility string    `json:"facility"`
	Severity string    `json:"severity"`
	MsgID    string    `json:"msgid,omitempty"`
	SD       string    `json:"sd,omitempty"`
	Text     string    `json:"text"`
	Peer     string    `json:"peer,omitempty"` // the address it came from
}

// Ring holds the last lines, bounded by number and by bytes. Safe for concurrent use.
type Ring struct {
	maxBytes int
	node     string

	mu      sync.Mutex
	recs    []record.Record // a ring: the line seq stands at seq % len
	first   uint64          // of the oldest line held
	next    uint64          // of the line that will come
	bytes   int
	changed chan struct{} // closed when a line comes; nil while nobody waits
}

// NewRing returns a ring of at most n lines and maxBytes of memory. node is the host of local senders.
func NewRing(n, maxBytes int, node string) *Ring {
	return &Ring{recs: make([]record.Record, n), maxBytes: maxBytes, node: node, first: 1, next: 1}
}

// Add appends a batch.
func (r *Ring) Add(batch []record.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range batch {
		size := batch[i].Size()
		for r.next-r.first == uint64(len(r.recs)) || r.bytes+size > r.maxBytes && r.first < r.next {
			r.dropLocked()
		}
		r.recs[r.next%uint64(len(r.recs))] = batch[i]
		r.bytes += size
		r.next++
	}
	if r.changed != nil && len(batch) > 0 {
		close(r.changed)
		r.changed = nil
	}
}

func (r *Ring) dropLocked() {
	old := &r.recs[r.first%uint64(len(r.recs))]
	r.bytes -= old.Size()
	*old = record.Record{}
	r.first++
}

// Page is what a follower gets.
type Page struct {
	Lines []Line `json:"lines"`
	Next  uint64 `json:"next"`           // ask for since=next
	Lost  uint64 `json:"lost,omitempty"` // lines that were gone before they could be looked at, chosen by the filter or not
}

// Since returns up to limit lines from sequence number since on that f chooses. since 0 means the oldest there is; a
// number that is still to come gives nothing.
func (r *Ring) Since(since uint64, f Filter, limit int) Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Page{Lines: []Line{}, Next: max(since, r.first)}
	if since > 0 && since < r.first {
		p.Lost = r.first - since
	}
	for ; p.Next < r.next && len(p.Lines) < limit; p.Next++ {
		if rec := r.atLocked(p.Next); r.match(&f, rec) {
			p.Lines = append(p.Lines, r.line(rec, p.Next))
		}
	}
	return p
}

// Last returns the last n lines that f chooses, oldest first; Next continues after them.
func (r *Ring) Last(n int, f Filter) Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, found := r.next, 0
	for from > r.first && found < n {
		from--
		if r.match(&f, r.atLocked(from)) {
			found++
		}
	}
	p := Page{Lines: make([]Line, 0, found), Next: r.next}
	for ; from < r.next; from++ {
		if rec := r.atLocked(from); r.match(&f, rec) {
			p.Lines = append(p.Lines, r.line(rec, from))
		}
	}
	return p
}

// Wait is Since that waits until there is a line to return or one was lost, or until ctx ends.
func (r *Ring) Wait(ctx context.Context, since uint64, f Filter, limit int) Page {
	for {
		changed := r.watch() // before looking, so that no line falls between
		p := r.Since(since, f, limit)
		if len(p.Lines) > 0 || p.Lost > 0 {
			return p
		}
		since = p.Next
		select {
		case <-changed:
		case <-ctx.Done():
			return p
		}
	}
}

// watch returns a channel that closes when the next line comes.
func (r *Ring) watch() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

// Next returns the sequence number that the next line will have.
func (r *Ring) Next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// Len returns how many lines and bytes are held.
func (r *Ring) Len() (lines, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.next - r.first), r.bytes
}

func (r *Ring) atLocked(seq uint64) *record.Record { return &r.recs[seq%uint64(len(r.recs))] }

func (r *Ring) match(f *Filter, rec *record.Record) bool {
	if f.Host != "" && len(rec.Host) == 0 && f.Host == r.host(rec) {
		g := *f
		g.Host = ""
		return g.Match(nil, rec.App, rec.Severity, rec.Text)
	}
	return f.Match(rec.Host, rec.App, rec.Severity, rec.Text)
}

func (r *Ring) host(rec *record.Record) string { return rec.HostName(r.node) }

func (r *Ring) line(rec *record.Record, seq uint64) Line {
	l := Line{
		Seq: seq, Time: rec.At(), Host: text(rec.Host), App: text(rec.App), PID: text(rec.ProcID), MsgID: text(rec.MsgID),
		Facility: parse.FacilityName(rec.Facility), Severity: parse.SeverityName(rec.Severity), SD: text(rec.SD), Text: text(rec.Text),
	}
	if l.Host == "" {
		l.Host = r.host(rec)
	}
	if rec.Peer.IsValid() {
		l.Peer = rec.Peer.String()
	}
	return l
}

func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
