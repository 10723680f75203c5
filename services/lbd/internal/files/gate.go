package files

import "sync/atomic"

// Gate bounds how many files are open at once, over several Dirs: what is beyond the bound is ErrBusy.
type Gate struct {
	limit, open atomic.Int64
	refused     atomic.Uint64
}

// NewGate returns a Gate.
func NewGate(limit int) *Gate {
	g := &Gate{}
	g.SetLimit(limit)
	return g
}

// SetLimit changes the bound. Files that are open stay open.
func (g *Gate) SetLimit(n int) { g.limit.Store(int64(n)) }

// Open returns how many files are open.
func (g *Gate) Open() int { return int(g.open.Load()) }

// Refused returns how often there was no room for one more.
func (g *Gate) Refused() uint64 { return g.refused.Load() }

func (g *Gate) enter() bool {
	if g.open.Add(1) <= g.limit.Load() {
		return true
	}
	g.open.Add(-1)
	g.refused.Add(1)
	return false
}

func (g *Gate) leave() { g.open.Add(-1) }
