package logd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
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

// rig is a running service with a floor of its own.
type rig struct {
	*Service
	dir      string // of the logs
	tcp, udp string
	unix     string
	admin    *admin.Client
	stop     func()
}

func newService(dir string, change func(*Config)) (*Service, error) {
	var c Config
	conf.SetDefaults(&c)
	c.Listen.UDP, c.Listen.TCP, c.Listen.Unix = []conf.Addr{"127.0.0.1:0"}, []conf.Addr{"127.0.0.1:0"}, []string{filepath.Join(dir, "sock")}
	c.Dir, c.Zone = filepath.Join(dir, "logs"), "UTC"
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
	reg, h := metric.NewRegistry("everup_logd"), health.NewRegistry()
	b, err := bus.New(bus.Config{Mode: "off"}, bus.Env{Fleet: "f", Node: "n1", Service: "logd", Log: zerolog.Nop()})
	if err != nil {
		return nil, err
	}
	return New(&c, &daemon.Env{
		Node: "n1", Log: zerolog.Nop(), Metrics: reg, Health: h, Net: set, State: st, Bus: b, Admin: admin.New("logd", reg, h, zerolog.Nop()),
		Announce: func(f func(*member.Announcement)) { f(&member.Announcement{}) },
	})
}

func start(t *testing.T, dir string, change func(*Config)) *rig {
	t.Helper()
	s, err := newService(dir, change)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	sock := filepath.Join(dir, "admin")
	ln, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.Run(ctx) }()
	go func() { done <- s.env.Admin.Serve(ctx, ln, nil) }()
	r := &rig{
		Service: s, dir: s.dir.Path(), tcp: s.streams[0].Addr().String(), udp: s.packets[0].conn.LocalAddr().String(), unix: filepath.Join(dir, "sock"),
		admin: admin.Dial(sock),
	}
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// lines waits until the files hold n lines and returns them without their time stamps.
func (r *rig) lines(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	labtest.Eventually(t, 15*time.Second, fmt.Sprint(n, " lines in the files"), func() error {
		out = nil
		files, err := filepath.Glob(filepath.Join(r.dir, "*/*/*/*.log"))
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(b)) {
				_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				out = append(out, rest)
			}
		}
		if len(out) != n {
			return fmt.Errorf("%d: %q, %v", len(out), out, err)
		}
		return nil
	})
	return out
}

func (r *rig) write(t *testing.T, network, addr, text string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// TestLogger sends by util-linux's logger in all its ways.
func TestLogger(t *testing.T) {
	labtest.Needs(t, "logger")
	r := start(t, t.TempDir(), nil)
	host, port, _ := net.SplitHostPort(r.tcp)
	_, udpPort, _ := net.SplitHostPort(r.udp)
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ = strings.Cut(name, ".")
	sent := 0
	f := func(want string, args ...string) {
		t.Helper()
		args = append(args, "-t", "app", "-p", "local3.warning")
		if out, err := exec.CommandContext(t.Context(), "logger", append(args, fmt.Sprint("text ", sent))...).CombinedOutput(); err != nil {
			t.Fatalf("logger %q: %v %s", args, err, out)
		}
		sent++
		all := r.lines(t, sent)
		want = fmt.Sprintf(want, fmt.Sprint("text ", sent-1))
		for _, got := range all {
			if got == want {
				return
			}
		}
		t.Errorf("logger %q: %q is not among %q", args, want, all)
	}
	f(name+" app: local3.warning: %s", "-n", host, "-P", port, "-T", "--rfc3164")
	f(name+" app: local3.warning: %s", "-n", host, "-P", udpPort, "-d", "--rfc3164")
	f(name+" app: local3.warning: %s", "-n", host, "-P", port, "-T", "--rfc5424=notq")
	f(name+" app: local3.warning: %s", "-n", host, "-P", udpPort, "-d", "--rfc5424=notq")
	f(name+" app: local3.warning: %s", "-n", host, "-P", port, "-T", "--octet-count", "--rfc5424=notq")
	f("127.0.0.1 app: local3.warning: %s", "-n", host, "-P", port, "-T", "--octet-count", "--rfc5424=notime,notq,nohost")
	f(name+` app: local3.warning ID9 [x@1 k="v"]: %s`, "-n", host, "-P", port, "-T", "--rfc5424=notq", "--msgid", "ID9", "--sd-id", "x@1", "--sd-param", `k="v"`)
	f("n1 app: local3.warning: %s", "--socket", r.unix)
	f("n1 app[7]: local3.warning: %s", "--socket", r.unix, "--id=7")
	day := time.Now().UTC().Format("2006/01/02")
	if _, err := os.Stat(filepath.Join(r.dir, day, name+".log")); err != nil {
		t.Error(err)
	}
}

// TestRsyslog has the real rsyslogd forward to us over TCP in both framings.
func TestRsyslog(t *testing.T) {
	labtest.Needs(t, "rsyslogd")
	r := start(t, t.TempDir(), nil)
	_, port, _ := net.SplitHostPort(r.tcp)
	dir := t.TempDir()
	in, cfg := filepath.Join(dir, "in"), filepath.Join(dir, "conf")
	content := fmt.Sprintf(`
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket=%q)
action(type="omfwd" target="127.0.0.1" port=%q protocol="tcp" TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
action(type="omfwd" target="127.0.0.1" port=%q protocol="tcp" TCP_Framing="traditional" template="RSYSLOG_TraditionalForwardFormat")
`, in, port, port)
	if err := os.WriteFile(cfg, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "rsyslogd", "-n", "-iNONE", "-f", cfg)
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stderr = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); cmd.Wait() }()
	labtest.Eventually(t, 15*time.Second, "rsyslogd's socket", func() error { _, err := os.Stat(in); return err })
	const n = 50
	c, err := net.Dial("unixgram", in)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		fmt.Fprintf(c, "<30>%s app[7]: message %d", time.Now().Format(time.Stamp), i)
	}
	seen := map[string]int{}
	for _, l := range r.lines(t, 2*n) {
		_, rest, _ := strings.Cut(l, " ")
		seen[strings.Replace(rest, ":  message", ": message", 1)]++ // this template keeps the space after the tag in MSG
	}
	for i := range n {
		want := fmt.Sprintf("app[7]: daemon.info: message %d", i)
		if seen[want] != 2 {
			t.Errorf("%q came %d times, not twice", want, seen[want])
		}
	}
}

