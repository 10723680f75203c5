package lbd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/lbd/internal/config"
	"github.com/everup/everup/services/lbd/internal/pool"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv("LBD_TEST_BACKEND"); addr != "" {
		serveBackend(addr)
		return
	}
	os.Exit(m.Run())
}

// serveBackend is a backend as a process of its own, which speaks HTTP/1.1 and h2c and answers with its address. There is nothing behind
// the head, which goes out at once: an answer that is cut behind it cannot be had from another.
func serveBackend(addr string) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Who", addr) })}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Serve(ln)
}

func TestBalancesOverMembers(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	b := start(t, poolYAML("", a.addr, z.addr))
	c := client(t)
	for range 20 {
		if code, _ := get(t, c, b.url("/")); code != 200 {
			t.Fatalf("status %d", code)
		}
	}
	if a.hits.Load() != 10 || z.hits.Load() != 10 {
		t.Errorf("hits %d and %d, want 10 each", a.hits.Load(), z.hits.Load())
	}
}

func TestRoutesByHostAndPath(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	b := start(t, "routes:\n  - {host: '*.img.test', pool: z}\n  - {path: /files, pool: z}\n  - {host: a.test, pool: a}\n"+
		"pools:\n  a: {members: [{addr: '"+a.addr+"'}]}\n  z: {members: [{addr: '"+z.addr+"'}]}\n")
	f := func(host, path string, code int, body string) {
		t.Helper()
		req, _ := http.NewRequest("GET", b.url(path), nil)
		req.Host = host
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		if res.StatusCode != code || string(got) != body {
			t.Errorf("%s%s: %d %q, want %d %q", host, path, res.StatusCode, got, code, body)
		}
	}
	f("A.test:80", "/", 200, "a")
	f("x.img.test", "/", 200, "z")
	f("a.test", "/files/1", 200, "z")
	f("other.test", "/files", 200, "z")
	f("other.test", "/", 404, "404 Not Found\n")
	f("a.test", "/x/%2e%2e/y", 400, "400 Bad Request\n")
}

func TestNoGetIsLostWhenABackendDies(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	b := start(t, poolYAML("", a.addr, z.addr))
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		waitHits(t, a, 200)
		a.Listener.Close()
		a.CloseClientConnections()
		b.waitMember(a.addr, "down")
		waitHits(t, z, z.hits.Load()+200)
	}()
	n, failed := load(t, 16, b.url("/"), stop)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(failed), n, failed[:min(3, len(failed))])
	}
	t.Logf("%d requests", n)
}

func waitHits(t testing.TB, n *named, want int64) {
	labtest.Eventually(t, patience, "the backend is asked", func() error {
		if n.hits.Load() < want {
			return context.DeadlineExceeded
		}
		return nil
	})
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	one, two := poolYAML("", a.addr, z.addr), poolYAML("    balance: least\n    timeout: 50s\n", a.addr)
	b := start(t, one)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for i := 0; a.hits.Load()+z.hits.Load() < 1000 || i < 20; i++ {
			<-tick.C
			b.set([]string{two, one}[i%2])
			if _, err := b.Reload(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}()
	n, failed := load(t, 8, b.url("/"), stop)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(failed), n, failed[:min(3, len(failed))])
	}
	t.Logf("%d requests", n)
}

func TestReloadKeepsHealthAndRefusesWhatNeedsARestart(t *testing.T) {
	a := backend(t, "a")
	b := start(t, poolYAML("", a.addr))
	b.waitMember(a.addr, "up")
	b.reload(poolYAML("    timeout: 5s\n", a.addr))
	if s := b.service().poolStatus()[0].Members[0].State; s != "up" {
		t.Errorf("after the reload the member is %s", s)
	}
	b.set("max_header: 8KiB\n" + poolYAML("", a.addr))
	if _, err := b.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "max_header") {
		t.Errorf("error %v, want one about max_header", err)
	}
	if code, _ := get(t, client(t), b.url("/")); code != 200 {
		t.Errorf("status %d", code)
	}
}

