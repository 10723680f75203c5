package ingest

import (
	"context"
	"sync"

	"github.com/everup/everup/services/logd/internal/record"
)

// Queue stands between the receivers and the writer. It is bounded by messages and by bytes. When it is full, Put waits, which
// makes TCP senders wait, and TryPut refuses, which is for transports that cannot be made to wait.
// One goroutine takes; any number put.
type Queue struct {
	maxItems, maxBytes int
	ready              chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	items  []record.Record
	bytes  int
	taken  []record.Record // the batch last returned, reused
	space  chan struct{}   // closed when something is taken; nil while nobody waits
	closed bool
}

// NewQueue returns a queue for at most maxItems messages and maxBytes of memory.
func NewQueue(maxItems, maxBytes int) *Queue {
	return &Queue{maxItems: maxItems, maxBytes: maxBytes, ready: make(chan struct{}, 1)}
}

// TryPut adds r unless the queue is full or closed.
func (q *Queue) TryPut(r *record.Record) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.putLocked(r)
}

func (q *Queue) putLocked(r *record.Record) bool {
	size := r.Size()
	full := len(q.items) >= q.maxItems || q.bytes+size > q.maxBytes && len(q.items) > 0
	if q.closed || full {
		return false
	}
	q.items = append(q.items, *r)
	q.bytes += size
	q.readyLocked()
	return true
}

func (q *Queue) readyLocked() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Put adds r, waiting for room until ctx ends; false when it did not.
func (q *Queue) Put(ctx context.Context, r *record.Record) bool {
	for {
		q.mu.Lock()
		if q.putLocked(r) {
			q.mu.Unlock()
			return true
		}
		if q.closed {
			q.mu.Unlock()
			return false
		}
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return false
		}
	}
}

// Ready gets a token when there is something to take or the queue was closed.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

// Take returns all that is queued, in the order it came. The batch is valid until the next call. more is false when the queue is
// closed and empty.
func (q *Queue) Take() (batch []record.Record, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.taken) // lets go of the bytes of the batch before
	batch = q.items
	q.items, q.taken = q.taken[:0], batch
	q.bytes = 0
	q.wakeLocked()
	if q.closed { // Close's token may have been the one of this batch
		q.readyLocked()
	}
	return batch, len(batch) > 0 || !q.closed
}

func (q *Queue) wakeLocked() {
	if q.space != nil {
		close(q.space)
		q.space = nil
	}
}

// Close refuses further messages; those queued can still be taken.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wakeLocked()
	q.readyLocked()
}

// Len returns how many messages and bytes are queued.
func (q *Queue) Len() (items, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items), q.bytes
}
