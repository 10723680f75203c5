package insight

import (
	"sync"
	"time"
)

// Windows keeps totals of hits and misses at regular moments, to tell the hit ratio of the last minutes and hours. Safe for concurrent use.
type Windows struct {
	mu   sync.Mutex
	fine ring // a sample each second, for up to five minutes
	far  ring // a sample each minute, for up to a day
	last int64
}

type sample struct{ hits, misses uint64 }

// ring holds the newest samples.
type ring struct {
	s    []sample
	next int
	full bool
}

func (r *ring) add(x sample) {
	r.s[r.next] = x
	r.next = (r.next + 1) % len(r.s)
	r.full = r.full || r.next == 0
}

// back returns the sample n before the newest, or the oldest there is.
func (r *ring) back(n int) (sample, bool) {
	have := r.next
	if r.full {
		have = len(r.s)
	}
	if have == 0 {
		return sample{}, false
	}
	n = min(n, have-1)
	return r.s[(r.next-1-n+2*len(r.s))%len(r.s)], true
}

// NewWindows returns windows that know nothing yet.
func NewWindows() *Windows {
	return &Windows{fine: ring{s: make([]sample, 301)}, far: ring{s: make([]sample, 24*60+1)}, last: -1}
}

// Tick notes the totals at second now; call it once a second.
func (w *Windows) Tick(now int64, hits, misses uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fine.add(sample{hits, misses})
	if minute := now / 60; minute != w.last {
		w.last = minute
		w.far.add(sample{hits, misses})
	}
}

// Ratio is the hit ratio over the last d, or over what is known of it, 0 to 1; ok is false when nothing was read in it.
// d is in seconds up to five minutes, in minutes up to a day beyond.
func (w *Windows) Ratio(d time.Duration) (ratio float64, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, ok := w.fine.back(0)
	if !ok {
		return 0, false
	}
	var then sample
	if s := int(d / time.Second); s < len(w.fine.s) {
		then, _ = w.fine.back(s)
	} else {
		then, _ = w.far.back(int(d / time.Minute))
	}
	if now.hits < then.hits || now.misses < then.misses { // the counts were reset
		then = sample{}
	}
	hits, misses := now.hits-then.hits, now.misses-then.misses
	if hits+misses == 0 {
		return 0, false
	}
	return float64(hits) / float64(hits+misses), true
}
