package logx

import "encoding/json"

// Bounds of the memory of recent lines.
const (
	ringLines = 1000
	ringBytes = 1 << 20
)

// ring remembers the last lines. The zero value is empty.
type ring struct {
	lines [ringLines]json.RawMessage
	first int // index of the oldest
	n     int
	bytes int
}

// add takes line over; the oldest lines make room.
func (r *ring) add(line json.RawMessage) {
	for r.n > 0 && (r.n == ringLines || r.bytes+len(line) > ringBytes) {
		r.bytes -= len(r.lines[r.first])
		r.lines[r.first] = nil
		r.first = (r.first + 1) % ringLines
		r.n--
	}
	r.lines[(r.first+r.n)%ringLines] = line
	r.n++
	r.bytes += len(line)
}

// last returns up to n lines, oldest first. The lines are shared and never changed.
func (r *ring) last(n int) []json.RawMessage {
	n = max(0, min(n, r.n))
	out := make([]json.RawMessage, 0, n)
	for i := r.n - n; i < r.n; i++ {
		out = append(out, r.lines[(r.first+i)%ringLines])
	}
	return out
}
