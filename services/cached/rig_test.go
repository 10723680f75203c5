package cached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/conf"
	"github.com/everup/everup/shared/daemon"
	"github.com/everup/everup/shared/labtest"
)

// patience is how long a test waits for what should come at once, on a busy machine.
const patience = 30 * time.Second

// instance is a cached that runs in this process.
type instance struct {
	*daemon.Instance[Config]
	addr, file, socket string
	fixed, tail        string // of the configuration
	stop               func() // and wait for the end
}

// start runs cached with the given tail of a configuration until the test ends.
func start(t *testing.T, tail string) *instance {
	t.Helper()
	labtest.LeakCheck(t)
	return startNode(t, "n1", tail)
}

// startNode is start for a node of a fleet.
func startNode(t *testing.T, node, tail string) *instance {
	t.Helper()
	in := prepared(t, node, tail)
	in.run(t)
	return in
}

// prepared is an instance that does not run yet, so that the test can change fixed.
func prepared(t *testing.T, node, tail string) *instance {
	t.Helper()
	dir := t.TempDir()
	in := &instance{addr: labtest.FreeAddr(t), file: filepath.Join(dir, "cached.yaml"), socket: filepath.Join(dir, "sock"), tail: tail}
	in.fixed = fmt.Sprintf("node: %s\nstate: %s/state\nadmin: {socket: %s}\nlisten: ['%s']\n", node, dir, in.socket, in.addr)
	return in
}

// open makes the daemon of the instance, which then serves nothing yet.
func (in *instance) open(t *testing.T) error {
	t.Helper()
	in.configure(t, in.tail)
	load := func() (daemon.Loaded[Config], error) {
		c := new(Config)
		doc, err := conf.Load(in.file, c, conf.Options{})
		return daemon.Loaded[Config]{Config: c, Doc: doc}, err
	}
	l, err := load()
	if err == nil {
		in.Instance, err = daemon.New(Spec(), l, load, io.Discard)
	}
	return err
}

// run runs the instance until the test ends.
func (in *instance) run(t *testing.T) {
	t.Helper()
	if err := in.open(t); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	in.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("cached ended with: %v", err)
		}
	})
	t.Cleanup(in.stop)
}

func (in *instance) configure(t *testing.T, tail string) {
	t.Helper()
	if err := os.WriteFile(in.file, []byte(in.fixed+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (in *instance) service() *Service { return in.Service().(*Service) }

func (in *instance) dial(t *testing.T) *client {
	t.Helper()
	return dial(t, "tcp", in.addr)
}

// client is a connection and what reads its lines.
type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, network, addr string) *client {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return talk(t, c)
}

// talk makes a client of a connection, which ends with the test.
func talk(t *testing.T, c net.Conn) *client {
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * patience))
	return &client{c, bufio.NewReader(c), t}
}

// ask sends text, unless it is empty, and checks the lines that come back.
func (c *client) ask(text string, want ...string) {
	c.t.Helper()
	if text != "" { // even an empty write would wait for one of another goroutine
		if _, err := io.WriteString(c, text); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, w := range want {
		if line, err := c.r.ReadString('\n'); line != w+"\r\n" {
			c.t.Fatalf("after %.60q: %q, %v; want %q", text, line, err, w)
		}
	}
}

// ended checks that the server hung up.
func (c *client) ended(what string) {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) { // a reset is an end too
		c.t.Errorf("%s: read %q, %v; want the end", what, b, err)
	}
}

// stats returns what the command stats says, of a group or in general.
func (c *client) stats(group ...string) map[string]string {
	c.t.Helper()
	io.WriteString(c, strings.Join(append([]string{"stats"}, group...), " ")+"\r\n")
	out := map[string]string{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		f := strings.Fields(line)
		if f[0] == "END" {
			return out
		}
		if f[0] != "STAT" || len(f) < 2 {
			c.t.Fatalf("stats %v: %q", group, line)
		}
		out[f[1]] = strings.Join(f[2:], " ")
	}
}

// settings checks lines of `stats settings`, given as name=value.
func (c *client) settings(want ...string) {
	c.t.Helper()
	got := c.stats("settings")
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got[name] != value {
			c.t.Errorf("stats settings: %s is %q, want %q", name, got[name], value)
		}
	}
}

func repeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// binaryOf is the path of the real program.
func binaryOf(t *testing.T) string {
	t.Helper()
	return labtest.BuildBinary(t, "github.com/everup/everup/services/cached/cmd/cached")
}

