package lbd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
)

// patience bounds waits that end long before on a machine that is not overloaded.
const patience = 20 * time.Second

// balancer is an lbd in this process.
type balancer struct {
	*daemon.Instance[Config]
	t      testing.TB
	dir    string
	addr   string
	cancel context.CancelFunc
	ended  chan error

	mu   sync.Mutex
	yaml string
}

// parse reads a configuration. DIR stands for the test's directory.
func parse(t testing.TB, dir, yaml string) daemon.Loaded[Config] {
	t.Helper()
	l, err := tryParse(dir, yaml)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tryParse(dir, yaml string) (daemon.Loaded[Config], error) {
	yaml = "node: n1\nstate: " + dir + "/state\nadmin: {socket: " + dir + "/admin.sock}\n" + yaml
	var c Config
	doc, err := conf.Parse("lbd.yaml", []byte(yaml), &c, conf.Options{})
	return daemon.Loaded[Config]{Config: &c, Doc: doc}, err
}

// start runs lbd with the configuration, on a free port, until it is ready.
func start(t testing.TB, yaml string) *balancer {
	t.Helper()
	dir, err := os.MkdirTemp("", "lbd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return startIn(t, dir, yaml)
}

func startIn(t testing.TB, dir, yaml string) *balancer {
	t.Helper()
	b := &balancer{t: t, dir: dir, ended: make(chan error, 1)}
	b.set(yaml)
	load := func() (daemon.Loaded[Config], error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return tryParse(dir, b.yaml)
	}
	inst, err := daemon.New(Spec(), parse(t, dir, b.yaml), load, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	b.Instance = inst
	b.addr = inst.Service().Status().(Status).Listen[0]
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { b.ended <- inst.Run(ctx) }()
	t.Cleanup(b.stop)
	select {
	case <-inst.Ready():
	case <-time.After(patience):
		t.Fatalf("not ready: %v", inst.StatusLine())
	}
	return b
}

// set is the configuration that the next reload reads.
func (b *balancer) set(yaml string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !strings.Contains(yaml, "listen:") {
		yaml = "listen: [127.0.0.1:0]\n" + yaml
	}
	b.yaml = yaml
}

func (b *balancer) reload(yaml string) {
	b.t.Helper()
	b.set(yaml)
	if _, err := b.Reload(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *balancer) stop() {
	b.cancel()
	select {
	case err := <-b.ended:
		b.ended <- nil
		if err != nil {
			b.t.Errorf("lbd ended with %v", err)
		}
	case <-time.After(patience):
		b.t.Error("lbd does not end")
	}
}

func (b *balancer) service() *Service { return b.Service().(*Service) }

func (b *balancer) url(path string) string { return "http://" + b.addr + path }

// waitMember waits until a member's check says state.
func (b *balancer) waitMember(addr, state string) {
	b.t.Helper()
	labtest.Eventually(b.t, patience, addr+" is "+state, func() error {
		for _, p := range b.service().poolStatus() {
			for _, m := range p.Members {
				if string(m.ID) == addr && string(m.State) == state {
					return nil
				}
			}
		}
		return fmt.Errorf("pools: %+v", b.service().poolStatus())
	})
}

// named is a backend that answers with its name and counts.
type named struct {
	*httptest.Server
	addr string
	hits atomic.Int64
}

func backend(t testing.TB, name string) *named {
	n := &named{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.hits.Add(1)
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, name)
	}))
	n.addr = n.Listener.Addr().String()
	t.Cleanup(n.Close)
	return n
}

// poolYAML is a configuration with one route and one pool.
func poolYAML(extra string, addrs ...string) string {
	var b strings.Builder
	b.WriteString("routes: [{pool: web}]\npools:\n  web:\n    check: {interval: 200ms, timeout: 200ms}\n    members:\n")
	for _, a := range addrs {
		b.WriteString("      - {addr: \"" + a + "\"}\n")
	}
	return b.String() + extra
}

// client returns a client with connections of its own.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// load sends GETs from so many clients until stop, and returns how many there were and what failed.
func load(t testing.TB, clients int, url string, stop <-chan struct{}) (n int, failed []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range clients {
		c := client(t)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				why := tryGet(c, url)
				mu.Lock()
				n++
				if why != "" {
					failed = append(failed, why)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n, failed
}

// tryGet returns why a GET failed, "" if it did not.
func tryGet(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err.Error()
	}
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return ""
}

// raw sends bytes and returns all that comes back until the connection closes.
func raw(t testing.TB, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, send)
	var b bytes.Buffer
	if _, err := io.Copy(&b, c); err != nil {
		t.Logf("after %q: %v", b.String(), err)
	}
	return b.String()
}

func socketOf(b *balancer) string { return filepath.Join(b.dir, "admin.sock") }
