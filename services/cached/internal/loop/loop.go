package loop

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/cached/internal/session"
	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

const (
	inputLen  = 64 << 10 // a loop's input buffer
	outputCap = 96 << 10 // of its output buffer: OutHigh, one more answer, and room
	maxEvents = 128      // of one epoll_wait
	maxPieces = 64       // of one writev
)

// Slots that are not of the slab, as they stand in an event.
const (
	slotWake      = -1
	slotListeners = -2 // and below: -2-i is listener i
)

// loop is one event loop.
type loop struct {
	g     *Group
	meter *session.Meter
	note  session.LoopCount
	load  atomic.Int32  // connections, those on their way to it included
	self  atomic.Uint64 // number of its goroutine, while it runs
	timed atomic.Bool   // something waits for seconds to pass, beside idle connections

	inbox inbox
	woken atomic.Bool // a wake-up is on its way
	epfd  int
	wake  int // eventfd

	// Of the loop's goroutine alone:
	slab      slab
	pool      pool
	ready     []ref
	spare     []ref
	cursor    uint32 // of the scan
	scanned   uint32 // second of the last scan
	listening bool   // the listeners are in the epoll set
	deaf      bool   // and will not be again: the group drains
	stuck     bool   // accepting failed
	crowded   bool   // the last look found several events
	unseen    int    // events since breathe looked at the clock
	origin    time.Time
	breath    time.Duration // since origin, when the goroutine ran anew
	count     count
	out       session.Out
	input     []byte
	moved     int // bytes read and written in this turn
	iov       [maxPieces + 1]unix.Iovec
	pieces    [][]byte
	backlogs  []*backlog // to be used again
	lagging   int        // connections with a backlog
	delaying  bool       // the events of a look are being served, of which there are several
	delayed   []ref      // connections whose answers are sent together
	waiting   int        // bytes of those
	quiet     bool       // endQuiet was called
	events    [maxEvents]unix.EpollEvent
}

// count collects what goes to the LoopCount after each round, where others read it.
type count struct {
	read, written, reads, writes, waits uint64
}

func newLoop(g *Group) (*loop, error) {
	l := &loop{g: g, meter: session.NewMeter(), input: make([]byte, inputLen), origin: time.Now(), epfd: -1, wake: -1}
	l.out.Buf = make([]byte, 0, outputCap)
	l.inbox.asks = make(chan ask, len(g.loops))
	var err error
	if l.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		l.release()
		return nil, os.NewSyscallError("eventfd", err)
	}
	// Edge-triggered, so that it need not be read.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: slotWake}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, l.wake, &ev); err != nil {
		l.release()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

// release closes the loop's own descriptors.
func (l *loop) release() {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	for _, fd := range []*int{&l.epfd, &l.wake} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// rouse makes the loop look at its inbox and at the group's state. Anybody may call it.
func (l *loop) rouse() {
	if l.woken.Swap(true) {
		return
	}
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if l.wake >= 0 { // else the loop has ended
		unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only at 2⁶⁴ unread wake-ups
	}
}

// run serves until the group is cut.
func (l *loop) run() error {
	l.self.Store(goroutine())
	defer l.self.Store(0)
	defer l.endAll()
	l.rouse()
	for l.g.phase.Load() != cut {
		n, err := l.wait()
		if err != nil {
			return fault.Wrap(fault.Internal, err, "loop: wait for events")
		}
		l.delaying = n > 1
		for i := range l.events[:n] {
			l.event(&l.events[i])
		}
		l.delaying = false
		l.sendDelayed()
		l.round()
		l.publish()
		l.breathe(n)
	}
	return nil
}

// wait looks for events, and waits for one when there is nothing else to do.
func (l *loop) wait() (int, error) {
	l.count.waits++
	if len(l.ready) > 0 {
		n := poll(l.epfd, l.events[:])
		l.crowded = n > 1
		return n, nil
	}
	n, err := unix.EpollWait(l.epfd, l.events[:], -1)
	if err == unix.EINTR {
		return 0, nil
	}
	l.crowded = n > 1
	return n, err
}

const (
	breathEvery  = 4 * time.Millisecond
	breathEvents = 32
)

// breathe lets the scheduler see the goroutine run anew, every few milliseconds. Without that it takes the loop for one goroutine that
// has run for long: after 10 ms it sends the thread a signal, takes the processor away from it in epoll_wait, and because it found something to
// take looks again every 20 µs, which came to 4 or 5 % of the daemon's CPU.
func (l *loop) breathe(events int) {
	if l.unseen += events + 1; l.unseen < breathEvents {
		return // the clock costs something too
	}
	l.unseen = 0
	if now := time.Since(l.origin); now-l.breath >= breathEvery {
		l.breath = now
		runtime.Gosched()
	}
}

func (l *loop) event(ev *unix.EpollEvent) {
	switch {
	case ev.Fd == slotWake:
		l.sendDelayed() // so that it finds no connection in between
		l.look()
		return
	case ev.Fd <= slotListeners:
		l.accept(int(slotListeners - ev.Fd))
		return
	}
	c := l.slab.find(uint32(ev.Fd), uint32(ev.Pad))
	if c == nil {
		return
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.set(readable)
		if ev.Events&^(unix.EPOLLIN|unix.EPOLLOUT) != 0 {
			c.set(hungUp)
		}
	}
	switch {
	case c.out != nil && ev.Events == unix.EPOLLIN:
		// It sends on without reading its answers: those come first.
	case c.out == nil && ev.Events == unix.EPOLLOUT:
		l.askOut(c, false) // a unix socket tells of each answer read
	case !c.has(queued):
		l.turn(c)
	}
}

// round gives one turn to each connection in the ready queue.
func (l *loop) round() {
	now := l.ready
	l.ready = l.spare[:0]
	for _, r := range now {
		if c := l.slab.find(r.slot, r.gen); c != nil {
			c.clear(queued)
			l.turn(c)
		}
	}
	l.spare = now[:0]
}

// enqueue puts c at the end of the ready queue.
func (l *loop) enqueue(c *conn) {
	if !c.has(queued) {
		c.set(queued)
		l.ready = append(l.ready, ref{c.slot, c.gen})
	}
}

// publish adds what was counted to the counts that others read. Atomic additions cost 5 ns each, so it waits for a round that
// has some weight, or for the loop to have nothing to do.
func (l *loop) publish() {
	if c := &l.count; c.waits >= 64 || !l.crowded && len(l.ready) == 0 {
		l.note.BytesRead.Add(c.read)
		l.note.BytesWritten.Add(c.written)
		l.note.ReadSyscalls.Add(c.reads)
		l.note.WriteCalls.Add(c.writes)
		l.note.Waits.Add(c.waits)
		l.count = count{}
	}
}

// inbox is what others want of a loop.
type inbox struct {
	mu      sync.Mutex // of the two that follow, and of the loop's eventfd's end
	adopted []adoption
	closed  bool // the loop has ended
	asks    chan ask
}

// look does what the loop was roused for.
func (l *loop) look() {
	l.woken.Store(false) // before looking: what comes from now on rouses again
	l.inbox.mu.Lock()
	adopted := l.inbox.adopted
	l.inbox.adopted = nil
	l.inbox.mu.Unlock()
	for i := range adopted {
		l.adopt(&adopted[i])
	}
	l.reply()
	l.scan()
	l.listen()
	if l.g.phase.Load() >= drained {
		l.endQuiet()
	}
}
