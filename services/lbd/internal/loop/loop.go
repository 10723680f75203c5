package loop

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// MaxPosted bounds the functions that wait to be run.
const MaxPosted = 4096

const maxEvents = 128 // of one epoll_wait

// Events is what has happened to a descriptor.
type Events uint32

// The events. Each is told once, until there is news.
const (
	Readable Events = 1 << iota // there may be bytes, or the end
	Writable                    // there may be room
	Hangup                      // the peer will send no more, or the connection is broken: reading says which
)

// Handler is told what happens to a descriptor.
type Handler interface {
	// Ready tells events; 0 stands for a call asked for by Again.
	Ready(Events)
	// Expired tells that the deadline has passed, which is none from then on.
	Expired()
}

// Ref names a registered descriptor. The zero Ref names none.
type Ref struct {
	slot uint32 // from 1
	gen  uint32
}

// Loop is an event loop.
type Loop struct {
	epfd, wake int
	origin     time.Time
	now        time.Duration
	breath     time.Duration // when the goroutine ran anew
	slots      []slot
	free       []uint32
	wheel      wheel
	again      []Ref
	spare      []Ref
	later      []Ref
	events     [maxEvents]unix.EpollEvent
	crowded    bool // the last look found several events
	got        int  // events of this turn
	next       int  // the first of them that is not handled
	turn       []Ref
	current    Handler // whose method runs
	counts     Counts

	// Panicked is told of a panic in a handler's method or, with a nil handler, in a posted function; it is to end what the handler is
	// for. nil: a panic ends the process. Set before Run.
	Panicked func(h Handler, v any)

	running []func() // of posted, that are to be run in this turn

	stop   atomic.Bool
	woken  atomic.Bool
	mu     sync.Mutex // guards what follows
	posted []func()
	ended  bool
}

// slot is a registered descriptor.
type slot struct {
	h        Handler // nil: free
	fd       int32
	gen      uint32
	queued   bool          // in again
	late     bool          // in later
	deadline time.Duration // 0: none
	spoke    timer
}

// Counts are what the loop has done.
type Counts struct {
	Waits   uint64 // calls of epoll_wait
	Events  uint64
	Expired uint64
}

// New returns a loop. It holds two descriptors until Run has ended, or Close.
func New() (*Loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fault.Wrap(fault.Full, os.NewSyscallError("epoll_create1", err), "loop: open")
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, wake, &ev)
	}
	if err != nil {
		unix.Close(epfd)
		return nil, fault.Wrap(fault.Full, os.NewSyscallError("eventfd", err), "loop: open")
	}
	l := &Loop{epfd: epfd, wake: wake, origin: time.Now(), slots: make([]slot, 1)} // slot 0 stands for the eventfd
	return l, nil
}

// Close releases a loop that was never run.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended = true
		unix.Close(l.epfd)
		unix.Close(l.wake)
	}
}

// Now returns the time of the turn, since the loop was made. It rises steadily.
func (l *Loop) Now() time.Duration { return l.now }

// Counts returns what was done so far.
func (l *Loop) Counts() Counts { return l.counts }

// Len returns how many descriptors are registered.
func (l *Loop) Len() int { return len(l.slots) - 1 - len(l.free) }

// Add registers a non-blocking descriptor. If it is ready already its handler is told in the next turn.
func (l *Loop) Add(fd int, h Handler) (Ref, error) {
	i, s := l.slot(fd, h)
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(i), Pad: int32(s.gen)}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		s.h = nil
		l.free = append(l.free, i)
		return Ref{}, fault.Wrap(fault.Full, os.NewSyscallError("epoll_ctl", err), "loop: add descriptor %d", fd)
	}
	return Ref{i, s.gen}, nil
}

// Timer registers a handler without a descriptor, for a deadline, Again and Later; Remove forgets it.
func (l *Loop) Timer(h Handler) Ref {
	i, s := l.slot(-1, h)
	return Ref{i, s.gen}
}

// slot takes a free slot.
func (l *Loop) slot(fd int, h Handler) (uint32, *slot) {
	var i uint32
	if n := len(l.free); n > 0 {
		i, l.free = l.free[n-1], l.free[:n-1]
	} else {
		i = uint32(len(l.slots))
		l.slots = append(l.slots, slot{})
	}
	s := &l.slots[i]
	s.h, s.fd, s.deadline = h, int32(fd), 0
	s.gen++
	return i, s
}

