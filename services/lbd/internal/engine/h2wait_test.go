package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/probe"
)

// TestH2Queue has a stream wait for a seat, with content that comes meanwhile, and go on.
func TestH2Queue(t *testing.T) {
	m := backend(t, told)
	s, asked := queueing(true, 5*time.Second, m)
	h := mix{front: true}.start(t, s).rawH2(t)
	id := h.post("/")
	w := next(t, asked)
	h.upload(id, noisy(60_000), true)
	other := h.get("/")
	h.expect(fmt.Sprintf("head %d :status=200…", other))
	h.content(other, true)
	s.grant(w, m)
	h.expect(fmt.Sprintf("head %d :status=200…", id))
	if got, _ := h.content(id, true); !strings.HasPrefix(string(got), "POST 60000 of -1, ") {
		t.Errorf("%q", got)
	}
	if rec := s.last(t); rec.Status != 200 {
		t.Errorf("%+v", rec)
	}
}

// TestH2LeavesTheQueue: a stream that is reset while its request waits, or whose connection ends, leaves the queue at once; a seat that is on its
// way is given back, and no other stream is harmed.
func TestH2LeavesTheQueue(t *testing.T) {
	for _, cancels := range []bool{true, false} {
		for _, closed := range []bool{true, false} {
			t.Run(fmt.Sprintf("cancels %v closed %v", cancels, closed), func(t *testing.T) {
				m := backend(t, told)
				s, asked := queueing(cancels, time.Hour, m)
				s.plan = func(_ *Request, p *Plan) { p.Wait, p.Timeout = time.Hour, time.Hour }
				r := mix{front: true}.start(t, s)
				h := r.rawH2(t)
				id := h.post("/")
				w := next(t, asked)
				h.upload(id, noisy(60_000), false)
				h.seen()
				if closed {
					h.c.Close()
				} else {
					h.WriteRSTStream(id, http2.ErrCodeCancel)
				}
				if rec := s.last(t); rec.Reason != ClientGone || rec.Status != statusClientGone || rec.Queue == 0 {
					t.Errorf("%+v", rec)
				}
				if !cancels {
					s.grant(w, m)
				}
				s.nobodyIsSeated(t)
				if closed {
					h = r.rawH2(t)
				}
				id = h.get("/")
				h.expect(fmt.Sprintf("head %d :status=200…", id))
			})
		}
	}
}

// TestH2LeavesTheTarpit: likewise where a request waits as its plan says; its place is free.
func TestH2LeavesTheTarpit(t *testing.T) {
	s := &site{plan: func(r *Request, p *Plan) { p.Pool, p.Status, p.Delay = nil, 403, time.Hour }, done: make(chan struct{}, 10)}
	r := mix{front: true}.start(t, s)
	r.SetTarpits(2)
	f := func(leave func(h *rawH2, id uint32), streams int) {
		t.Helper()
		h := r.rawH2(t)
		var id uint32
		for range streams {
			id = h.post("/")
			h.upload(id, noisy(60_000), false)
		}
		h.seen()
		if n := r.Waiting(); n != streams {
			t.Errorf("%d wait", n)
		}
		leave(h, id)
		for range streams {
			if rec := s.last(t); rec.Reason != ClientGone || rec.Status != statusClientGone || rec.Delay == 0 {
				t.Errorf("%+v", rec)
			}
		}
		r.turned(t)
		if n := r.Waiting(); n != 0 {
			t.Errorf("%d wait still", n)
		}
	}
	reset := func(h *rawH2, id uint32) { h.WriteRSTStream(id, http2.ErrCodeCancel) }
	f(reset, 1)
	f(reset, 1)
	f(reset, 1)
	f(func(h *rawH2, _ uint32) { h.c.Close() }, 2)
	if n := r.Counts(); n.Delayed != 5 || n.Undelayed != 0 {
		t.Errorf("%+v", n)
	}
	// A drain ends the wait.
	h := r.rawH2(t)
	id := h.get("/")
	labtest.Eventually(t, soon, "the request waits", func() error {
		if n := r.Waiting(); n != 1 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	r.Drain()
	got := h.frame()
	for strings.HasPrefix(got, "goaway ") {
		got = h.frame()
	}
	if !strings.HasPrefix(got, fmt.Sprintf("head %d :status=403", id)) {
		t.Error(got)
	}
}

// realPool returns a pool with a member and room for some requests at once; more wait.
func realPool(t *testing.T, member netip.AddrPort, room int) *pool.Pool {
	t.Helper()
	var check probe.Config
	conf.SetDefaults(&check)
	check.Start = probe.Up
	runner := probe.NewRunner(probe.RunnerOptions{New: func(probe.Config) (probe.Checker, error) { return well{}, nil }})
	p := pool.New("web", pool.Env{Runner: runner, Backends: pool.NewBackends(), Event: func(*pool.Pool, pool.Event) {}})
	t.Cleanup(func() { p.Close(); runner.Close() })
	s := &pool.Settings{Rules: pool.Rules{MaxRequests: room, Queue: 100}, Check: check}
	if err := p.Configure(s, well{}, []pool.Spec{{ID: pool.ID(member.String()), Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	return p
}

type well struct{}

func (well) Check(context.Context, probe.Target) probe.Result { return probe.Result{OK: true} }

// TestH2LeavesThePool has streams of some connections come, wait, be seated, be reset in every state, and end with their connections. In the end
// nobody has a seat, nobody waits, and a request is served.
func TestH2LeavesThePool(t *testing.T) { backAll(t, testH2LeavesThePool) }

func testH2LeavesThePool(t *testing.T, m mix) {
	member := m.backend(t, told)
	p := realPool(t, member, 2)
	s := &site{plan: func(_ *Request, plan *Plan) { plan.Pool, plan.Wait = p, time.Hour }}
	r := m.start(t, s)
	var wg sync.WaitGroup
	for seed := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(seed)))
			h := r.rawH2(t)
			for range 60 {
				id := h.post("/")
				h.WriteData(id, rnd.IntN(4) > 0, make([]byte, rnd.IntN(100)))
				if rnd.IntN(2) == 0 {
					h.WritePing(false, [8]byte{}) // a turn of the loop or so lies between
					for got := h.frame(); got != "pong"; got = h.frame() {
						if got == "closed" || strings.HasPrefix(got, "goaway") {
							t.Error(got)
							return
						}
					}
				}
				if rnd.IntN(3) > 0 {
					h.WriteRSTStream(id, http2.ErrCodeCancel)
				}
			}
			h.c.Close()
		})
	}
	wg.Wait()
	labtest.Eventually(t, soon, "all seats and places are given back", func() error {
		if st := p.Status(time.Now()); st.Active != 0 || st.Queued != 0 {
			return fmt.Errorf("%d are seated, %d wait", st.Active, st.Queued)
		}
		return nil
	})
	h := r.rawH2(t)
	id := h.get("/")
	h.expect(fmt.Sprintf("head %d :status=200…", id))
}