// process is a cached in a process of its own, which dies with the test at the latest.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	tmp    string        // its TMPDIR
	notify *net.UnixConn // where it says how it does, as to systemd
	done   chan struct{} // closed when it is dead and its log is read

	mu    sync.Mutex
	log   []string
	wrote chan struct{} // closed, and replaced, with each line
}

// asRoot is what memcached demands of root: to say whom to become.
func asRoot(args []string) []string {
	if os.Geteuid() == 0 {
		return append([]string{"-u", "root"}, args...)
	}
	return args
}

// launchMemcached starts cached by memcached's options and waits until it is ready.
func launchMemcached(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return launch(t, env, asRoot(args)...)
}

// launch starts cached and waits until it is ready.
func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := prepareLaunch(t, env, args...)
	p.start()
	p.await("READY=1")
	return p
}

func prepareLaunch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, tmp: openDir(t), done: make(chan struct{}), wrote: make(chan struct{})}
	path := filepath.Join(openDir(t), "notify")
	var err error
	if p.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.notify.Close() })
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(binaryOf(t), args...)
	p.cmd.Env = append(os.Environ(), append([]string{"NOTIFY_SOCKET=" + path, "TMPDIR=" + p.tmp}, env...)...)
	return p
}

// openDir is a directory with a short name that every user may write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cached")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (p *process) start() {
	p.t.Helper()
	out, err := p.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			close(p.wrote)
			p.wrote = make(chan struct{})
			p.mu.Unlock()
		}
		p.cmd.Wait() // how it ended is in ProcessState
		p.notify.SetReadDeadline(time.Unix(1, 0))
	}()
	p.t.Cleanup(func() {
		p.cmd.Process.Kill() // fails when it is dead
		<-p.done
		if p.t.Failed() {
			p.t.Logf("cached %v wrote:\n%s", p.cmd.Args[1:], p.text())
		}
	})
}

// await waits until the process tells its manager the state.
func (p *process) await(state string) {
	p.t.Helper()
	p.notify.SetReadDeadline(time.Now().Add(patience))
	select {
	case <-p.done:
		p.notify.SetReadDeadline(time.Unix(1, 0))
	default:
	}
	var buf [4096]byte
	for {
		n, err := p.notify.Read(buf[:])
		if err != nil {
			p.t.Fatalf("cached %v did not say %s: %v\n%s", p.cmd.Args[1:], state, err, p.text())
		}
		if strings.HasPrefix(string(buf[:n]), state) {
			return
		}
	}
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log, "\n")
}

// logs waits for a line of the log that matches.
func (p *process) logs(expr string) string {
	p.t.Helper()
	re, limit, next := regexp.MustCompile(expr), time.After(patience), 0
	for {
		p.mu.Lock()
		wrote, lines := p.wrote, p.log[next:]
		next = len(p.log)
		p.mu.Unlock()
		for _, l := range lines {
			if re.MatchString(l) {
				return l
			}
		}
		select {
		case <-wrote:
		case <-p.done:
			if !re.MatchString(p.text()) {
				p.t.Fatalf("the process ended without a line like %q:\n%s", expr, p.text())
			}
		case <-limit:
			p.t.Fatalf("no line like %q:\n%s", expr, p.text())
		}
	}
}

// signal sends a signal.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code, -1 after a signal.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("the process did not end:\n%s", p.text())
		return 0
	}
}

// admin is a client of the admin socket of a process that memcached's options started.
func (p *process) admin() *admin.Client {
	p.t.Helper()
	sockets, err := filepath.Glob(filepath.Join(p.tmp, "cached-*", "cached.sock"))
	if err != nil || len(sockets) != 1 {
		p.t.Fatalf("admin sockets %v, %v", sockets, err)
	}
	c := admin.Dial(sockets[0])
	p.t.Cleanup(c.Close)
	return c
}

// status asks a daemon how it does.
func status(t *testing.T, c *admin.Client) (s struct {
	daemon.Status
	Detail Status
}) {
	t.Helper()
	if err := c.Do(t.Context(), "GET", "/v1/status", nil, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// result is how a program that ended by itself did.
type result struct {
	code        int
	out, errors string
}

// command runs the real program to its end, with the environment and variables more.
func command(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binaryOf(t), args...)
	var out, errs strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), &out, &errs
	err := cmd.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed || ctx.Err() != nil {
		t.Fatalf("cached %v: %v\n%s", args, err, errs.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}
