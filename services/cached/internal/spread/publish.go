package spread

import (
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/everup/everup/services/cached/internal/session"
)

const (
	// maxWaiting bounds the changes that wait for the publisher.
	maxWaiting = 8192
	// maxBatch bounds the keys of one event, in bytes: JSON may double them, and an event holds 64 KiB.
	maxBatch = 16 << 10
	// maxChanges bounds the changes of one event.
	maxChanges = 200
	// gather is how long changes wait for company, so that a busy cache sends few events.
	gather = 5 * time.Millisecond
)

// Change is one key in an event.
type Change struct {
	Op      string `json:"op"` // stored or deleted
	Key     string `json:"key,omitempty"`
	Base64  []byte `json:"key_base64,omitempty"` // in place of Key, when it is no UTF-8
	Flags   uint32 `json:"flags,omitempty"`
	Expires int64  `json:"expires,omitempty"` // Unix seconds
	Size    int    `json:"size,omitempty"`
	CAS     uint64 `json:"cas,omitempty,string"`
}

// Batch is the data of one event.
type Batch struct {
	Number  uint64   `json:"number,string"` // 1, 2, 3 … since Start
	Start   int64    `json:"start"`         // Unix seconds: with another start the numbers begin anew
	Lost    uint64   `json:"lost,omitempty"`
	Changes []Change `json:"changes"`
}

// Publisher sends changes as events. Make it with NewPublisher, run it with Run.
type Publisher struct {
	emit  func(Batch)
	start int64
	wake  chan struct{}

	mu      sync.Mutex // guards what follows
	waiting []Change
	lost    uint64 // since the last event
	allLost uint64
	sent    uint64 // changes
	number  uint64
}

// NewPublisher returns a publisher that hands its events to emit, one at a time. start is the Unix second of the daemon's start.
func NewPublisher(start int64, emit func(Batch)) *Publisher {
	return &Publisher{emit: emit, start: start, wake: make(chan struct{}, 1)}
}

// Add takes a change; it copies what it keeps and never waits. When too many wait already it is lost, and counted.
func (p *Publisher) Add(c session.Change) {
	out := Change{Op: "stored", Flags: c.Flags, Expires: c.Expires, Size: c.Size, CAS: c.CAS}
	if c.Deleted {
		out = Change{Op: "deleted"}
	}
	if utf8.Valid(c.Key) {
		out.Key = string(c.Key)
	} else {
		out.Base64 = append([]byte(nil), c.Key...)
	}
	p.mu.Lock()
	first := len(p.waiting) == 0
	if len(p.waiting) >= maxWaiting {
		p.lost++
		p.allLost++
		first = false
	} else {
		p.waiting = append(p.waiting, out)
	}
	p.mu.Unlock()
	if first {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

// Run sends what is added until ctx ends, and then what is left.
func (p *Publisher) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			p.flush()
			return
		case <-p.wake:
		}
		select {
		case <-ctx.Done():
		case <-time.After(gather):
		}
		p.flush()
	}
}

func (p *Publisher) flush() {
	p.mu.Lock()
	all, lost := p.waiting, p.lost
	p.waiting, p.lost = nil, 0
	p.mu.Unlock()
	for len(all) > 0 {
		n := batch(all)
		p.mu.Lock()
		p.number++
		number := p.number
		p.sent += uint64(n)
		p.mu.Unlock()
		p.emit(Batch{Number: number, Start: p.start, Lost: lost, Changes: all[:n]})
		all, lost = all[n:], 0
	}
}

// batch is how many of the first changes make one event.
func batch(all []Change) int {
	size := 0
	for i, c := range all[:min(len(all), maxChanges)] {
		if size += len(c.Key) + len(c.Base64); size > maxBatch {
			return max(i, 1)
		}
	}
	return min(len(all), maxChanges)
}

// Counts are the changes sent and lost since the start.
func (p *Publisher) Counts() (sent, lost uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent, p.allLost
}