func TestTailRecentAndQuery(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	r.write(t, "tcp", r.tcp, "<13>Nov 22 12:00:00 h1 a: early\n")
	r.lines(t, 1)
	stream, err := r.admin.Stream(t.Context(), "/v1/tail?n=5&app=a")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	lines := bufio.NewScanner(stream)
	next := func() (text string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatal("the stream ended", lines.Err())
		}
		var l struct{ Text, Host string }
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		return l.Host + " " + l.Text
	}
	if got := next(); got != "h1 early" {
		t.Error(got)
	}
	r.write(t, "tcp", r.tcp, "<13>1 - h2 b - - - passed over\n<11>1 - h2 a - - - late\n")
	if got := next(); got != "h2 late" {
		t.Error(got)
	}
	var rec Recent
	if err := r.admin.Do(t.Context(), "GET", "/v1/recent?n=1", nil, &rec); err != nil || len(rec.Lines) != 1 || rec.Lines[0].Text != "late" {
		t.Fatalf("%+v, %v", rec, err)
	}
	got := make(chan error, 1)
	go func() {
		path := fmt.Sprintf("/v1/recent?since=%d&epoch=%d&wait=15s&severity=err", rec.Next, rec.Epoch)
		got <- r.admin.Do(t.Context(), "GET", path, nil, &rec)
	}()
	r.write(t, "udp", r.udp, "<13>1 - h2 a - - - not chosen")
	r.write(t, "udp", r.udp, "<11>1 - h2 a - - - chosen")
	if err := <-got; err != nil || len(rec.Lines) != 1 || rec.Lines[0].Text != "chosen" {
		t.Errorf("%+v, %v", rec, err)
	}
	r.lines(t, 5)
	var res struct{ Lines []struct{ Text string } }
	if err := r.admin.Do(t.Context(), "GET", "/v1/query?host=h2&severity=err", nil, &res); err != nil || len(res.Lines) != 2 {
		t.Errorf("%+v, %v", res, err)
	}
	for _, bad := range []string{"/v1/query?from=x", "/v1/recent?n=99999", "/v1/recent?since=x", "/v1/tail?severity=x"} {
		if err := r.admin.Do(t.Context(), "GET", bad, nil, nil); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestDrainWritesWhatArrived(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, func(c *Config) { c.Sync = "always" })
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "<13>1 - h a - - - message %d\n", i)
	}
	r.write(t, "tcp", r.tcp, all.String())
	labtest.Eventually(t, 15*time.Second, "the first message", func() error {
		if r.Status().(Status).Received["tcp"] == 0 {
			return errors.New("none")
		}
		return nil
	})
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stop()
	r.lines(t, 2000)
	if _, err := newService(dir, nil); err != nil {
		t.Errorf("start after stop: %v", err)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	if _, err := newService(dir, nil); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
}

func TestReload(t *testing.T) {
	r := start(t, t.TempDir(), nil)
	c := r.cfg
	c.Message.Max = 500
	if err := r.Reload(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	r.write(t, "tcp", r.tcp, "<13>1 - h a - - - "+strings.Repeat("x", 1000)+"\n")
	if got := r.lines(t, 1)[0]; len(got) != 500-len("<13>1 - h a - - - ")+len("h a: user.notice: ") {
		t.Errorf("%d bytes", len(got))
	}
	c.Dir = "/elsewhere"
	if err := r.Reload(t.Context(), &c); !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), "dir") {
		t.Errorf("%v", err)
	}
}