// Remove forgets a descriptor, which is still open: its handler is not called again.
func (l *Loop) Remove(r Ref) {
	s := l.at(r)
	if s == nil {
		return
	}
	if s.fd >= 0 {
		unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, int(s.fd), nil) // fails only where it was closed before
	}
	l.forget(r, s)
}

// Closing is Remove of a descriptor that the caller closes next and nobody else holds: the kernel then forgets it by itself.
func (l *Loop) Closing(r Ref) {
	if s := l.at(r); s != nil {
		l.forget(r, s)
	}
}

// Detach takes a descriptor out of the kernel's set, so that another loop can have it. Anybody may call it; the owner's
// goroutine does Closing afterwards. Events that were told before may still reach the handler.
func (l *Loop) Detach(fd int) { unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, fd, nil) }

func (l *Loop) forget(r Ref, s *slot) {
	l.wheel.remove(l.slots, r.slot)
	s.h, s.deadline, s.queued, s.late = nil, 0, false, false
	l.free = append(l.free, r.slot)
}

// at returns the slot that r names, nil if it is no longer.
func (l *Loop) at(r Ref) *slot {
	if r.slot == 0 || int(r.slot) >= len(l.slots) {
		return nil
	}
	s := &l.slots[r.slot]
	if s.gen != r.gen || s.h == nil {
		return nil
	}
	return s
}

// Hand gives a descriptor or timer to another handler, with its deadline. What its handler does from then on within a call, as to panic, counts
// as the other's.
func (l *Loop) Hand(r Ref, h Handler) {
	if s := l.at(r); s != nil {
		if l.current == s.h {
			l.current = h
		}
		s.h = h
	}
}

// Again has the handler called in the next turn, once.
func (l *Loop) Again(r Ref) {
	if s := l.at(r); s != nil && !s.queued {
		s.queued = true
		l.again = append(l.again, r)
	}
}

// Finisher is a Handler that gathers what it has to do in a turn, such as writing what many have given it.
type Finisher interface {
	Handler
	// Finish is called at the end of a turn in which Later asked for it.
	Finish()
}

// Later has the Finisher called at the end of the turn, once.
func (l *Loop) Later(r Ref) {
	if s := l.at(r); s != nil && !s.late {
		s.late = true
		l.later = append(l.later, r)
	}
}

// SetDeadline has Expired called at a time of Now's, 0 for never, in place of an earlier one.
func (l *Loop) SetDeadline(r Ref, at time.Duration) {
	s := l.at(r)
	if s == nil {
		return
	}
	s.deadline = at
	if at != 0 && (!s.spoke.linked || at < s.spoke.at) {
		l.wheel.put(l.slots, r.slot, max(at, l.now))
	}
}

// Post has f run by the loop, soon. Anybody may call it. It is false when MaxPosted are waiting, or the loop has ended.
func (l *Loop) Post(f func()) bool {
	l.mu.Lock()
	if l.ended || len(l.posted) >= MaxPosted {
		l.mu.Unlock()
		return false
	}
	l.posted = append(l.posted, f)
	l.mu.Unlock()
	l.rouse()
	return true
}

// Stop makes Run return after its turn. Anybody may call it.
func (l *Loop) Stop() {
	l.stop.Store(true)
	l.rouse()
}

func (l *Loop) rouse() {
	if l.woken.Swap(true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only at 2⁶⁴ wake-ups that were not read
	}
}

// Run runs the loop until Stop. The descriptors that are still registered are the caller's to close.
func (l *Loop) Run() error {
	defer l.Close()
	for !l.stop.Load() {
		n, err := l.wait()
		if err != nil {
			return fault.Wrap(fault.Internal, err, "loop: wait for events")
		}
		l.now = time.Since(l.origin)
		l.wheel.idle(l.now)
		l.counts.Events += uint64(n)
		l.got, l.next = n, 0
		l.turn, l.again = l.again, l.spare[:0]
		// A panic ends one of these, and what it has left is gone on with.
		for !l.handleEvents() || !l.runAgain() {
		}
		l.spare = l.turn[:0]
		for !l.runPosted() {
		}
		for !l.runExpired() {
		}
		for !l.runLater() {
		}
		l.breathe()
	}
	return nil
}

