package engine

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/lbd/internal/loop"
	"github.com/everup/everup/services/lbd/internal/tlsconn"
)

// worker is one loop with its connections.
type worker struct {
	e         *Engine
	number    int
	loop      *loop.Loop
	buffers   buffers
	pipes     pipes
	spare     []*exchange
	clients   map[*client]struct{}
	hellos    map[*hello]struct{} // connections on which no request can come yet
	h2        h2
	tls       *tlsconn.Env
	pace      pace
	delayed   map[*exchange]struct{} // requests that wait as their plan says
	acceptors []*acceptor
	closing   bool
	asked     atomic.Bool // whether the loop turns; it has not answered yet
	began     time.Time   // of the loop's clock
	ended     chan struct{}
}

const (
	// idleMember is how long a connection to a member is kept without a request.
	idleMember = 30 * time.Second
	// turnBytes is what a connection may move before others have their turn.
	turnBytes = 256 << 10
	// maxSpare bounds the exchanges that are kept to be used again.
	maxSpare = 1024
)

// now is the time of the turn as a point in time.
func (w *worker) now() time.Time { return w.began.Add(w.loop.Now()) }

// take returns an exchange that knows nothing, with a buffer.
func (w *worker) take(c front) *exchange {
	var x *exchange
	if n := len(w.spare); n > 0 {
		x, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		x = &exchange{w: w, up: flow{w: w}, down: flow{w: w}}
	}
	x.c = c
	w.buffers.get(&x.in, bufferLen)
	return x
}

// give takes an exchange back.
func (w *worker) give(x *exchange) {
	w.buffers.put(&x.in)
	w.buffers.put(&x.body)
	w.buffers.put(&x.out)
	x.reset()
	x.c = nil
	if len(w.spare) < maxSpare {
		w.spare = append(w.spare, x)
	}
}

// drain makes every answer from now on its connection's last.
func (w *worker) drain() {
	w.closing = true
	w.hurry()
	for c := range w.h2.conns {
		c.drain()
	}
}

// closeIdle closes clients without a request.
func (w *worker) closeIdle() {
	for c := range w.clients {
		if c.x == nil {
			c.leave()
		}
	}
	for c := range w.h2.conns {
		if c.streams == nil {
			c.leave()
		}
	}
	for h := range w.hellos {
		h.close()
	}
}

// end closes everything.
func (w *worker) end() {
	for _, a := range slices.Clone(w.acceptors) {
		a.shut()
	}
	w.cut()
	w.closeUps()
	w.e.idle.close(w)
	w.pipes.close()
}

// cut closes all clients.
func (w *worker) cut() {
	for c := range w.clients {
		if c.x != nil {
			c.x.abort(Stopped)
			continue
		}
		c.close()
	}
	for c := range w.h2.conns {
		c.close(Stopped)
	}
	for h := range w.hellos {
		h.close()
	}
}
