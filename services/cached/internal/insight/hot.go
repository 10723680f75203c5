package insight

import (
	"sync"

	"github.com/everup/everup/shared/limit"
)

// HotKeys finds the keys asked for most, from every n-th access. Counts fade by half at each Fade, so that yesterday's
// hottest leave. Safe for concurrent use.
type HotKeys struct {
	mu    sync.Mutex
	every uint64
	top   *limit.TopK
}

// NewHotKeys returns a sketch that follows keys keys, 1 to limit.MaxTop, and is fed with every every-th access.
func NewHotKeys(keys, every int) (*HotKeys, error) {
	top, err := limit.NewTopK(keys)
	return &HotKeys{every: uint64(every), top: top}, err
}

// Add notes an access to key, whose hash is given; of a long key the first limit.MaxLabel bytes are kept.
func (h *HotKeys) Add(hash uint64, key []byte) {
	h.mu.Lock()
	h.top.Add(hash, key, 1)
	h.mu.Unlock()
}

// Hot is one of the hottest keys.
type Hot struct {
	Key   string  `json:"key"`
	Share float64 `json:"share"` // of all accesses, 0 to 1
	// Accesses since counting began, the older ones counting less; too high by Error at most.
	Accesses uint64 `json:"accesses"`
	Error    uint64 `json:"error"`
}

// Top returns up to n of the hottest keys, hottest first. A key that may owe its place to others' counts is left out.
func (h *HotKeys) Top(n int) []Hot {
	h.mu.Lock()
	defer h.mu.Unlock()
	out, total := []Hot{}, float64(max(h.top.Total(), 1))
	for _, k := range h.top.Top(n) {
		if 2*k.Error < k.Count {
			out = append(out, Hot{
				Key: k.Label, Share: float64(k.Count-k.Error) / total,
				Accesses: k.Count * h.every, Error: k.Error * h.every,
			})
		}
	}
	return out
}

// Fade halves all counts. The owner calls it periodically.
func (h *HotKeys) Fade() {
	h.mu.Lock()
	h.top.Decay()
	h.mu.Unlock()
}
