package logd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/everup/everup/services/logd/internal/ingest"
	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/services/logd/internal/tail"
	"github.com/everup/everup/services/logd/internal/text"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/metric"
	"golang.org/x/sys/unix"
)

// bench is a writer with its surroundings, on a directory.
type bench struct {
	*writer
	health *health.Registry
	syncs  atomic.Int64

	mu     sync.Mutex
	events []string
}

// told returns the kinds of the events so far.
func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fmt.Sprint(b.events)
}

func newBench(t *testing.T, dir string, policy text.Policy) *bench {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	b := &bench{writer: newWriter(metric.NewRegistry("everup_logd")), health: health.NewRegistry()}
	o := text.Options{Location: time.UTC, Policy: policy, OpenFiles: 9, HostsPerDay: 9, Node: "n1", OnSync: func(time.Duration) { b.syncs.Add(1) }}
	if b.store, err = text.Open(root, o); err != nil {
		t.Fatal(err)
	}
	b.queue, b.ring, b.every, b.lost = ingest.NewQueue(100, 1<<20), tail.NewRing(100, 1<<20, "n1"), time.Second, new(metric.Counter)
	b.disk = b.health.Item("logd.disk", health.Options{})
	b.emit = func(kind, _ string, _ any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, kind)
	}
	return b
}

func message(s string) *record.Record {
	r := &record.Record{Received: time.Now()}
	new(parse.Parser).Parse(&r.Message, []byte("<13>1 - h a - - - "+s), r.Received)
	return r
}

// TestSyncInterval counts syncs in virtual time: one a second while lines come, none without.
func TestSyncInterval(t *testing.T) {
	f := func(policy text.Policy, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, t.TempDir(), policy)
			done := make(chan error, 1)
			go func() { done <- b.run(t.Context()) }()
			time.Sleep(50 * time.Millisecond)
			for range 30 { // three seconds
				b.queue.TryPut(message("x"))
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := b.syncs.Load(); got != int64(want) {
				t.Errorf("%s: %d syncs, want %d", policy, got, want)
			}
			b.queue.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := b.written.Value(); n != 30 {
				t.Errorf("%d lines written", n)
			}
		})
	}
	f(text.SyncAlways, 30)
	f(text.SyncInterval, 3)
	f(text.SyncNever, 0)
}

// TestFullDiskHoldsUpAndRecovers fills a small tmpfs in virtual time.
func TestFullDiskHoldsUpAndRecovers(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skip("SKIP-NEEDS: mount of a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dir, text.SyncInterval)
		done := make(chan error, 1)
		go func() { done <- b.run(t.Context()) }()
		sent := 0
		for b.queue.TryPut(message(fmt.Sprintf("%04d %s", sent, strings.Repeat("x", 1000)))) {
			sent++
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if items, _ := b.queue.Len(); items != 100 {
			t.Errorf("%d messages wait", items)
		}
		if b.health.Worst() != health.Fail || b.told() != "[disk-full]" {
			t.Errorf("health %v, events %v", b.health.Worst(), b.told())
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=8m"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.health.Worst() != health.OK || b.told() != "[disk-full disk-ok]" || int(b.written.Value()) != sent {
			t.Errorf("health %v, events %v, %d of %d lines", b.health.Worst(), b.told(), b.written.Value(), sent)
		}
		b.queue.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		got, err := os.ReadFile(filepath.Join(dir, time.Now().UTC().Format("2006/01/02"), "h.log"))
		if n := strings.Count(string(got), "\n"); n != sent || err != nil {
			t.Errorf("%d lines, %v", n, err)
		}
	})
}

// TestStopGivesUpOnAFullDisk counts what is lost when the daemon must end while the disk is full.
func TestStopGivesUpOnAFullDisk(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skip("SKIP-NEEDS: mount of a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dir, text.SyncInterval)
		abandon, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.run(abandon) }()
		for range 60 {
			b.queue.TryPut(message(strings.Repeat("x", 1000)))
		}
		synctest.Wait()
		b.queue.Close()
		cancel()
		if err := <-done; err == nil {
			t.Error("ended without an error")
		}
		if w, l := b.written.Value(), b.lost.Value(); w+l != 60 || l == 0 {
			t.Errorf("%d written, %d lost, 60 sent", w, l)
		}
	})
}

// TestRetention lets three days pass in virtual time.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		today := text.DayOf(time.Now(), time.UTC)
		for i := range 4 {
			if err := root.MkdirAll(today.Add(-i).Dir(), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			retain(ctx, root, time.UTC, func() time.Duration { return 48 * time.Hour }, func(_ text.Day, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			close(done)
		}()
		left := func(want int) {
			t.Helper()
			synctest.Wait()
			if days, err := text.Days(root); len(days) != want || err != nil {
				t.Errorf("at %v: %v, %v; want %d", time.Now(), days, err, want)
			}
		}
		left(3) // bubbles begin at midnight UTC: the day that ended 48 h ago is gone
		time.Sleep(24*time.Hour + retainEvery)
		left(2)
		time.Sleep(30 * 24 * time.Hour)
		left(0)
		cancel()
		<-done
	})
}