// breathEvery is how long the goroutine runs before it lets the scheduler see it run anew. Without that the scheduler takes the loop for a
// goroutine that has run for long: after 10 ms it sends the thread a signal, takes the processor away from it in epoll_wait, and because it
// found something to take looks again every 20 µs, which came to some percent of a busy daemon's CPU.
const breathEvery = 4 * time.Millisecond

func (l *Loop) breathe() {
	if l.now-l.breath >= breathEvery {
		l.breath = l.now
		runtime.Gosched()
	}
}

// rescue takes a panic of the current handler's.
func (l *Loop) rescue() {
	if l.Panicked == nil {
		return
	}
	if v := recover(); v != nil {
		h := l.current
		l.current = nil
		l.Panicked(h, v)
	}
}

// handleEvents handles the turn's events that are left. False if a panic has ended it.
func (l *Loop) handleEvents() (done bool) {
	defer l.rescue()
	for l.next < l.got {
		ev := &l.events[l.next]
		l.next++
		l.dispatch(ev)
	}
	return true
}

// wait looks for events, and waits for one if nothing else is to be done. Where the last look found several, the next is likely to find one
// too, and is made without telling the scheduler.
func (l *Loop) wait() (int, error) {
	if l.crowded || len(l.again) > 0 || l.woken.Load() {
		l.counts.Waits++
		n := poll(l.epfd, l.events[:])
		if l.crowded = n > 1; n > 0 || len(l.again) > 0 || l.woken.Load() {
			return n, nil
		}
	}
	timeout := -1
	if at, ok := l.wheel.next(); ok {
		// Rounded up, so that the spoke's time has come when it ends.
		timeout = int((max(at-time.Since(l.origin), 0) + time.Millisecond - 1) / time.Millisecond)
	}
	l.counts.Waits++
	n, err := unix.EpollWait(l.epfd, l.events[:], timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	l.crowded = n > 1
	return n, os.NewSyscallError("epoll_wait", err)
}

func (l *Loop) dispatch(ev *unix.EpollEvent) {
	if ev.Fd == 0 {
		return // woken: posted functions are looked at in any case
	}
	s := l.at(Ref{uint32(ev.Fd), uint32(ev.Pad)})
	if s == nil {
		return // removed by an earlier event of this turn
	}
	var e Events
	if ev.Events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0 {
		e |= Readable
	}
	if ev.Events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		e |= Writable
	}
	if ev.Events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0 {
		e |= Hangup
	}
	l.current = s.h
	s.h.Ready(e)
}

// runAgain calls those that have asked for it in the turn before.
func (l *Loop) runAgain() (done bool) {
	defer l.rescue()
	for len(l.turn) > 0 {
		r := l.turn[len(l.turn)-1]
		l.turn = l.turn[:len(l.turn)-1]
		if s := l.at(r); s != nil && s.queued {
			s.queued = false
			l.current = s.h
			s.h.Ready(0)
		}
	}
	return true
}

// runPosted runs what was posted.
func (l *Loop) runPosted() (done bool) {
	defer l.rescue()
	if l.woken.Load() {
		var b [8]byte
		unix.Read(l.wake, b[:])
		l.woken.Store(false)
		l.mu.Lock()
		l.running = append(l.running, l.posted...)
		l.posted = nil
		l.mu.Unlock()
	}
	for len(l.running) > 0 {
		f := l.running[0]
		l.running = l.running[1:]
		l.current = nil
		f()
	}
	l.running = nil
	return true
}

// runExpired calls those whose deadline has passed.
func (l *Loop) runExpired() (done bool) {
	defer l.rescue()
	l.wheel.expire(&l.slots, l.now, l.expired)
	return true
}

// runLater calls those that have asked for the end of the turn, and those that ask meanwhile.
func (l *Loop) runLater() (done bool) {
	defer l.rescue()
	for len(l.later) > 0 {
		r := l.later[len(l.later)-1]
		l.later = l.later[:len(l.later)-1]
		if s := l.at(r); s != nil && s.late {
			s.late = false
			l.current = s.h
			s.h.(Finisher).Finish()
		}
	}
	return true
}

func (l *Loop) expired(i uint32) {
	s := &l.slots[i]
	switch {
	case s.h == nil || s.deadline == 0:
	case s.deadline > l.now:
		l.wheel.put(l.slots, i, s.deadline)
	default:
		s.deadline = 0
		l.counts.Expired++
		l.current = s.h
		s.h.Expired()
	}
}
