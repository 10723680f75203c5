package labtest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder stands in for a test whose failing or skipping is itself under test.
type recorder struct {
	testing.TB
	cleanups []func()
	said     string
	skipped  bool
	failed   bool
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Skip(args ...any)          { r.said, r.skipped = fmt.Sprint(args...), true; panic(r) }
func (r *recorder) Errorf(f string, a ...any) { r.said, r.failed = fmt.Sprintf(f, a...), true }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); panic(r) }

// run calls f with the recorder, then its clean-ups.
func (r *recorder) run(f func(t testing.TB)) *recorder {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	f(r)
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func TestNeeds(t *testing.T) {
	t.Setenv("EVERUP_NO_SKIP", "")
	r := &recorder{}
	r.run(func(t testing.TB) { Needs(t, "sh", "no-such-program") })
	if !r.skipped || r.said != "SKIP-NEEDS: program no-such-program" {
		t.Errorf("skipped %v, said %q", r.skipped, r.said)
	}
	r = &recorder{}
	r.run(func(t testing.TB) { Needs(t, "sh") })
	if r.skipped || r.said != "" {
		t.Errorf("skipped %v, said %q", r.skipped, r.said)
	}
	t.Setenv("EVERUP_NO_SKIP", "1")
	r = &recorder{}
	r.run(func(t testing.TB) { Needs(t, "no-such-program") })
	if !r.failed {
		t.Error("a needed program is missing and the test does not fail")
	}
}

func TestEventually(t *testing.T) {
	n := 0
	Eventually(t, time.Minute, "three", func() error {
		if n++; n < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	r := &recorder{}
	r.run(func(t testing.TB) { Eventually(t, 0, "the moon", func() error { return errors.New("far") }) })
	if !r.failed || !strings.Contains(r.said, "the moon: far") {
		t.Errorf("said %q", r.said)
	}
}

func TestLeakCheckFindsGoroutineAndFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes five seconds: it waits for the leak to go")
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	var file *os.File
	r := &recorder{}
	r.run(func(tb testing.TB) {
		LeakCheck(tb)
		go func() { defer close(ended); <-stop }()
		file, _ = os.Open(os.DevNull)
	})
	close(stop)
	<-ended
	file.Close()
	if !r.failed || !strings.Contains(r.said, "goroutine") || !strings.Contains(r.said, os.DevNull) {
		t.Errorf("said %q", r.said)
	}
}

func TestLeakCheckWaitsForTheEnd(t *testing.T) {
	r := &recorder{}
	stop := make(chan struct{})
	r.run(func(tb testing.TB) {
		LeakCheck(tb)
		go func() { <-stop }()
		close(stop) // the goroutine ends a little later
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
	if r.failed {
		t.Error(r.said)
	}
}

func TestOutput(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	o := newOutput(file)
	for i := range 2*maxLines + 10 {
		fmt.Fprintf(o, "line %d\nhalf", i)
	}
	if got := len(o.lines); got > 2*maxLines || o.mark() != 2*maxLines+10 {
		t.Errorf("%d lines are kept, mark %d", got, o.mark())
	}
	mark := 0
	if _, ok, more := o.find(&mark, regexp.MustCompile(`^line 1$`)); ok || more == nil {
		t.Errorf("a dropped line is found: %v, %v", ok, more)
	}
	o.Write([]byte(strings.Repeat("x", 3*maxLineLen)))
	_, _, more := o.find(&mark, regexp.MustCompile("last"))
	o.Write([]byte("\nthe last"))
	<-more
	o.close()
	line, ok, _ := o.find(&mark, regexp.MustCompile("last"))
	if !ok || line != "the last" {
		t.Errorf("found %q, %v", line, ok)
	}
	if got := o.tail(2); len(got) != 2 || len(got[0]) != maxLineLen {
		t.Errorf("tail of %d lines, the first of %d bytes", len(got), len(got[0]))
	}
	if _, ok, more := o.find(&mark, regexp.MustCompile("beyond")); ok || more != nil {
		t.Error("a closed output promises more")
	}
}

// The same scripts that other packages will write.
func TestScript(t *testing.T) {
	Script(t, "testdata/script", func(t *testing.T) Runner {
		sum := 0
		return func(cmd string, args []string, input string) string {
			switch cmd {
			case "add":
				sum += len(args)
				return fmt.Sprint("sum ", sum)
			case "blank":
				return "one\n\ntwo"
			case "echo":
				return input
			default:
				return ""
			}
		}
	})
}

func TestReplay(t *testing.T) {
	echo := func(cmd string, args []string, input string) string {
		return cmd + fmt.Sprint(args) + input
	}
	f := func(text, want string) {
		t.Helper()
		got := replay(text, echo)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("replay(%q): %s", text, diff)
		}
		if again := replay(got, echo); again != got {
			t.Errorf("a second replay of %q is %q", got, again)
		}
	}
	f("a 1 2\n----\nwrong\n\nb\n----\n", "a 1 2\n----\na[1 2]\n\nb\n----\nb[]\n")
	f("# c\na\nin\nput", "# c\na\nin\nput\n----\na[]in\nput\n") // a new script without an answer
	f("a\n\nb\n", "a\n----\na[]\n\nb\n----\nb[]\n")
}

func TestBuildBinary(t *testing.T) {
	const pkg = "github.com/everup/everup/shared/labtest/testdata/hello"
	dir := t.TempDir()
	t.Setenv("EVERUP_BIN", dir)
	p := BuildBinary(t, pkg)
	if got := p; strings.HasPrefix(got, dir) {
		t.Errorf("%s was not built there", got)
	}
	if again := BuildBinary(t, pkg); again != p {
		t.Errorf("%s, then %s", p, again)
	}
	if err := os.WriteFile(filepath.Join(dir, "ready"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	ready := "example.org" + dir + "/ready" // another package each time the test runs
	if got := BuildBinary(t, ready); got != filepath.Join(dir, "ready") {
		t.Errorf("the ready binary is not taken: %s", got)
	}
	r := &recorder{}
	r.run(func(t testing.TB) { BuildBinary(t, pkg+"-missing") })
	if !r.failed {
		t.Error("a package that is not there builds")
	}
}

func TestFreePort(t *testing.T) {
	addr := FreeAddr(t)
	for range 2 { // a server may be restarted on it
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
	seen := map[int]bool{}
	for range 100 {
		p := FreePort(t)
		if seen[p] {
			t.Fatalf("port %d is given twice", p)
		}
		seen[p] = true
	}
}

func TestCerts(t *testing.T) {
	c := NewCerts(t, "db.example", "127.0.0.1")
	l, err := tls.Listen("tcp", "127.0.0.1:0", c.Server())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).Handshake() // the client says how it went
			conn.Close()
		}
	}()
	dial := func(name string) error {
		cfg := c.Client()
		cfg.ServerName = name
		conn, err := tls.Dial("tcp", l.Addr().String(), cfg)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := errors.Join(dial("db.example"), dial("127.0.0.1")); err != nil {
		t.Error(err)
	}
	if dial("other.example") == nil {
		t.Error("a name the certificate does not hold is accepted")
	}
	l.Close()
	<-done
	if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
		t.Error(err)
	}
}