func TestReloadChangesListeners(t *testing.T) {
	a, one, two := backend(t, "a"), labtest.FreeAddr(t), labtest.FreeAddr(t)
	b := start(t, "listen: ['"+one+"']\n"+poolYAML("", a.addr))
	kept := client(t)
	get(t, kept, "http://"+one)
	b.reload("listen: ['" + two + "', '" + one + "']\n" + poolYAML("", a.addr))
	get(t, client(t), "http://"+two)
	b.reload("listen: ['" + two + "']\n" + poolYAML("", a.addr))
	get(t, kept, "http://"+one) // an open connection lives on
	if c, err := net.Dial("tcp", one); err == nil {
		c.Close()
		t.Error("a listener that is gone still accepts")
	}
	get(t, client(t), "http://"+two)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	b.set("listen: ['" + busy.Addr().String() + "']\n" + poolYAML("", a.addr))
	if _, err := b.Reload(t.Context()); err == nil {
		t.Error("a port in use was accepted")
	}
	get(t, client(t), "http://"+two)
}

// command runs a verb of lbd's and returns what it prints.
func command(b *balancer, args ...string) string {
	b.t.Helper()
	var out, errs bytes.Buffer
	code := cli.Execute(b.t.Context(), daemon.Command(Spec()), append(args, "--socket", socketOf(b)), &out, &errs)
	if code != 0 {
		b.t.Fatalf("%v: exit %d: %s", args, code, errs.String())
	}
	return out.String()
}

func TestOverridesSurviveARestart(t *testing.T) {
	a, z := backend(t, "a"), backend(t, "z")
	b := start(t, poolYAML("", a.addr, z.addr))
	if out := command(b, "pool", "drain", "web", a.addr, "--reason", "disk", "--for", "1h"); !strings.Contains(out, "drained") {
		t.Errorf("drain printed %q", out)
	}
	b.stop()
	b = startIn(t, b.dir, poolYAML("", a.addr, z.addr))
	before := a.hits.Load()
	c := client(t)
	for range 10 {
		get(t, c, b.url("/"))
	}
	if n := a.hits.Load() - before; n != 0 {
		t.Errorf("the drained member got %d requests", n)
	}
	command(b, "pool", "undrain", "web", a.addr)
	command(b, "pool", "weight", "web", z.addr, "0")
	b.waitMember(a.addr, "up")
	for range 4 {
		if _, body := get(t, c, b.url("/")); body != "a" {
			t.Errorf("weight 0 got a request")
		}
	}
	if out := command(b, "pool", "list"); !strings.Contains(out, "web") || !strings.Contains(out, a.addr) {
		t.Errorf("list printed %q", out)
	}
	var out, errs bytes.Buffer
	if code := cli.Execute(t.Context(), daemon.Command(Spec()), []string{"pool", "drain", "web", "nobody:1", "--socket", socketOf(b)}, &out, &errs); code != 3 {
		t.Errorf("draining a stranger: exit %d, want 3: %s", code, errs.String())
	}
}

