package engine

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/everup/everup/services/lbd/internal/encoding"
	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/shared/labtest"
)

// TestH2GrownWindows has windows grow that are given back by streams which end, one way or the other: the connection's is what it was.
func TestH2GrownWindows(t *testing.T) {
	o := HTTP2Options(http1.DefaultLimits())
	o.MaxWindow = 1 << 20
	r := startWith(t, &site{members: []netip.AddrPort{backend(t, told)}, plan: gathers(16<<10, 8<<20)}, &Opening{HTTP2: o})
	r.SetWindows(4 << 20)
	h := r.rawH2(t)
	grown := int64(0)
	for i := range 60 {
		id := h.post("/")
		if other := h.upload(id, make([]byte, 400_000), i%2 == 0); other != "" {
			t.Fatal(other)
		}
		if i%2 == 1 {
			n, _ := r.Windows()
			grown = max(n, grown)
			h.WriteRSTStream(id, http2.ErrCodeCancel)
			continue
		}
		h.expect(fmt.Sprintf("head %d :status=200…", id))
		h.content(id, true)
	}
	h.seen()
	if n, _ := r.Windows(); n != 0 || grown == 0 {
		t.Errorf("larger by %d, it was %d at most", n, grown)
	}
	if whole := int(o.ConnWindow); h.room[0] <= whole/2 || h.room[0] > whole {
		t.Errorf("a window of %d of %d", h.room[0], whole)
	}
}

// TestH2Chaos has streams with all that there is use of end at any time, by themselves, by a reset, or with their connection. Nothing is left
// of any (start looks for that), and what is asked for then is served.
func TestH2Chaos(t *testing.T) { backAll(t, testH2Chaos) }

func testH2Chaos(t *testing.T, m mix) {
	members := []netip.AddrPort{m.backend(t, chaotic), m.backend(t, chaotic)}
	codes := compresses(t)
	s := &site{members: members}
	s.plan = func(q *Request, p *Plan) {
		way := string(q.Text(q.Head.Target.Path))
		if strings.Contains(way, "gather") {
			p.BufferRequest = &Buffering{16 << 10, 200_000}
		}
		if strings.Contains(way, "absorb") {
			p.BufferResponse = &Buffering{16 << 10, 300_000}
		}
		if strings.Contains(way, "code") {
			codes(q, p)
			fast := *p.Compress
			fast.Level = encoding.Fast
			p.Compress = &fast
		}
		if strings.Contains(way, "delay") {
			p.Delay = time.Millisecond
		}
		if strings.Contains(way, "own") {
			p.Pool, p.Status = nil, 429
		}
		p.RetryOn.Add(503)
	}
	r := m.start(t, s)
	r.SetTarpits(10)
	var wg sync.WaitGroup
	for seed := range 8 {
		wg.Go(func() { chaos(t, r, rand.New(rand.NewPCG(2, uint64(seed)))) })
	}
	wg.Wait()
	labtest.Eventually(t, soon, "all is given back", func() error {
		if n := r.Waiting(); n != 0 {
			return fmt.Errorf("%d requests are delayed", n)
		}
		if c := r.o.Spools.Counts(); c.Spools != 0 || c.Memory != 0 || c.Files != 0 {
			return fmt.Errorf("%+v", c)
		}
		if n := r.o.Encoders.Counts().Lent; n != 0 {
			return fmt.Errorf("%d encoders are lent", n)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.active != 0 {
			return fmt.Errorf("%d seats are taken", s.active)
		}
		return nil
	})
	c := m.client(t)
	for _, way := range []string{"/", "/gather", "/absorb-code", "/gather-absorb-code-delay"} {
		data := rows(100_000)
		req, _ := http.NewRequest("POST", "http://"+r.addr+way, bytes.NewReader(data))
		req.Header.Set("Accept-Encoding", "gzip")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := decoded(t, res.Header.Get("Content-Encoding"), res.Body); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes", way, len(got))
		}
		res.Body.Close()
	}
	if n := r.panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
	if len(r.broken) > 0 {
		t.Errorf("a connection has broken the rules: %s", <-r.broken)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reasons := map[Reason]int{}
	for _, rec := range s.records {
		reasons[rec.Reason]++
	}
	t.Logf("%+v, %d retries, reasons %v", r.Counts(), s.retried, reasons)
}

// chaotic echoes, answers early, sends more than there is room for, or refuses for another try.
func chaotic(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	switch {
	case strings.Contains(r.URL.Path, "early"):
		w.Header().Set("Connection", "close")
		w.WriteHeader(403)
	case strings.Contains(r.URL.Path, "busy"):
		w.WriteHeader(503)
	case strings.Contains(r.URL.Path, "much"):
		w.Header().Set("Trailer", "X-Sum")
		for range 10 {
			w.Write(rows(50_000))
			http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", "1")
	case strings.Contains(r.URL.Path, "break"):
		w.Write(rows(100_000))
		panic(http.ErrAbortHandler)
	default:
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}
}

// chaos opens streams of a few connections and ends them anyhow.
func chaos(t *testing.T, r *rig, rnd *rand.Rand) {
	ways := []string{"gather", "absorb", "code", "delay", "own", "early", "busy", "much", "break"}
	for range 3 {
		h := r.rawH2(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(rnd.IntN(3) * 30_000)})
		ended := make(chan struct{})
		go func() { // what comes is not looked at
			defer close(ended)
			fr := http2.NewFramer(io.Discard, h.c)
			for {
				if _, err := fr.ReadFrame(); err != nil {
					return
				}
			}
		}()
		var open []uint32
		for range 80 {
			switch rnd.IntN(4) {
			case 0:
				path := "/"
				for _, way := range ways {
					if rnd.IntN(3) == 0 {
						path += "-" + way
					}
				}
				method := []string{"GET", "PUT", "POST"}[rnd.IntN(3)]
				end := method == "GET"
				id := h.request(end, ":method", method, ":scheme", "http", ":path", path, ":authority", "a", "accept-encoding", []string{"gzip", "br", "zstd"}[rnd.IntN(3)])
				open = append(open, id)
			case 1:
				if len(open) > 0 {
					id := open[rnd.IntN(len(open))]
					if n := min(rnd.IntN(16000), h.room[id]); h.room[id] > 0 {
						h.room[id] -= n
						end := rnd.IntN(3) == 0
						if end {
							h.room[id] = 0
						}
						h.WriteData(id, end, make([]byte, n))
					}
				}
			case 2:
				if len(open) > 0 {
					h.WriteWindowUpdate(open[rnd.IntN(len(open))], uint32(1+rnd.IntN(100_000)))
					h.WriteWindowUpdate(0, uint32(1+rnd.IntN(100_000)))
				}
			case 3:
				if len(open) > 0 {
					i := rnd.IntN(len(open))
					h.WriteRSTStream(open[i], http2.ErrCodeCancel)
					open = append(open[:i], open[i+1:]...)
				}
			}
			if rnd.IntN(4) == 0 {
				r.turned(t)
			}
		}
		h.c.Close()
		<-ended
	}
}
