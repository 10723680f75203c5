package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// crowd asks for a page at a steady rate until it is stopped, and keeps what failed.
type crowd struct {
	begun time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	answered atomic.Int64
	mu       sync.Mutex
	failed   []error
	by       map[string]int // answers by content
}

// getter is a client that asks nothing twice.
type getter interface {
	// get asks for a page and returns its content. Another status than 200 is an error.
	get(path string) (string, error)
	close()
}

// startCrowd asks so many times in a second, by so many clients that keep their connections.
func startCrowd(t *testing.T, addr, path string, clients, rate int) *crowd {
	return startCrowdOf(t, path, clients, rate, func(int) getter { return &keeper{addr: addr} })
}

// startCrowdOf is startCrowd by clients that are made by their numbers.
func startCrowdOf(t *testing.T, path string, clients, rate int, open func(i int) getter) *crowd {
	c := &crowd{begun: time.Now(), stop: make(chan struct{}), by: map[string]int{}}
	every := time.Second * time.Duration(clients) / time.Duration(rate)
	for i := range clients {
		c.wg.Go(func() { c.client(open(i), path, every) })
	}
	t.Cleanup(c.end)
	return c
}

// client asks at each tick, or as soon as it can where it is late.
func (c *crowd) client(k getter, path string, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer k.close()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		body, err := k.get(path)
		c.mu.Lock()
		if err != nil {
			c.failed = append(c.failed, err)
		} else {
			c.by[body]++
		}
		c.mu.Unlock()
		c.answered.Add(1)
	}
}

// more waits for so many answers more.
func (c *crowd) more(t *testing.T, n int64) {
	t.Helper()
	want := c.answered.Load() + n
	labtest.Eventually(t, patience, "requests are answered", func() error {
		if got := c.answered.Load(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// from returns how many answers were of that content.
func (c *crowd) from(body string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[body]
}

// end stops the clients. It may be called again.
func (c *crowd) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.wg.Wait()
}

// judge ends the crowd and fails the test for each request that failed.
func (c *crowd) judge(t *testing.T) {
	t.Helper()
	c.end()
	n := c.answered.Load()
	t.Logf("%d requests, %.0f a second, %d failed; by answer: %v", n, float64(n)/time.Since(c.begun).Seconds(), len(c.failed), c.by)
	for i, err := range c.failed {
		if i == 10 {
			break
		}
		t.Errorf("a request failed: %v", err)
	}
}

// keeper is a client that keeps its connection.
type keeper struct {
	addr string
	conn net.Conn // nil: none
	in   *bufio.Reader
}

func (k *keeper) get(path string) (string, error) {
	if k.conn == nil {
		conn, err := net.Dial("tcp", k.addr)
		if err != nil {
			return "", err
		}
		k.conn, k.in = conn, bufio.NewReader(conn)
	}
	k.conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(k.conn, "GET "+path+" HTTP/1.1\r\nHost: a.test\r\n\r\n")
	res, err := http.ReadResponse(k.in, nil)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(res.Body)
	}
	if err != nil || res.Close {
		k.close()
	}
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.100q", res.Status, body)
	}
	return string(body), err
}

func (k *keeper) close() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// named adds a page that says who answers, and an endless one.
func (o *origin) named(name string) *origin {
	o.mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, name) })
	o.mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for piece := video()[:64<<10]; ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	return o
}

// TestReloadUnderLoad reloads again and again, with other routes and pools each time: 500 WebSockets live on, and of a thousand
// requests a second none fails.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	a, b := startOrigin(t).named("a"), startOrigin(t).named("b")
	addr := labtest.FreeAddr(t)
	config := func(n int) string {
		return fmt.Sprintf("listen: [%q]\nroutes: [{name: r%d, path: [/who, /old%d], pool: p%d}, {name: s%d, path: /socket, pool: q%d}]\npools: {p%d: %s, q%d: %s}\n", addr,
			n, n, n, n, n, n, poolYAML("", []string{a.addr, b.addr}[n%2]), n, poolYAML("", []string{b.addr, a.addr}[n%2]))
	}
	p := startProgram(t, addr, config(0))
	sockets := openSockets(t, addr, 500)
	load := startCrowd(t, addr, "/who", 20, 1000)
	load.more(t, 100)
	for n := 1; n <= 6; n++ {
		p.reload(config(n))
		load.more(t, 250)
		for i := n; i < len(sockets); i += 6 { // some at each time: the rest is silent meanwhile
			if err := sockets[i].echo(fmt.Sprint("reload ", n)); err != nil {
				t.Fatalf("socket %d after reload %d: %v", i, n, err)
			}
		}
	}
	load.judge(t)
	echoAll(t, sockets)
	if load.from("a") == 0 || load.from("b") == 0 {
		t.Errorf("the reloads changed nothing: answers %v", load.by)
	}
}

// TestRemovedRoute: a reload removes a route with its pool. What is under way on it goes on; the next request sees the new routes, on a
// connection from before too.
func TestRemovedRoute(t *testing.T) {
	t.Parallel()
	a, b := startOrigin(t).named("a"), startOrigin(t).named("b")
	addr := labtest.FreeAddr(t)
	p := startProgram(t, addr, fmt.Sprintf("listen: [%q]\nroutes: [{name: kept, path: /kept, answer: {body: kept}}, {name: old, pool: old}]\npools: {old: %s}\n",
		addr, poolYAML("", a.addr)))
	old := &keeper{addr: addr}
	defer old.close()
	if body, err := old.get("/who"); err != nil || body != "a" {
		t.Fatalf("%q, %v", body, err)
	}
	s, err := dialSocket(addr, "/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := http.Get("http://" + addr + "/endless")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	download := func(n int64) {
		t.Helper()
		if got, err := io.CopyN(io.Discard, res.Body, n); err != nil {
			t.Fatalf("the download ended after %d bytes more: %v", got, err)
		}
	}
	download(1 << 20)
	p.reload(fmt.Sprintf("listen: [%q]\nroutes: [{name: new, path: /who, pool: new}]\npools: {new: %s}\n", addr, poolYAML("", b.addr)))
	for range 20 {
		if body, err := old.get("/who"); err != nil || body != "b" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	for _, path := range []string{"/endless", "/socket", "/kept"} {
		if _, err := old.get(path); err == nil || !strings.HasPrefix(err.Error(), "404 ") {
			t.Errorf("%s, which no route has any more: %v", path, err)
		}
	}
	for i := range 20 { // more than any buffer on the way holds
		download(4 << 20)
		if err := s.echo(fmt.Sprint("still there ", i)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := p.verb("pool", "list")
	if err != nil || strings.Contains(out, a.addr) || !strings.Contains(out, b.addr) {
		t.Errorf("pools: %v\n%s", err, out)
	}
}
