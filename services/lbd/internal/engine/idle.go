package engine

import (
	"slices"
	"sync"
)

const (
	// maxIdle bounds the idle connections to members, and to one of them.
	maxIdle       = 8192
	maxIdleMember = 512
)

// idle are the connections to members that have no request, of all workers: who needs one takes one of its own worker's, else
// any. Who is in the list is idle; taking out is what decides.
type idle struct {
	mu  sync.Mutex
	all map[idleKey][]*member // the last used last
	n   int
}

// put adds a connection; false if there are enough.
func (s *idle) put(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.all[m.key]
	if s.n >= maxIdle || len(list) >= maxIdleMember {
		return false
	}
	s.all[m.key] = append(list, m)
	s.n++
	return true
}

// take returns a connection that is w's from now on, nil if there is none.
func (s *idle) take(w *worker, key idleKey) *member {
	s.mu.Lock()
	list := s.all[key]
	if len(list) == 0 {
		s.mu.Unlock()
		return nil
	}
	at := len(list) - 1
	for i := at; i >= 0; i-- {
		if list[i].w == w {
			at = i
			break
		}
	}
	m := list[at]
	s.drop(key, at)
	s.mu.Unlock()
	if m.w == w {
		return m
	}
	return w.adopt(m)
}

// remove takes a connection out; false if it is not there.
func (s *idle) remove(m *member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.Index(s.all[m.key], m)
	if at < 0 {
		return false
	}
	s.drop(m.key, at)
	return true
}

func (s *idle) drop(key idleKey, at int) {
	list := s.all[key]
	if s.n--; len(list) == 1 {
		delete(s.all, key)
		return
	}
	s.all[key] = slices.Delete(list, at, at+1)
}

// Len returns how many connections are idle.
func (s *idle) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// close closes w's connections.
func (s *idle) close(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, list := range s.all {
		list = slices.DeleteFunc(list, func(m *member) bool {
			if m.w != w {
				return false
			}
			m.close()
			s.n--
			return true
		})
		if s.all[key] = list; len(list) == 0 {
			delete(s.all, key)
		}
	}
}

// adopt takes another worker's idle connection, which nobody else has by now, into w's loop.
func (w *worker) adopt(old *member) *member {
	from := old.w
	from.loop.Detach(old.fd)
	m := &member{w: w, key: old.key}
	m.fd, m.writable, m.sent = old.fd, true, old.sent
	if m.tls = old.tls; m.tls != nil {
		m.tls.Move((*wire)(&m.sock), w.tls)
	}
	var err error
	if m.ref, err = w.loop.Add(m.fd, m); err != nil {
		m.shut()
		m = nil
	}
	// Where its owner has ended there is no slot to be given back.
	from.loop.Post(func() { from.loop.Closing(old.ref) })
	return m
}
