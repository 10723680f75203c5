package loop

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/labtest"
)

// end is one end of a socket pair, registered in a loop.
type end struct {
	t       *testing.T
	l       *Loop
	fd      int
	ref     Ref
	ready   func(*end, Events)
	expired func(*end)
}

func (e *end) Ready(ev Events) {
	if e.ready != nil {
		e.ready(e, ev)
	}
}

func (e *end) Expired() {
	if e.expired != nil {
		e.expired(e)
	}
}

// read reads what is there.
func (e *end) read() string {
	b := make([]byte, 1024)
	n, err := unix.Read(e.fd, b)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) {
			e.t.Error(err)
		}
		return ""
	}
	return string(b[:n])
}

func (e *end) write(s string) {
	if _, err := unix.Write(e.fd, []byte(s)); err != nil {
		e.t.Error(err)
	}
}

// pair returns two ends that are connected; they are closed with the test.
func pair(t *testing.T, l *Loop) (a, b *end) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return &end{t: t, l: l, fd: fds[0]}, &end{t: t, l: l, fd: fds[1]}
}

func (e *end) add() {
	var err error
	if e.ref, err = e.l.Add(e.fd, e); err != nil {
		e.t.Fatal(err)
	}
}

// run runs the loop until something stops it; the test fails if nothing does.
func run(t *testing.T, l *Loop) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- l.Run() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		l.Stop()
		<-done
		t.Fatal("the loop did not end")
	}
}

