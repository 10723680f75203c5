package lbd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/lbd/internal/dos"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/state"
	"github.com/rs/zerolog"
)

// holder is a program that bans who asks too much.
func holder(t *testing.T) *program {
	t.Helper()
	p := newProgram(t)
	p.configure(fmt.Sprintf(`node: n1
listen: [%q]
dos:
- {threshold: 5, hard_threshold: 8, period: 1h, ban: 1h}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login}}
routes:
- {dos: {login: suspect}, answer: {status: 403}}
- {dos: hard, answer: {status: 503}}
- {dos: suspect, answer: {status: 429}}
- {answer: {status: 200}}
`, p.addr))
	t.Cleanup(p.end)
	p.start()
	return p
}

func (p *program) asks(from, path string, times int, want string) {
	p.t.Helper()
	if got := answers(p.t, clientAt(p.t, from), "http://"+p.addr+path, times); got != want {
		p.t.Errorf("%d times %s from %s: %s, want %s", times, path, from, got, want)
	}
}

// stop ends the first process in order.
func (p *program) stop() {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("lbd ended with %v", err)
	}
}

func (p *program) dosFile() string { return filepath.Join(p.dir, "state", dosFile) }

// snapshot reads what the program has left.
func (p *program) snapshot() *dos.Snapshot {
	p.t.Helper()
	b, err := os.ReadFile(p.dosFile())
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := dos.DecodeSnapshot(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// Who is held stays so over a restart, by the detector that holds him, until the end that was said; who was let go is free.
func TestBansOutliveARestart(t *testing.T) {
	p := holder(t)
	p.asks("127.0.0.2", "/", 8, "200 429")
	p.asks("127.0.0.3", "/", 9, "200 429 503")
	p.asks("127.0.0.4", "/login", 3, "200 403")
	for _, args := range [][]string{
		{"ban", "127.0.0.5", "--detector", "default"}, {"ban", "127.0.0.6", "--detector", "default"}, {"unban", "127.0.0.6"}, {"ban", "127.0.0.7", "--for", "1s", "--detector", "default"},
	} {
		if out, err := p.lbd(append([]string{"dos"}, args...)...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	p.stop()
	s := p.snapshot()
	if len(s.Detectors) != 2 || len(s.Detectors[1].Held) != 1 {
		t.Errorf("the file holds %+v", s)
	}
	var ends time.Time
	for _, r := range s.Detectors[0].Held {
		if r.Key.String() == "127.0.0.7" {
			ends = time.UnixMilli(r.Ends[1])
		}
	}
	labtest.Eventually(t, patience, "the short ban to end", func() error {
		if left := time.Until(ends); left > 0 {
			return fmt.Errorf("%v left", left)
		}
		return nil
	})
	p.start()
	p.asks("127.0.0.2", "/", 1, "429")
	p.asks("127.0.0.3", "/", 1, "503")
	p.asks("127.0.0.4", "/", 1, "403")
	p.asks("127.0.0.5", "/", 1, "503")
	p.asks("127.0.0.6", "/", 1, "200")
	p.asks("127.0.0.7", "/", 1, "200") // it has ended meanwhile
	out, err := p.lbd("dos", "list")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), "127.0.0.3 hard") || !strings.Contains(out, "manual") || strings.Contains(out, "127.0.0.7") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is done by hand is written before the command ends: a crash loses it not.
func TestBansByHandOutliveACrash(t *testing.T) {
	p := holder(t)
	for _, args := range [][]string{{"ban", "127.0.0.5", "--detector", "default"}, {"ban", "127.0.0.6", "--detector", "login"}, {"unban", "127.0.0.5"}} {
		if out, err := p.lbd(append([]string{"dos"}, args...)...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.start()
	p.asks("127.0.0.5", "/", 1, "200")
	p.asks("127.0.0.6", "/", 1, "503") // hard is not suspect
}

// The successor holds whom the process before it held a moment ago, and writes the file from then on.
func TestBansOutliveAnUpgrade(t *testing.T) {
	p := holder(t)
	if out, err := p.lbd("dos", "ban", "127.0.0.8", "--detector", "default"); err != nil { // writes the file
		t.Fatalf("%v %s", err, out)
	}
	p.asks("127.0.0.2", "/", 9, "200 429 503")
	p.asks("127.0.0.4", "/login", 3, "200 403")
	if out, err := p.lbd("upgrade"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// The file as it was written by the ban holds one; the one left by the old process three, of whom the successor knows when it has been told.
	labtest.Eventually(t, patience, "all are held", func() error {
		out, err := p.lbd("dos", "list", "-o", "json")
		if n := strings.Count(out, `"client"`); err != nil || n != 3 {
			return fmt.Errorf("%d are held, %v: %s", n, err, out)
		}
		return nil
	})
	p.asks("127.0.0.2", "/", 1, "503")
	p.asks("127.0.0.4", "/", 1, "403")
	if err := p.cmd.Wait(); err != nil { // the old process has no connections left
		t.Errorf("the old process: %v", err)
	}
	p.asks("127.0.0.3", "/", 9, "200 429 503")
	pid, err := p.pid()
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGTERM)
	labtest.Eventually(t, patience, "the successor ends", func() error {
		if syscall.Kill(pid, 0) == nil {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				return errors.New("it runs")
			}
		}
		return nil
	})
	p.start()
	p.asks("127.0.0.2", "/", 1, "503")
	p.asks("127.0.0.3", "/", 1, "503")
}

// A file that is damaged is told of and not believed, and written anew.
func TestDamagedBans(t *testing.T) {
	p := holder(t)
	p.asks("127.0.0.3", "/", 9, "200 429 503")
	p.stop()
	b, err := os.ReadFile(p.dosFile())
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(p.dosFile(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	p.start()
	log, err := os.ReadFile(p.log())
	if err != nil || !strings.Contains(string(log), "who was suspect or hard is lost") || !strings.Contains(string(log), "checksum") {
		t.Errorf("%v\n%s", err, log)
	}
	p.asks("127.0.0.3", "/", 9, "200 429 503")
	p.stop()
	p.start()
	p.asks("127.0.0.3", "/", 1, "503")
}

// keep returns a keeper of a set of one detector, in a directory of its own, and what the file holds.
func keep(t *testing.T) (k *keeper, items *health.Registry) {
	t.Helper()
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	began := time.Now()
	items = health.NewRegistry()
	k = &keeper{
		set: new(dos.Set), now: func() int64 { return int64(time.Since(began)) }, dir: dir, log: zerolog.Nop(),
		item: items.Item("lbd.dos.unsaved", health.Options{Title: "x"}),
	}
	k.set.Configure([]dos.Named{{Name: dos.Default, Options: dos.Options{
		Settings: dos.Settings{Period: time.Minute, Threshold: 1, Ban: time.Hour}, Nets: dos.Nets{V4: 32, V6: 64}, Keys: 1024,
	}}}, 0)
	return k, items
}

func (k *keeper) suspects(t *testing.T) int {
	t.Helper()
	b, err := k.dir.ReadFile(dosFile)
	if err != nil {
		return -1
	}
	s, err := dos.DecodeSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	return len(s.Detectors[0].Held)
}

func (k *keeper) suspect(last byte) {
	d := k.set.Get(dos.Default)
	for range 2 {
		d.Count(d.Key(netip.AddrFrom4([4]byte{192, 0, 2, last}), nil), k.now())
	}
}

// A process writes when something has changed, from when the one before it has left to when it leaves itself.
func TestKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _ := keep(t)
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { k.run(ctx) })
		f := func(what string, after time.Duration, want int) {
			t.Helper()
			time.Sleep(after) // of the bubble
			synctest.Wait()
			if n := k.suspects(t); n != want {
				t.Errorf("%s: %d in the file, want %d", what, n, want)
			}
		}
		k.suspect(1)
		f("before it is the file's owner", time.Minute, -1)
		k.begin(false)
		f("at first", dosEvery+time.Second, 1)
		k.dir.Remove(dosFile)
		f("without a change", dosEvery, -1)
		k.suspect(2)
		k.suspect(3)
		f("after changes", dosEvery, 3)
		k.suspect(4)
		k.leave()
		f("when it leaves", 0, 4)
		k.suspect(5)
		f("after that", dosEvery, 4)
		cancel()
		wg.Wait()
		f("at the end", 0, 4)
	})
}

// At the end it writes what has changed since.
func TestKeeperAtTheEnd(t *testing.T) {
	k, items := keep(t)
	k.begin(false)
	k.suspect(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.run(ctx)
	if n := k.suspects(t); n != 1 {
		t.Errorf("%d in the file", n)
	}
	// What cannot be written is said, and tried again.
	k.suspect(2)
	at := filepath.Join(k.dir.Path(), dosFile)
	if err := errors.Join(os.Remove(at), os.Mkdir(at, 0o700)); err != nil {
		t.Fatal(err)
	}
	k.save()
	if got := items.Worst(); got != health.Warn {
		t.Errorf("health is %v", got)
	}
	os.Remove(at)
	k.save()
	if got := items.Worst(); got != health.OK || k.suspects(t) != 2 {
		t.Errorf("health is %v, %d in the file", got, k.suspects(t))
	}
}

// A successor forgets whom the process before it let go of after the file was read for the first time.
func TestKeeperOfASuccessor(t *testing.T) {
	old, _ := keep(t)
	old.begin(false)
	old.suspect(1)
	old.suspect(2)
	old.save()
	next, _ := keep(t)
	next.dir = old.dir
	next.load()
	d := old.set.Get(dos.Default)
	d.Lift(d.Key(netip.MustParseAddr("192.0.2.1"), nil), dos.Manual, old.now())
	old.suspect(3)
	old.leave()
	next.begin(true)
	var held []string
	for _, o := range next.set.Get(dos.Default).Offenders(dos.Suspect, 10, next.now()) {
		held = append(held, o.Key.String())
	}
	if got := strings.Join(held, " "); got != "192.0.2.2 192.0.2.3" && got != "192.0.2.3 192.0.2.2" {
		t.Errorf("held are %s", got)
	}
	next.suspect(4)
	next.save()
	if n := next.suspects(t); n != 3 {
		t.Errorf("%d in the file", n)
	}
}
