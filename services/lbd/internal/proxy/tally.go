package proxy

import "sync"

// tally counts what is under way and lets one goroutine wait for its end. The zero value is usable.
type tally struct {
	mu    sync.Mutex
	n     int
	ended chan struct{} // set by wait, closed at 0
}

// add counts one in; false once somebody waits.
func (t *tally) add() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return false
	}
	t.n++
	return true
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.ended != nil {
		close(t.ended)
	}
}

// wait ends new counting in and waits for 0. It is called once.
func (t *tally) wait() {
	t.mu.Lock()
	t.ended = make(chan struct{})
	if t.n == 0 {
		close(t.ended)
	}
	ended := t.ended
	t.mu.Unlock()
	<-ended
}