func open(t *testing.T) *Loop {
	t.Helper()
	labtest.LeakCheck(t)
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// TestEcho: what is written at one end is told at the other, and both directions are told at first.
func TestEcho(t *testing.T) {
	l := open(t)
	a, b := pair(t, l)
	got := ""
	b.ready = func(e *end, ev Events) {
		if s := e.read(); s != "" {
			e.write(s + s)
		}
	}
	first := true
	a.ready = func(e *end, ev Events) {
		if first {
			first = false
			if ev != Writable {
				t.Errorf("first told %v", ev)
			}
			e.write("ab")
			return
		}
		if ev&Readable == 0 {
			return
		}
		if got += e.read(); got == "abab" {
			l.Stop()
		}
	}
	b.add()
	a.add()
	run(t, l)
	if l.Len() != 2 || l.Counts().Events == 0 {
		t.Errorf("%d descriptors, %+v", l.Len(), l.Counts())
	}
}

func TestHangup(t *testing.T) {
	l := open(t)
	a, b := pair(t, l)
	a.ready = func(e *end, ev Events) {
		if ev&Hangup != 0 {
			if ev&Readable == 0 {
				t.Errorf("told %v: the end is to be read", ev)
			}
			l.Stop()
		}
	}
	a.add()
	if err := unix.Shutdown(b.fd, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	run(t, l)
}

// TestRemovedIsNotTold: a handler that another of the same turn has removed is not called, nor is one that has its slot by
// then.
func TestRemovedIsNotTold(t *testing.T) {
	l := open(t)
	a, b := pair(t, l)
	c, d := pair(t, l)
	calls := 0
	other := &end{t: t, l: l, fd: d.fd}
	remove := func(e *end, _ Events) {
		calls++
		for _, x := range []*end{a, c} {
			if x != e {
				l.Remove(x.ref)
			}
		}
		l.Remove(e.ref)
		other.ready = func(*end, Events) { l.Stop() }
		other.add()
	}
	a.ready, c.ready = remove, remove
	a.add()
	c.add()
	b.write("x")
	d.write("x")
	run(t, l)
	if calls != 1 || l.Len() != 1 {
		t.Errorf("%d calls, %d descriptors", calls, l.Len())
	}
}

func TestAgain(t *testing.T) {
	l := open(t)
	a, _ := pair(t, l)
	n := 0
	a.ready = func(e *end, ev Events) {
		if n > 0 && ev != 0 {
			t.Errorf("told %v", ev)
		}
		if n++; n == 5 {
			l.Stop()
			return
		}
		l.Again(e.ref)
		l.Again(e.ref) // twice is once
	}
	a.add()
	run(t, l)
	if n != 5 {
		t.Errorf("%d calls", n)
	}
}

// TestDeadlines: never early, at most two spokes late, moved away and moved near, and none.
func TestDeadlines(t *testing.T) {
	l := open(t)
	var fired []string
	f := func(name string, set ...time.Duration) {
		e, _ := pair(t, l)
		e.add()
		last := set[len(set)-1]
		e.expired = func(*end) {
			fired = append(fired, name)
			if late := l.Now() - last; last == 0 || late < 0 {
				t.Errorf("%s: %v after its deadline %v", name, late, last)
			}
			if name == "last" {
				l.Stop()
			}
		}
		for _, d := range set {
			l.SetDeadline(e.ref, d)
		}
	}
	f("last", 80*time.Millisecond)
	f("moved near", 500*time.Millisecond, 30*time.Millisecond)
	f("moved away", 10*time.Millisecond, 55*time.Millisecond)
	f("never", 10*time.Millisecond, 0)
	f("round the wheel", time.Hour)
	f("past", 20*time.Millisecond, time.Nanosecond)
	run(t, l)
	want := []string{"past", "moved near", "moved away", "last"}
	if len(fired) != len(want) {
		t.Fatalf("%v, want %v", fired, want)
	}
	for i := range want {
		if fired[i] != want[i] {
			t.Fatalf("%v, want %v", fired, want)
		}
	}
}

func TestPost(t *testing.T) {
	l := open(t)
	var order []int
	for i := range 3 {
		if !l.Post(func() { order = append(order, i) }) {
			t.Fatal("not taken")
		}
	}
	l.Post(func() {
		l.Post(func() { l.Stop() })
		go l.Post(func() {}) // from elsewhere, maybe after the end
	})
	run(t, l)
	if len(order) != 3 || order[0] != 0 || order[2] != 2 {
		t.Errorf("order %v", order)
	}
	if l.Post(func() {}) {
		t.Error("a loop that has ended takes functions")
	}
}

func TestPostBound(t *testing.T) {
	l := open(t)
	for i := range MaxPosted {
		if !l.Post(func() {}) {
			t.Fatalf("only %d are taken", i)
		}
	}
	if l.Post(func() {}) {
		t.Error("one more is taken")
	}
}

// TestWheel: against a plain list of times, with entries that are put, moved and removed.
func TestWheel(t *testing.T) {
	const n = 200
	slots := make([]slot, n+1)
	want := map[uint32]time.Duration{}
	var w wheel
	state := uint32(1)
	random := func(m uint32) uint32 {
		state = state*1664525 + 1013904223
		return (state >> 8) % m
	}
	now := time.Duration(0)
	for range 20000 {
		i := random(n) + 1
		switch random(4) {
		case 0, 1:
			at := now + time.Duration(random(20000))*time.Millisecond
			w.put(slots, i, at)
			want[i] = at
		case 2:
			w.remove(slots, i)
			delete(want, i)
		default:
			now += time.Duration(random(60)) * time.Millisecond
			w.idle(now)
			w.expire(&slots, now, func(i uint32) {
				if want[i] > now { // beyond a round of the wheel
					if want[i]-now < (spokes-64)*tick-60*time.Millisecond && slots[i].spoke.linked {
						t.Fatalf("slot %d is looked at %v early", i, want[i]-now)
					}
					w.put(slots, i, want[i])
					return
				}
				delete(want, i)
			})
			for i, at := range want {
				if at <= now-tick {
					t.Fatalf("slot %d of %v was not looked at by %v", i, at, now)
				}
			}
		}
		if len(want) != w.count {
			t.Fatalf("%d entries, want %d", w.count, len(want))
		}
		if at, ok := w.next(); ok != (len(want) > 0) || ok && at <= now-tick {
			t.Fatalf("next is %v, %v", at, ok)
		}
	}
}

// TestPanics: a panic in one handler leaves the others their events, and is told with whose it was.
func TestPanics(t *testing.T) {
	l := open(t)
	var told []Handler
	l.Panicked = func(h Handler, v any) {
		if v != "oops" {
			t.Errorf("told %v", v)
		}
		told = append(told, h)
	}
	calls := 0
	f := func() *end {
		e, _ := pair(t, l)
		e.ready = func(*end, Events) { calls++; panic("oops") }
		e.expired = func(*end) { calls++; panic("oops") }
		e.add()
		l.SetDeadline(e.ref, 5*time.Millisecond)
		return e
	}
	a, b := f(), f()
	last, _ := pair(t, l)
	last.expired = func(*end) { l.Stop() }
	last.add()
	l.SetDeadline(last.ref, 40*time.Millisecond)
	l.Post(func() { panic("oops") })
	posted := false
	l.Post(func() { posted = true })
	run(t, l)
	if calls != 4 || len(told) != 5 || !posted {
		t.Errorf("%d calls, %d told, posted %v", calls, len(told), posted)
	}
	count := map[Handler]int{}
	for _, h := range told {
		count[h]++
	}
	if count[a] != 2 || count[b] != 2 || count[nil] != 1 {
		t.Errorf("told of %v", count)
	}
}
