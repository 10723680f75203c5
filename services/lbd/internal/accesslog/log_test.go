package accesslog

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
)

// paper is a writer that takes what it is told to.
type paper struct {
	mu     sync.Mutex
	b      bytes.Buffer
	writes int
	room   int           // bytes until it is full; below 0: without end
	wait   chan struct{} // not nil: each write waits for it
}

func (p *paper) Write(b []byte) (int, error) {
	if p.wait != nil {
		<-p.wait
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	n := len(b)
	if p.room >= 0 {
		n = min(n, p.room)
		p.room -= n
	}
	p.b.Write(b[:n])
	if n < len(b) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (p *paper) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// rig is a Log.
type rig struct {
	*Log
	t      *testing.T
	out    *paper
	health *health.Registry
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, out: &paper{room: -1}, health: health.NewRegistry()}
	r.Log = New(Env{Node: "n1", Stdout: r.out, Metrics: metric.NewRegistry("everup_lbd"), Health: r.health})
	return r
}

func (r *rig) use(specs ...Spec) {
	r.t.Helper()
	for i := range specs {
		if specs[i].Format == nil {
			specs[i].Format = mustTemplate(r.t, "$reason")
		}
	}
	s, err := r.Prepare(specs)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Use(s)
}

func (r *rig) log(text string) { r.Log.Log(&Entry{Reason: text, Status: 200}) }

func (r *rig) warns() bool {
	for _, i := range r.health.Snapshot() {
		if i.ID == "lbd.access-log.unwritten" {
			return i.Level != health.OK
		}
	}
	r.t.Fatal("there is no item")
	return false
}

// Lines that come within a moment are written by one call, and at the end at once.
func TestLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if r.On() {
			t.Error("a log without places is on")
		}
		r.log("lost")
		r.use(Spec{Stdout: true}, Spec{Stdout: true, Format: mustTemplate(t, "again $reason")})
		r.log("a")
		r.log("b")
		time.Sleep(linger - time.Millisecond)
		synctest.Wait()
		if r.out.text() != "" {
			t.Errorf("%q too early", r.out.text())
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if want := "a\nagain a\nb\nagain b\n"; r.out.text() != want || r.out.writes != 1 {
			t.Errorf("%q in %d writes, want %q in 1", r.out.text(), r.out.writes, want)
		}
		r.log("c")
		r.Close()
		if !strings.HasSuffix(r.out.text(), "\nc\nagain c\n") || r.out.writes != 2 || r.counts.lines.Load() != 6 {
			t.Errorf("%q in %d writes", r.out.text(), r.out.writes)
		}
		r.log("late") // as from a request that has read the set before
	})
}

func TestManyLinesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.use(Spec{Stdout: true})
		for range 1 + flushBytes/1000 {
			r.log(strings.Repeat("x", 1000))
		}
		synctest.Wait() // no time passes
		if r.out.writes != 1 {
			t.Errorf("%d writes", r.out.writes)
		}
		r.Close()
	})
}

func TestASlowPlaceLosesLinesAndBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.out.wait = make(chan struct{})
		r.use(Spec{Stdout: true})
		line := strings.Repeat("x", 1023)
		for range 2 * queueBytes / 1024 {
			r.log(line)
		}
		synctest.Wait()
		for range 10 + queueBytes/1024 {
			r.log(line)
		}
		lost := r.counts.dropped.Load()
		if r.waiting() != queueBytes || lost < 10 {
			t.Errorf("%d bytes wait, %d lines are lost", r.waiting(), lost)
		}
		close(r.out.wait)
		r.Close()
		if got, want := r.counts.lines.Load()+lost, uint64(10+3*queueBytes/1024); got != want {
			t.Errorf("%d lines written or lost, want %d", got, want)
		}
	})
}

