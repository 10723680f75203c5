package text

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"golang.org/x/sys/unix"
)

func openStore(t *testing.T, dir string, change func(*Options)) *Store {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Location: time.UTC, Policy: SyncInterval, OpenFiles: 4, HostsPerDay: 8, Node: "me"}
	if change != nil {
		change(&o)
	}
	s, err := Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); root.Close() })
	return s
}

func from(host, text string, at time.Time) record.Record {
	r := parsed("<13>Nov 22 12:00:00 " + host + " a: " + text)
	r.Received = at
	return *r
}

func mustAppend(t *testing.T, s *Store, batch ...record.Record) {
	t.Helper()
	if n, err := s.Append(batch); n != len(batch) || err != nil {
		t.Fatalf("Append: %d, %v", n, err)
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		t.Fatalf("%s does not end with a line end: %q", file, b[max(0, len(b)-80):])
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestFilesByDayAndHost(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	mustAppend(t, s, from("h1", "one", noon), from("h2", "two", noon), from("h1", "three", noon),
		from("h1", "next day", noon.AddDate(0, 0, 1)), from("h1", "late", noon))
	if got := lines(t, filepath.Join(dir, "2026/11/22/h1.log")); len(got) != 3 || !strings.HasSuffix(got[2], "late") {
		t.Errorf("h1: %q", got)
	}
	if got := lines(t, filepath.Join(dir, "2026/11/22/h2.log")); len(got) != 1 {
		t.Errorf("h2: %q", got)
	}
	if got := lines(t, filepath.Join(dir, "2026/11/23/h1.log")); len(got) != 1 {
		t.Errorf("next day: %q", got)
	}
	if s.Stats.Lines != 5 || !s.Dirty() {
		t.Errorf("stats %+v", s.Stats)
	}
	if err := s.Sync(); err != nil || s.Dirty() {
		t.Errorf("after Sync: %v, dirty %v", err, s.Dirty())
	}
}

func TestBoundsOfFilesAndHosts(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, func(o *Options) { o.OpenFiles = 2; o.HostsPerDay = 5 })
	for round := range 3 {
		for i := range 20 {
			mustAppend(t, s, from(fmt.Sprintf("h%d", i), fmt.Sprint(round), noon))
			if s.lru.Len() > 2 || len(s.files) > 2 {
				t.Fatalf("%d files open", len(s.files))
			}
		}
	}
	names, err := os.ReadDir(filepath.Join(dir, "2026/11/22"))
	if err != nil || len(names) != 6 {
		t.Fatalf("%d files, want 5 and _other.log: %v", len(names), err)
	}
	if got := lines(t, filepath.Join(dir, "2026/11/22/_other.log")); len(got) != 45 || s.Stats.Overflowed != 45 {
		t.Errorf("_other.log has %d lines, %d counted, want 45", len(got), s.Stats.Overflowed)
	}
	if got := lines(t, filepath.Join(dir, "2026/11/22/h0.log")); len(got) != 3 {
		t.Errorf("h0: %q", got)
	}
}

func TestMendTornLine(t *testing.T) {
	f := func(before, after string, mended uint64) {
		t.Helper()
		dir := t.TempDir()
		file := filepath.Join(dir, "2026/11/22/h1.log")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(before), 0o644); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, dir, nil)
		if got, err := os.ReadFile(file); string(got) != after || err != nil || s.Stats.Mended != mended {
			t.Errorf("%.40q: %.40q, mended %d", before, got, s.Stats.Mended)
		}
	}
	f("", "", 0)
	f("a\n", "a\n", 0)
	f("a\nb", "a\n", 1)
	f("b", "", 1)
	f("a\nb\n\x00\x00\x00", "a\nb\n", 1)
	f("a\n"+strings.Repeat("x", 200_000), "a\n", 1)
	f("a\n"+strings.Repeat("x", mendWindow), "a\n", 1)
	f(strings.Repeat("x", 2*mendWindow+1), "", 1)
}

func TestMovedFileIsBegunAnew(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, nil)
	file := filepath.Join(dir, "2026/11/22/h1.log")
	mustAppend(t, s, from("h1", "one", noon))
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, from("h1", "two", noon))
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, from("h1", "three", noon))
	if got := lines(t, file); len(got) != 1 || !strings.HasSuffix(got[0], "three") {
		t.Errorf("new file: %q", got)
	}
	if got := lines(t, file+".1"); len(got) != 2 {
		t.Errorf("moved file: %q", got)
	}
	if s.Stats.Replaced != 1 {
		t.Errorf("replaced %d", s.Stats.Replaced)
	}
}

func TestSymlinkDoesNotLeaveTheDirectory(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "2026/11/22"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(outside, "x"), filepath.Join(dir, "2026/11/22/h1.log")); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, dir, nil)
	if _, err := s.Append([]record.Record{from("h1", "one", noon)}); err == nil {
		t.Error("wrote through a symbolic link")
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("outside: %v", left)
	}
}

// TestFullDisk fills a small tmpfs: no torn line may be seen, nothing accepted may be lost, and it goes on by itself.
func TestFullDisk(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("SKIP-NEEDS: mount of a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := openStore(t, dir, nil)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 100<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 333)
	next := 0
	var rest []record.Record
	var err error
	for err == nil && next < 10_000 {
		rest = nil
		for range 7 {
			rest = append(rest, from("h1", fmt.Sprintf("%06d %s", next, text), noon))
			next++
		}
		var n int
		n, err = s.Append(rest)
		rest = rest[n:]
	}
	if !errors.Is(err, fault.Full) || !s.Pending() {
		t.Fatalf("error %v, pending %v", err, s.Pending())
	}
	file := filepath.Join(dir, "2026/11/22/h1.log")
	full := lines(t, file)
	if _, err := s.Append(rest); err == nil {
		t.Fatal("the disk is full, but Append says it is not")
	}
	if got := lines(t, file); len(got) != len(full) {
		t.Fatalf("a failed write left %d lines more", len(got)-len(full))
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, rest...)
	got := lines(t, file)
	if len(got) != next {
		t.Fatalf("%d lines, want %d", len(got), next)
	}
	for i, l := range got {
		if !strings.Contains(l, fmt.Sprintf(": %06d ", i)) {
			t.Fatalf("line %d is %.80q", i, l)
		}
	}
}

func TestDaysAndRemove(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"2026/11/22", "2026/11/03", "2025/12/31", "2026/13/01", "junk/11/22", "2026/11/x"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	days, err := Days(root)
	if want := "[{2025 December 31} {2026 November 3} {2026 November 22}]"; fmt.Sprint(days) != want || err != nil {
		t.Errorf("%v, %v", days, err)
	}
	if err := Remove(root, days[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "2025")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty year left: %v", err)
	}
	if err := Remove(root, days[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "2026/11/22")); err != nil {
		t.Errorf("removed too much: %v", err)
	}
}
