package storaged

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/storaged/internal/blob"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
	"github.com/everup/everup/shared/metric"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

// crashDir, in the environment, makes the test binary a store in that directory until it is killed.
const crashDir = "STORAGED_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := beStore(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beStore(dir string) error {
	s, err := newService(dir, nil)
	if err != nil {
		return err
	}
	fmt.Println(s.ln.Addr())
	return s.Run(context.Background())
}

// newService makes a service below dir with a floor of its own; events are off, so that it needs no bus.
func newService(dir string, change func(*Config)) (*Service, error) {
	var c Config
	conf.SetDefaults(&c)
	c.Listen, c.Events, c.Dir = "127.0.0.1:0", false, filepath.Join(dir, "data")
	if change != nil {
		change(&c)
	}
	set, err := netio.NewSet()
	if err != nil {
		return nil, err
	}
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil && !errors.Is(err, fault.Conflict) {
		return nil, err
	}
	return New(&c, &daemon.Env{
		Node: "n1", Log: zerolog.Nop(), Metrics: metric.NewRegistry("everup_storaged"), Health: health.NewRegistry(), Net: set, State: st,
		Announce: func(f func(*member.Announcement)) { f(&member.Announcement{}) },
	})
}

// start runs a service and returns its URL and what ends it.
func start(t *testing.T, s *Service) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return "http://" + s.ln.Addr().String(), stop
}

