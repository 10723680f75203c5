package session

import (
	"sync/atomic"
	"time"
)

// Cmd is a command as the latency histograms know it, the same for all protocols.
type Cmd uint8

// Commands.
const (
	Get Cmd = iota
	Gat
	Set
	Add
	Replace
	Append
	Prepend
	Cas
	Delete
	Touch
	Incr
	Decr
	MetaGet
	MetaSet
	MetaDelete
	MetaArith
	MetaNoop
	MetaDebug
	FlushAll
	Stats
	Other
	NumCmd
)

var cmdNames = [NumCmd]string{
	"get", "gat", "set", "add", "replace", "append", "prepend", "cas", "delete", "touch", "incr", "decr",
	"mg", "ms", "md", "ma", "mn", "me", "flush_all", "stats", "other",
}

func (c Cmd) String() string { return cmdNames[c] }

// Meter counts commands and measures how long they take in the server: one loop's, written by it alone.
//
// A command's time runs from Begin to End. Reading the clock costs as much as a look-up, so in a pipeline one command in
// sampleEvery is timed, and the first of each batch (the only one for a client that does not pipeline). Counts are exact.
type Meter struct {
	count  [NumCmd]atomic.Uint64
	hist   [NumCmd]Hist
	begin  time.Duration
	since  uint32
	timing bool
	origin time.Time
}

// sampleEvery is how many commands of a batch pass for one that is timed.
const sampleEvery = 16

// NewMeter returns an empty meter.
func NewMeter() *Meter { return &Meter{origin: time.Now()} }

// Batch begins a batch of commands: the next is timed.
func (m *Meter) Batch() { m.since = sampleEvery }

// Begin begins a command. A nil Meter measures nothing.
func (m *Meter) Begin() {
	if m == nil {
		return
	}
	if m.since++; m.since > sampleEvery {
		m.since, m.timing = 0, true
		m.begin = time.Since(m.origin)
	}
}

// End ends the command that Begin began.
func (m *Meter) End(c Cmd) {
	if m == nil {
		return
	}
	m.count[c].Store(m.count[c].Load() + 1)
	if m.timing {
		m.timing = false
		m.hist[c].Add(time.Since(m.origin) - m.begin)
	}
}

// Count is the number of commands c.
func (m *Meter) Count(c Cmd) uint64 { return m.count[c].Load() }

// Hist is the histogram of the timed commands c.
func (m *Meter) Hist(c Cmd) *Hist { return &m.hist[c] }

// Hist is a histogram of durations with four buckets to the octave, 64 ns and up: at most 19 % of error. One writer.
type Hist struct {
	bucket [HistBuckets]atomic.Uint64
	sum    atomic.Uint64 // ns
}

const (
	// HistBuckets is the number of buckets: the last takes all from about 34 s on.
	HistBuckets = 29*4 + 1
	histShift   = 6
)

// Add counts d.
func (h *Hist) Add(d time.Duration) {
	b := &h.bucket[histBucket(uint64(max(d, 0)))]
	b.Store(b.Load() + 1)
	h.sum.Store(h.sum.Load() + uint64(max(d, 0)))
}