func TestAllDownIs503AndToldEverywhere(t *testing.T) {
	a := backend(t, "a")
	b := start(t, "reason_header: true\n"+poolYAML("", a.addr))
	b.waitMember(a.addr, "up")
	a.Close()
	b.waitMember(a.addr, "down")
	res, err := client(t).Get(b.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "1" || res.Header.Get("X-Everup-Reason") != "no-member" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	b.wantEvents("pool-empty")
	var kinds []string
	for _, e := range b.Env().Bus.Recent(100) {
		if strings.HasPrefix(e.Kind, "pool-") {
			kinds = append(kinds, e.Kind)
		}
	}
	if diff := cmp.Diff([]string{"pool-member-up", "pool-member-down", "pool-empty"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if ok, why := b.Env().Health.Ready(); !ok {
		t.Errorf("a pool without members makes lbd not ready: %v", why)
	}
	labtest.Eventually(t, patience, "the 5xx is counted", func() error { // which it is once the answer is sent
		if m := metrics(t, b); !strings.Contains(m, `everup_lbd_requests_total{pool="web",class="5xx"} 1`) {
			return errors.New(m)
		}
		return nil
	})
}

func metrics(t testing.TB, b *balancer) string {
	var out strings.Builder
	if err := b.Env().Metrics.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestDrainEndsWhatIsUnderWay(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(entered)
			<-finish
		}
		io.WriteString(w, "done")
	})
	b := start(t, poolYAML("", slow))
	kept := client(t)
	get(t, kept, b.url("/"))
	answer := make(chan string, 1)
	go func() { answer <- tryGet(client(t), b.url("/slow")) }()
	<-entered
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { drained <- b.service().Drain(ctx) }()
	labtest.Eventually(t, patience, "nobody is accepted", func() error {
		c, err := net.Dial("tcp", b.addr)
		if err == nil {
			c.Close()
			return context.DeadlineExceeded
		}
		return nil
	})
	res, err := kept.Get(b.url("/")) // within the pause
	if err != nil {
		t.Fatalf("a kept connection was cut: %v", err)
	}
	res.Body.Close()
	if !res.Close {
		t.Error("the answer on a kept connection does not say that it closes")
	}
	close(finish)
	if why := <-answer; why != "" {
		t.Errorf("the request under way failed: %s", why)
	}
	if err := <-drained; err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainCutsTunnelsAtItsEnd(t *testing.T) {
	b := start(t, poolYAML("", upgrader(t)))
	c, _ := dialUpgrade(t, b.addr)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := b.service().Drain(ctx)
	if err == nil || !strings.Contains(err.Error(), "1 of them upgraded") {
		t.Errorf("drain: %v", err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the tunnel lives on")
	}
}

func TestAccessLogReachesSyslog(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a := backend(t, "a")
	b := start(t, "access_log: {syslog: '"+ln.Addr().String()+"'}\n"+poolYAML("", a.addr))
	get(t, client(t), b.url("/hello?x=1"))
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := ln.Accept() // the sender connects with the first line
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<134>1 ", " n1 lbd ", " access ", `"GET /hello?x=1 HTTP/1.1" 200 1 `, "pool=web member=" + a.addr + " retries=0"} {
		if !strings.Contains(string(buf[:n]), want) {
			t.Errorf("%q lacks %q", buf[:n], want)
		}
	}
}

func TestMembersFromGossip(t *testing.T) {
	at := netip.MustParseAddrPort
	m := func(id string, s member.State, addr string, draining bool) member.Member {
		return member.Member{ID: member.ID(id), Service: "storaged", State: s, Announcement: member.Announcement{
			Weight: 100, Draining: draining, Endpoints: []member.Endpoint{{Name: "http", Proto: "tcp", Addr: at(addr)}},
		}}
	}
	v := member.View{Members: []member.Member{
		m("a", member.Alive, "10.0.0.1:80", false), m("b", member.Dead, "10.0.0.2:80", false),
		m("c", member.Dead, "10.0.0.3:80", false), m("d", member.Left, "10.0.0.4:80", false), m("e", member.Alive, "10.0.0.5:80", true),
	}}
	up := func(id pool.ID) bool { return id != "10.0.0.3:80" }
	got := fromGossip(&config.From{Service: "storaged", Endpoint: "http"}, v, up)
	want := []pool.Spec{{ID: "10.0.0.1:80", Weight: 100}, {ID: "10.0.0.2:80", Weight: 100}, {ID: "10.0.0.5:80", Weight: 100, Drain: pool.Drained}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestCurl(t *testing.T) {
	labtest.Needs(t, "curl")
	a := backend(t, "a")
	b := start(t, poolYAML("", a.addr))
	f := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command("curl", append([]string{"-sS", "-m", "20", "-w", " %{http_code}"}, args...)...).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("curl %v: %q, %v, want %q", args, out, err, want)
		}
	}
	f("a 200", b.url("/"))
	f("a 200", "-T", "lbd_test.go", b.url("/put"))
	f("a 200", "-H", "Transfer-Encoding: chunked", "-d", "@lbd_test.go", b.url("/post"))
	f("a 200", "-H", "Expect: 100-continue", "--data-binary", "@lbd_test.go", b.url("/post"))
	f("a 200", "-0", b.url("/"))
}

func TestConfigStruct(t *testing.T) {
	if err := conf.CheckStruct(Config{}); err != nil {
		t.Error(err)
	}
}