// A full disk loses lines, which are counted; a line that was written in part does not spoil the next.
func TestAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.out.room = 7
		r.use(Spec{Stdout: true})
		step := func(text string) {
			r.log(text)
			time.Sleep(2 * linger)
			synctest.Wait()
		}
		r.log("one")
		step("two\"")
		if got := r.out.text(); got != "one\ntwo" || r.counts.failed.Load() != 1 || !r.warns() {
			t.Errorf("%q, %d failed, warns %v", got, r.counts.failed.Load(), r.warns())
		}
		step("three")
		r.out.mu.Lock()
		r.out.room = -1
		r.out.mu.Unlock()
		step("four")
		if got, want := r.out.text(), "one\ntwo\nfour\n"; got != want || r.counts.failed.Load() != 2 || r.counts.lines.Load() != 2 || r.warns() {
			t.Errorf("%q, want %q; %d failed, %d written, warns %v", got, want, r.counts.failed.Load(), r.counts.lines.Load(), r.warns())
		}
		r.Close()
	})
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A file that was moved away is left behind within a second, and at once by a reload.
func TestAFileIsMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.use(Spec{File: path})
		step := func(text string, wait time.Duration) {
			r.log(text)
			time.Sleep(wait)
			synctest.Wait()
		}
		step("a", 2*linger)
		os.Rename(path, path+".1")
		step("b", 2*linger) // not looked yet
		time.Sleep(lookEvery)
		step("c", 2*linger)
		os.Rename(path, path+".2")
		r.use(Spec{File: path})
		step("d", 2*linger)
		r.Close()
	})
	if a, b, c := read(t, path+".1"), read(t, path+".2"), read(t, path); a != "old\na\nb\n" || b != "c\n" || c != "d\n" {
		t.Errorf("files %q, %q, %q", a, b, c)
	}
}

// What cannot be opened changes nothing; a directory that is gone leaves the old file in use.
func TestAFileCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t)
	defer r.Close()
	path := filepath.Join(dir, "sub", "a.log")
	f := func(want error, specs ...Spec) {
		t.Helper()
		if s, err := r.Prepare(specs); !errors.Is(err, want) {
			t.Errorf("%v, %v", s, err)
		}
	}
	f(os.ErrNotExist, Spec{Stdout: true}, Spec{File: path})
	f(syscall.EISDIR, Spec{File: dir})
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f(syscall.ENXIO, Spec{File: fifo})
	if r.On() {
		t.Error("something is in force")
	}
	os.Mkdir(filepath.Dir(path), 0o700)
	r.use(Spec{File: path})
	r.log("a")
	os.Rename(filepath.Dir(path), filepath.Join(dir, "other"))
	r.use(Spec{File: path})
	labtest.Eventually(t, 10*time.Second, "the warning", func() error {
		if !r.warns() {
			return errors.New("there is none")
		}
		return nil
	})
	r.log("b")
	r.use(Spec{Stdout: true}) // ends the file
	if got := read(t, filepath.Join(dir, "other", "a.log")); got != "a\nb\n" || r.warns() {
		t.Errorf("%q, warns %v", got, r.warns())
	}
}

// A reload moves the log to another server; what the first one got stays counted.
func TestSyslogIsMoved(t *testing.T) {
	labtest.LeakCheck(t)
	r := newRig(t)
	defer r.Close()
	receive := func() (addr string, line func() string) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		var in *bufio.Reader
		return ln.Addr().String(), func() string {
			if in == nil {
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				c.SetDeadline(time.Now().Add(10 * time.Second))
				in = bufio.NewReader(c)
			}
			b := make([]byte, 1024)
			n, err := in.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:n])
		}
	}
	one, fromOne := receive()
	two, fromTwo := receive()
	r.use(Spec{Syslog: one})
	r.log("a")
	if got := fromOne(); !strings.Contains(got, "<134>1 ") || !strings.Contains(got, " n1 lbd ") || !strings.HasSuffix(got, " access - a") {
		t.Errorf("%q", got)
	}
	r.use(Spec{Syslog: two})
	r.Log.Log(&Entry{Reason: "b", Status: 503})
	if got := fromTwo(); !strings.Contains(got, "<132>1 ") || !strings.HasSuffix(got, " access - b") {
		t.Errorf("%q", got)
	}
	labtest.Eventually(t, 10*time.Second, "both counted", func() error {
		if n := r.sent().Sent; n != 2 {
			return errors.New("not yet")
		}
		return nil
	})
}

// A line costs no memory, for whatever place it is.
func TestLogAllocs(t *testing.T) {
	r := newRig(t)
	defer r.Close()
	r.use(Spec{Stdout: true, Format: Combined("n")}, Spec{Syslog: "127.0.0.1:1"})
	e := entry(t)
	for range 20000 { // buffers grow to what they are
		r.Log.Log(e)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Log.Log(e) }); n >= 1 && !raced {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLog(b *testing.B) {
	out := &paper{room: 0}
	l := New(Env{Node: "n1", Stdout: out, Metrics: metric.NewRegistry("everup_lbd"), Health: health.NewRegistry()})
	defer l.Close()
	e := entry(b)
	b.Run("off", func(b *testing.B) {
		for b.Loop() {
			l.Log(e)
		}
	})
	s, err := l.Prepare([]Spec{{Format: Combined("n"), Stdout: true}})
	if err != nil {
		b.Fatal(err)
	}
	l.Use(s)
	b.Run("combined", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.Log(e)
		}
	})
}
