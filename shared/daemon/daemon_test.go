package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/cli"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/netio"
	"github.com/everup/everup/shared/run"
	"github.com/google/go-cmp/cmp"
)

func TestStandAlone(t *testing.T) {
	labtest.LeakCheck(t)
	h := newHost(t, "")
	in, stop := h.start(t, "toy", "")
	<-in.Ready()
	s, err := ask[Status](t, h, "toy", "GET", "/v1/status")
	if err != nil || !s.Ready || s.Bus != bus.Off || s.Fleet != standAlone || s.Members != 1 || s.Node != "n1" {
		t.Errorf("status: %+v, %v", s, err)
	}
	f, err := ask[FleetStatus](t, h, "toy", "GET", "/v1/fleet")
	if err != nil || len(f.Daemons) != 1 || len(f.Silent) != 0 {
		t.Errorf("fleet: %+v, %v", f, err)
	}
	stop()
	if d := cmp.Diff([]string{"drained", "ended"}, in.Service().(*toy).called); d != "" {
		t.Errorf("order of the stop: -want +got\n%s", d)
	}
	if _, err := ask[Status](t, h, "toy", "GET", "/v1/status"); fault.Of(err) != fault.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}

func TestTwoCannotShareAState(t *testing.T) {
	h := newHost(t, "")
	h.start(t, "toy", "")
	l, err := readConfig[toyConfig](h.path("toy.yaml"), conf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(toySpec("toy"), l, nil, io.Discard)
	if fault.Of(err) != fault.Conflict || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second daemon on the same state: %v", err)
	}
}

func TestReload(t *testing.T) {
	h := newHost(t, "")
	in, _ := h.start(t, "toy", "")
	word := func() string { return in.Service().Status().(map[string]string)["word"] }
	before := in.Status().Config.Hash

	h.write(t, "toy", "word: bye\nlog: {level: debug}\nlimits: {drain: 1s}\n")
	r, err := ask[ReloadResult](t, h, "toy", "POST", "/v1/reload")
	if err != nil || !r.Changed || r.Hash == before || !slices.Equal(r.Restart, []string{"limits"}) || word() != "bye" {
		t.Errorf("a good file: %+v, %v, word %s", r, err, word())
	}
	if l := in.floor.logs.Level(); l != "debug" {
		t.Errorf("log level %s", l)
	}
	bad := func(tail, want string) {
		t.Helper()
		h.write(t, "toy", tail)
		_, err := ask[ReloadResult](t, h, "toy", "POST", "/v1/reload")
		if fault.Of(err) != fault.Config || !strings.Contains(err.Error(), want) || word() != "bye" {
			t.Errorf("%q: %v, word %s", tail, err, word())
		}
		if s := in.Status(); s.Config.Error == "" || s.Config.Hash != r.Hash || !s.Ready {
			t.Errorf("%q: status %+v", tail, s.Config)
		}
	}
	bad("word: [\n", "toy.yaml:4:")
	bad("wrod: hello\nlog: {level: loud}\n", "toy.yaml:4:1: wrod: ")
	bad("wrod: hello\nlog: {level: loud}\n", "toy.yaml:5:14: log.level: ")
	bad("word: refused\n", "that word is refused")

	h.write(t, "toy", "word: hello\n")
	if _, err := ask[ReloadResult](t, h, "toy", "POST", "/v1/reload"); err != nil || word() != "hello" || in.Status().Config.Error != "" {
		t.Errorf("a good file again: %v, %+v", err, in.Status().Config)
	}
}

