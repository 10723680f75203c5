package engine

import "github.com/everup/everup/services/lbd/internal/http2"

// H2Counts are what was done on connections of HTTP/2 with clients, or with members.
type H2Counts struct {
	Connections, Streams         uint64 // that were opened
	OpenConnections, OpenStreams int
	Resets, GoAways              [2]http2.CauseCounts // by http2.Direction
}

// SetWindows bounds by how many bytes the windows of all streams of HTTP/2 together may be larger than their listener's. It is 0 before: none
// grows.
func (e *Engine) SetWindows(n int64) { e.growth.SetLimit(n) }

// Windows returns by how many bytes windows are larger, and how often one found no room to grow.
func (e *Engine) Windows() (larger int64, full uint64) { return e.growth.Used(), e.growth.Full() }

// H2Counts returns what was done, with clients for http2.Server, with members for http2.Client.
func (e *Engine) H2Counts(role http2.Role) *H2Counts {
	var n H2Counts
	for _, w := range e.workers {
		t := &w.h2.pool.Tallies[role]
		ended, released := w.h2.ended[role].Load(), t.Released.Load() // before what was opened: none ends that has not begun
		begun, opened := w.h2.begun[role].Load(), t.Opened.Load()
		n.Connections += begun
		n.Streams += opened
		n.OpenConnections += int(begun - ended)
		n.OpenStreams += int(opened - released)
		for d := range n.Resets {
			n.Resets[d].Add(&t.Resets[d])
			n.GoAways[d].Add(&t.GoAways[d])
		}
	}
	return &n
}
