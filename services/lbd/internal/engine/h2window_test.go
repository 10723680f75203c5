package engine

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/http1"
	core "github.com/everup/everup/services/lbd/internal/http2"
	"github.com/everup/everup/shared/labtest"
)

// longRoad is an address from which bytes come to another one, and back, later by delay, however many they are.
func longRoad(t *testing.T, to string, delay time.Duration) string {
	t.Helper()
	return served(t, func(_ int, from net.Conn) {
		c, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer c.Close()
		back := make(chan struct{})
		go func() { defer close(back); carry(from, c, delay) }()
		carry(c, from, delay)
		<-back
	}).String()
}

// carry takes bytes from one connection to the other until the first ends.
func carry(to, from net.Conn, delay time.Duration) {
	type piece struct {
		due time.Time
		b   []byte
	}
	under := make(chan piece, 1<<16)
	go func() {
		defer close(under)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if err != nil {
				return
			}
			under <- piece{time.Now().Add(delay), b[:n]}
		}
	}()
	for p := range under {
		<-time.After(time.Until(p.due))
		to.Write(p.b) // of one that is gone nothing more comes back
	}
	to.Close()
}

// TestH2WindowGrows: an upload over a long way gets a window that is as large as the way is long.
func TestH2WindowGrows(t *testing.T) {
	const size, roundTrip = 16 << 20, 50 * time.Millisecond
	got := make(chan int64, 1)
	s := &site{members: []netip.AddrPort{backend(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got <- n
	})}}
	o := HTTP2Options(http1.DefaultLimits())
	o.MaxWindow = 4 << 20
	r := startWith(t, s, &Opening{HTTP2: o})
	r.SetWindows(64 << 20)
	c, _ := r.h2(t)
	began := time.Now()
	res, err := c.Post("http://"+longRoad(t, r.addr, roundTrip/2), "", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	took := time.Since(began)
	t.Logf("%s: %.1f MB/s", took, size/1e6/took.Seconds())
	// With the window that it begins with it would take a round trip for each 64 KiB: 12.8 s.
	if n := <-got; n != size || took > size>>16*roundTrip/2 {
		t.Errorf("%d bytes in %s", n, took)
	}
	labtest.Eventually(t, 10*time.Second, "the stream's room is given back", func() error {
		if n, _ := r.Windows(); n != 0 || r.H2Counts(core.Server).OpenStreams != 0 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
	c.CloseIdleConnections()
}