func send(method, url, body string) (int, string, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestServiceServesAndRestarts(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		s, err := newService(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		url, stop := start(t, s)
		want := []int{http.StatusCreated, http.StatusNoContent}[round]
		if code, _, err := send("PUT", url+"/a", "hello"); code != want || err != nil {
			t.Errorf("round %d: %d, %v", round, code, err)
		}
		if _, err := newService(dir, nil); !errors.Is(err, fault.Conflict) {
			t.Errorf("two daemons in one directory: %v", err)
		}
		if st := s.Status().(Status); st.Objects != 1 || st.Bytes != 5 {
			t.Errorf("%+v", st)
		}
		stop()
	}
}

func TestDrainFinishesUploads(t *testing.T) {
	s, err := newService(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, s)
	body, feed := io.Pipe()
	put := make(chan string, 1)
	go func() {
		req, _ := http.NewRequest("PUT", url+"/a", body)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			put <- err.Error()
			return
		}
		resp.Body.Close()
		put <- resp.Status
	}()
	io.WriteString(feed, strings.Repeat("x", 64<<10))
	labtest.Eventually(t, 15*time.Second, "the upload to begin", func() error {
		left, err := os.ReadDir(filepath.Join(s.dir.Path(), "incoming"))
		left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "probe-") }) // of watchDisk
		if len(left) == 0 {
			return fmt.Errorf("none: %v", err)
		}
		return nil
	})
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	select {
	case err := <-drained:
		t.Fatalf("drained with an upload under way: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	feed.Close()
	if got := <-put; got != "201 Created" {
		t.Errorf("the upload: %s", got)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	s, err := newService(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, s)
	c := s.cfg
	c.MaxObject = 3
	if err := s.Reload(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	if code, _, err := send("PUT", url+"/a", "hello"); code != 413 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	c.Dir, c.MaxObject = "/elsewhere", 100
	if err := s.Reload(t.Context(), &c); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "dir") {
		t.Errorf("%v", err)
	}
	if code, _, err := send("PUT", url+"/a", "hello"); code != 413 || err != nil {
		t.Errorf("after a refused reload: %d, %v", code, err)
	}
}

// A disk that went read-only, or lost a directory, must show before somebody needs it, and clear when it is back.
func TestUnwritableDiskIsShown(t *testing.T) {
	s, err := newService(t.TempDir(), func(c *Config) { c.Reserve = 0 })
	if err != nil {
		t.Fatal(err)
	}
	start(t, s)
	incoming := filepath.Join(s.dir.Path(), "incoming")
	f := func(want bool) {
		t.Helper()
		s.lookAtDisk()
		if got := s.env.Health.Worst() == health.Fail; got != want {
			t.Errorf("shown as failed: %v, want %v", got, want)
		}
	}
	f(false)
	if err := os.Rename(incoming, incoming+".away"); err != nil {
		t.Fatal(err)
	}
	f(true)
	if err := os.Rename(incoming+".away", incoming); err != nil {
		t.Fatal(err)
	}
	f(false)
}

// Over a unix socket there is no address that allow_write could name: who may connect may write.
func TestUnixSocketClientsMayWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	s, err := newService(dir, func(c *Config) { c.Listen, c.AllowWrite = conf.Addr("unix:"+path), nil })
	if err != nil {
		t.Fatal(err)
	}
	start(t, s)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest("PUT", "http://storaged/a", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("PUT: %s", resp.Status)
	}
}

func TestJudge(t *testing.T) {
	f := func(free, total, reserve int64, want health.Level) {
		t.Helper()
		if got, _ := judge(blob.Space{Free: free, Total: total}, reserve); got != want {
			t.Errorf("%d of %d free, %d reserved: %v, want %v", free, total, reserve, got, want)
		}
	}
	f(500, 1000, 10, health.OK)
	f(99, 1000, 10, health.Warn)
	f(300, 1000, 100, health.Warn)
	f(9, 1000, 10, health.Fail)
	f(0, 1000, 0, health.Fail)
}

// TestKillLoop kills the store again and again while clients write: whatever was acknowledged must be there, whole, after the restart.
// Kill -9 does not lose what the kernel holds; that files and directories are synced is what TestSyncsBeforeAnswer looks at.
func TestKillLoop(t *testing.T) {
	dir := t.TempDir()
	want := map[string]string{}  // what was acknowledged last
	maybe := map[string]string{} // sent after that, with no answer
	rnd := rand.New(rand.NewPCG(3, 4))
	const rounds, least = 6, 20
	for round := 0; round < rounds || len(want) < least && round < 10*rounds; round++ { // a busy disk takes more
		url, kill := spawn(t, dir)
		verify(t, url, want, maybe)
		clear(maybe)
		writeUntilKilled(t, url, round, want, maybe, kill, time.Duration(50+rnd.IntN(250))*time.Millisecond)
	}
	url, kill := spawn(t, dir)
	verify(t, url, want, maybe)
	kill()
	if len(want) < least {
		t.Errorf("only %d objects were acknowledged", len(want))
	}
}

// spawn starts a store in a process of its own.
func spawn(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() { once.Do(func() { cmd.Process.Kill(); cmd.Wait() }) }
	t.Cleanup(kill)
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the store did not start: %v", err)
	}
	return "http://" + strings.TrimSpace(addr), kill
}

// writeUntilKilled lets four clients write names of their own, new and old, until the store is gone.
func writeUntilKilled(t *testing.T, url string, round int, want, maybe map[string]string, kill func(), after time.Duration) {
	t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("c%d/%d", c, i%12)
				body := strings.Repeat(fmt.Sprintf("%d.%d.%d ", round, c, i), 1+i*97%5000)
				code, _, err := send("PUT", url+"/"+name, body)
				mu.Lock()
				if err == nil && (code == 201 || code == 204) {
					want[name] = body
				} else {
					maybe[name] = body
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	time.AfterFunc(after, kill)
	clients.Wait()
	kill()
}

// verify reads every object: it must be what was acknowledged or, whole, what was sent last without an answer.
func verify(t *testing.T, url string, want, maybe map[string]string) {
	t.Helper()
	for name, body := range want {
		code, got, err := send("GET", url+"/"+name, "")
		if err != nil || code != 200 || got != body && got != maybe[name] {
			t.Fatalf("%s: %d, %d bytes, %v; acknowledged were %d bytes", name, code, len(got), err, len(body))
		}
		want[name] = got
	}
}
