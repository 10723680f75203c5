package member

import (
	"math"
	"slices"
	"sync"
)

// broadcasts are the records on their way by gossip, each sent retransmitMult × ⌈log10(n+1)⌉ times, those sent least
// first. A newer record of the same name takes the place of the older, so there are at most as many as the
// stores hold keys. Safe for concurrent use.
type broadcasts struct {
	peers func() int // members, ourselves included

	mu    sync.Mutex
	queue []*broadcast // by sent
}

type broadcast struct {
	name string
	msg  []byte
	sent int
	done func() // called, without lock, when it was sent often enough or another took its place; may be nil
}

// add queues a message.
func (q *broadcasts) add(name string, msg []byte, done func()) {
	q.mu.Lock()
	var old *broadcast
	if i := slices.IndexFunc(q.queue, func(b *broadcast) bool { return b.name == name }); i >= 0 {
		old = q.queue[i]
		q.queue = slices.Delete(q.queue, i, i+1)
	}
	q.queue = slices.Insert(q.queue, 0, &broadcast{name: name, msg: msg, done: done})
	q.mu.Unlock()
	if old != nil {
		old.finish()
	}
}

// take returns messages for one packet, of at most limit bytes with overhead bytes for each.
func (q *broadcasts) take(overhead, limit int) (msgs [][]byte) {
	q.mu.Lock()
	var finished []*broadcast
	often := retransmitMult * int(math.Ceil(math.Log10(float64(q.peers()+1))))
	q.queue = slices.DeleteFunc(q.queue, func(b *broadcast) bool {
		if size := overhead + len(b.msg); size <= limit {
			limit -= size
			msgs = append(msgs, b.msg)
			b.sent++
		}
		if b.sent < often {
			return false
		}
		finished = append(finished, b)
		return true
	})
	if len(msgs) > 0 {
		slices.SortStableFunc(q.queue, func(a, b *broadcast) int { return a.sent - b.sent })
	}
	q.mu.Unlock()
	for _, b := range finished {
		b.finish()
	}
	return msgs
}

func (b *broadcast) finish() {
	if b.done != nil {
		b.done()
	}
}