// A configuration that cannot be kept (a full disk) is in force all the same, and the daemon says so.
func TestNotKept(t *testing.T) {
	h := newHost(t, "")
	in, _ := h.start(t, "toy", "")
	<-in.Ready()
	kept := h.path("toy.state/" + lastGoodName)
	level := func() (l health.Level) {
		for _, it := range in.Env().Health.Snapshot() {
			if it.ID == itemKeep {
				l = it.Level
			}
		}
		return l
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(kept+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Reload(t.Context()); err != nil || level() != health.Warn {
		t.Errorf("reload: %v, level %v", err, level())
	}
	os.RemoveAll(kept)
	if _, err := in.Reload(t.Context()); err != nil || level() != health.OK {
		t.Errorf("reload with room again: %v, level %v", err, level())
	}
}

// Run by a user who may write neither place, the daemon says which keys mend it.
func TestNotWritable(t *testing.T) {
	h := newHost(t, "")
	if os.Geteuid() != 0 {
		t.Skip("needs root: to become another user")
	}
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := func(text, key string) {
		t.Helper()
		file := h.path("toy.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestToyProcess$")
		cmd.Env = []string{"TOY_CONFIG=" + file}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 1 || !strings.Contains(string(out), "set `"+key+"`") {
			t.Errorf("%q: %v: %s", text, err, out)
		}
	}
	f("node: n1\n", "state")
	open := h.path("open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Chmod(open, 0o777)
	f("node: n1\nstate: "+open+"/state\nadmin: {socket: "+h.path("no/toy.sock")+"}\n", "admin.socket")
	f("node: n1\nstate: "+open+"/state\nadmin: {socket: "+h.path("toy.sock")+"}\n", "admin.socket")
}

// TestToyProcess is the program that tests start as a process of its own.
func TestToyProcess(t *testing.T) {
	file := os.Getenv("TOY_CONFIG")
	if file == "" {
		return // not a test
	}
	if os.Getenv("TOY_SERVE") != "" {
		load := func() (Loaded[toyConfig], error) { return readConfig[toyConfig](file, options("toy")) }
		if err := Serve(context.Background(), toySpec("toy"), load, "elsewhere", os.Stderr); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(cli.Execute(context.Background(), Command(toySpec("toy")), []string{"run", "-c", file}, os.Stdout, os.Stderr))
}

// A real process: SIGHUP while the service is being made does not kill it but reloads afterwards; then what the service
// manager is told, in order, from the start to the end.
func TestProcess(t *testing.T) {
	h := newHost(t, "")
	file, fifo := h.write(t, "toy", "word: hello\n"), h.path("fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: h.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hears := func(want string) {
		t.Helper()
		manager.SetReadDeadline(time.Now().Add(20 * time.Second))
		for b := make([]byte, 4096); ; {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("the manager waits for %q: %v", want, err)
			}
			if got := string(b[:n]); strings.HasPrefix(got, want) {
				return
			} else if !strings.HasPrefix(got, "WATCHDOG=1") && !strings.HasPrefix(got, "STATUS=") && !strings.HasPrefix(got, "EXTEND_") {
				t.Errorf("the manager hears %q, want %q", got, want)
			}
		}
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestToyProcess$")
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.Env = []string{"TOY_CONFIG=" + file, "TOY_FIFO=" + fifo, "NOTIFY_SOCKET=" + h.path("notify"), "WATCHDOG_USEC=3000000"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	making, err := os.OpenFile(fifo, os.O_WRONLY, 0) // returns once New reads
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "toy", "word: bye\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	making.Close()
	hears("READY=1")
	hears("RELOADING=1\nMONOTONIC_USEC=")
	hears("READY=1")
	if s := h.becomesReady(t); s.Detail.(map[string]any)["word"] != "bye" {
		t.Errorf("after SIGHUP during the start: %+v", s.Detail)
	}
	h.write(t, "toy", "wrod: bye\n")
	cmd.Process.Signal(syscall.SIGHUP)
	hears("RELOADING=1")
	hears("READY=1\nSTATUS=ready; reload failed, the earlier configuration stays: ")
	cmd.Process.Signal(syscall.SIGTERM)
	hears("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, log.String())
	}
}

// Served from another front end, the daemon reloads by that one's loader, and SIGUSR1 stops it in order.
func TestServe(t *testing.T) {
	h := newHost(t, "")
	file := h.write(t, "toy", "word: hello\n")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestToyProcess$")
	cmd.Env = []string{"TOY_CONFIG=" + file, "TOY_SERVE=1"}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	h.becomesReady(t)
	h.write(t, "toy", "word: bye\n")
	if err := admin.Dial(h.path("toy.sock")).Do(t.Context(), "POST", "/v1/reload", nil, nil); err != nil {
		t.Error(err)
	}
	if s := h.becomesReady(t); s.Detail.(map[string]any)["word"] != "bye" {
		t.Errorf("after the reload: %+v", s.Detail)
	}
	cmd.Process.Signal(syscall.SIGUSR1)
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), `elsewhere`) {
		t.Errorf("ended with %v\n%s", err, log.String())
	}
}

// A stop waits for the reload under way, and none begins after it: it could open what the drain has closed.
func TestReloadAndStop(t *testing.T) {
	h := newHost(t, "")
	in, stop := h.start(t, "toy", "")
	<-in.Ready()
	toy := in.Service().(*toy)
	toy.hold = make(chan struct{})
	reloaded := make(chan error, 2)
	reload := func() { _, err := in.Reload(t.Context()); reloaded <- err }
	go reload()
	<-toy.hold // the service is in Reload
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	<-in.taking.Done() // the stop has begun
	go reload()
	if err := <-reloaded; fault.Of(err) != fault.Unavailable {
		t.Errorf("a reload during the stop: %v", err)
	}
	toy.hold <- struct{}{}
	if err := <-reloaded; err != nil {
		t.Errorf("the reload before the stop: %v", err)
	}
	<-stopped
	if d := cmp.Diff([]string{"reloaded", "drained", "ended"}, toy.called); d != "" {
		t.Errorf("order: -want +got\n%s", d)
	}
}

// What is left to be done for a service that has ended is nothing: no pause, no drain.
func TestServiceFails(t *testing.T) {
	labtest.LeakCheck(t)
	h := newHost(t, "limits: {not_ready: 5m}\n")
	l, err := readConfig[toyConfig](h.write(t, "toy", ""), conf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := New(toySpec("toy"), l, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	toy := in.Service().(*toy)
	close(toy.fail)
	err = run.Supervise(t.Context(), run.Life{Log: in.Env().Log, Serve: in.Run, Ready: in.Ready(), Stop: in.StopSteps(), Signals: make(chan os.Signal)})
	if fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), "toy: broken") {
		t.Errorf("ended with %v", err)
	}
	if len(toy.called) != 0 {
		t.Errorf("after the end: %v", toy.called)
	}
	if _, err := os.Stat(h.path("toy.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left behind: %v", err)
	}
}

// A service that cannot be made leaves nothing: no socket, no lock, no goroutine of a subscription.
func TestServiceCannotBeMade(t *testing.T) {
	labtest.LeakCheck(t)
	h := newHost(t, "")
	l, err := readConfig[toyConfig](h.write(t, "toy", ""), conf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := toySpec("toy")
	spec.New = func(_ *toyConfig, env *Env) (Service[toyConfig], error) {
		if _, err := env.Bus.Subscribe("", "", func(bus.Event) {}); err != nil {
			t.Error(err)
		}
		if _, err := env.Net.Listen("x", "unix", h.path("x.sock"), netio.Options{}); err != nil {
			t.Error(err)
		}
		return nil, fault.New(fault.Conflict, "toy: no")
	}
	for range 2 { // the second finds all free again
		if _, err = New(spec, l, nil, io.Discard); err == nil || err.Error() != "toy: no" {
			t.Errorf("made: %v", err)
		}
	}
	for _, name := range []string{"x.sock", "toy.sock"} {
		if _, err := os.Stat(h.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
}

// The command line end to end, in process: exit codes and what is printed.
func TestCommand(t *testing.T) {
	h := newHost(t, "")
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		got := cli.Execute(t.Context(), Command(toySpec("toy")), args, &out, &out)
		if got != code || !strings.Contains(out.String(), want) {
			t.Errorf("toy %v: exit %d\n%s\nwant %d, %q", args, got, out.String(), code, want)
		}
	}
	good := h.write(t, "toy", "word: bye\n")
	bad := h.path("bad.yaml")
	os.WriteFile(bad, []byte("wrod: hello\nlog: {level: loud}\n"), 0o600)
	f(0, "ok", "check", "-c", good)
	f(78, bad+`:1:1: wrod: unknown key (did you mean "word"?)`, "check", "-c", bad)
	f(78, bad+":2:14: log.level: ", "check", "-c", bad)
	// What only the floor can tell is told by `check` too.
	weak := h.path("weak.yaml")
	f2 := func(text, want string) {
		t.Helper()
		os.WriteFile(weak, []byte(text), 0o600)
		f(78, want, "check", "-c", weak)
	}
	f2("cluster: {fleet: demo, secrets: [tooshort]}\n", "weak.yaml:1:33: cluster.secrets: pki: secret 1 has 8 bytes")
	f2("cluster: {fleet: demo, listen: '192.0.2.1:7941'}\n", "weak.yaml:1:32: cluster.listen: 192.0.2.1:7941 can be reached by others")
	f2("bus: {mode: urls}\n", "weak.yaml:1:6: bus: mode urls takes 1 to 16 urls")
	f(78, "bad.yaml:1:1", "-c", bad) // run is the default verb, and there is no last good one
	f(78, "no such file", "run", "-c", h.path("none.yaml"))
	f(0, "word: bye", "config", "show", "-c", good)
	f(0, "toy.yaml:4:7", "config", "show", "--origin", "-c", good)
	f(0, "What the toy says", "config", "show", "--defaults")
	f(0, `"$schema"`, "config", "show", "--schema")
	f(4, "", "status", "-c", good)
	f(4, "", "reload", "-c", good)
	f(2, "unknown flag", "run", "--wrong")
	f(2, "unknown command", "wrong")
	f(0, "go1.", "version")

	in, _ := h.start(t, "toy", "word: bye\n")
	<-in.Ready()
	f(0, "ready", "status", "-c", good)
	f(0, "nothing changed", "reload", "-c", good)
	f(0, "word: bye", "config", "running", "-c", good)
	h.write(t, "toy", "wrod: bye\n") // the running daemon is found although its file is broken
	f(78, good+":4:1: wrod", "reload", "-c", good)
	f(0, "refused: ", "status", "-c", good)
}

// command runs `toy run` in this process, as main would, until stop is called; stop returns the exit code and the log.
func (h *host) command(t *testing.T, args ...string) (stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(ctx, Command(toySpec("toy")), append([]string{"run"}, args...), &out, &out)
	}()
	stop = sync.OnceValues(func() (int, string) { cancel(); return <-code, out.String() })
	t.Cleanup(func() { stop() })
	return stop
}

// becomesReady waits until toy answers that it is ready.
func (h *host) becomesReady(t *testing.T) (s Status) {
	t.Helper()
	labtest.Eventually(t, 10*time.Second, "toy is ready", func() (err error) {
		if s, err = ask[Status](t, h, "toy", "GET", "/v1/status"); err == nil && !s.Ready {
			err = errors.New("not ready")
		}
		return err
	})
	return s
}

func TestLastGood(t *testing.T) {
	h := newHost(t, "")
	file := h.write(t, "toy", "word: bye\n")
	runs := func(refusal string, args ...string) {
		t.Helper()
		stop := h.command(t, append([]string{"-c", file}, args...)...)
		s := h.becomesReady(t)
		if !strings.Contains(s.Config.Error, refusal) || refusal == "" && s.Config.Error != "" {
			t.Errorf("status says %q, want %q", s.Config.Error, refusal)
		}
		if w := s.Detail.(map[string]any)["word"]; w != "bye" {
			t.Errorf("runs with word %v", w)
		}
		if refusal != "" {
			h.write(t, "toy", "word: bye\n")
			if _, err := ask[ReloadResult](t, h, "toy", "POST", "/v1/reload"); err != nil {
				t.Error(err)
			}
			if s = h.becomesReady(t); s.Worst != 0 || s.Config.Error != "" {
				t.Errorf("after the file was mended: %+v", s)
			}
		}
		if code, log := stop(); code != 0 {
			t.Errorf("exit %d: %s", code, log)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		code := cli.Execute(t.Context(), Command(toySpec("toy")), append([]string{"run", "-c", file}, args...), &out, &out)
		if code != 78 || !strings.Contains(out.String(), want) {
			t.Errorf("exit %d: %s", code, out.String())
		}
	}
	runs("")
	h.write(t, "toy", "word: nonsense\n")
	runs("word: ")
	h.write(t, "toy", "word: unmade\n") // only the service can tell
	runs("nothing can be made")
	h.write(t, "toy", "word: nonsense\n")
	refused("word: ", "--strict")
	os.Remove(file)
	refused("no such file")

	kept := h.path("toy.state/" + lastGoodName)
	b, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	os.WriteFile(kept, b, 0o600)
	h.write(t, "toy", "word: nonsense\n")
	refused("cannot be used either")
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	h.write(t, "toy", "word: unmade\n")
	refused("nothing can be made") // and nothing was kept of it:
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused configuration was kept: %v", err)
	}
}

func TestPortInUseIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	h := newHost(t, "")
	file := h.write(t, "toy", "")
	b, _ := os.ReadFile(file)
	b = bytes.Replace(b, []byte("admin: {"), fmt.Appendf(nil, "admin: {http: '%s', ", ln.Addr()), 1)
	os.WriteFile(file, b, 0o600)
	var out bytes.Buffer
	code := cli.Execute(t.Context(), Command(toySpec("toy")), []string{"-c", file}, &out, &out)
	if code != 1 || !strings.Contains(out.String(), fmt.Sprint(os.Getpid())) || !strings.Contains(out.String(), ln.Addr().String()) {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestStatusTableShowsWhatTheServiceTells(t *testing.T) {
	f := func(detail, want string) {
		t.Helper()
		s := Status{Node: "n1", Service: "toy"}
		if err := json.Unmarshal([]byte(detail), &s.Detail); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := StatusTable(s).Write(&b, true); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(strings.Fields(b.String()), " "), want); !got {
			t.Errorf("%s: %q is missing in\n%s", detail, want, b.String())
		}
	}
	f(`{"summary":[{"name":"items","value":"12"},{"name":"","value":"a\u001b[31mb"}]}`, "items 12 a")
	f(`{"summary":"none"}`, "fleet")
	f(`[1]`, "fleet")
	f(`null`, "fleet")
}

// A stop that comes before the parts of the floor have begun is a stop like any other.
func TestStopAtOnce(t *testing.T) {
	h := newHost(t, fmt.Sprintf("cluster: {fleet: demo, listen: '%s'}\nbus: {mode: 'off'}\n", labtest.FreeAddr(t)))
	for range 20 {
		_, stop := h.start(t, "toy", "")
		stop()
	}
}
