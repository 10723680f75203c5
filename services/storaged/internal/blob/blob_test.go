package blob

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/everup/everup/services/storaged/internal/names"
	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"golang.org/x/sys/unix"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, damaged, err := Open(dir, Options{MaxObjects: 1000})
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	return s
}

func put(s *Store, name, body string, cond Condition) (Meta, bool, error) {
	u, err := s.NewUpload(Meta{Name: name, Header: map[string]string{"Content-Type": "text/plain"}})
	if err != nil {
		return Meta{}, false, err
	}
	defer u.Close()
	if _, err := io.WriteString(u, body); err != nil {
		return Meta{}, false, err
	}
	return u.Commit(cond)
}

func mustPut(t *testing.T, s *Store, name, body string) Meta {
	t.Helper()
	m, _, err := put(s, name, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// body returns what Get gives, or the error's class.
func body(t *testing.T, s *Store, name string) string {
	t.Helper()
	o, err := s.Get(name)
	if err != nil {
		return fault.Of(err).String()
	}
	defer o.Close()
	b, err := io.ReadAll(o.Body())
	if err != nil {
		t.Fatal(err)
	}
	if o.SHA256 != sha256.Sum256(b) {
		t.Errorf("%s: the body is not the one of the metadata", name)
	}
	return string(b)
}

func incoming(t *testing.T, dir string) int {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(dir, incomingDir))
	if err != nil {
		t.Fatal(err)
	}
	return len(left)
}

func TestPutGetDelete(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := func(name, want string) {
		t.Helper()
		if got := body(t, s, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	f("a", "not found")
	if _, created, err := put(s, "a", "one", nil); !created || err != nil {
		t.Fatal(created, err)
	}
	mustPut(t, s, "a/b", "below a")
	mustPut(t, s, "empty", "")
	f("a", "one")
	f("a/b", "below a")
	f("empty", "")
	if _, created, err := put(s, "a", "two", nil); created || err != nil {
		t.Fatal(created, err)
	}
	s = open(t, dir)
	f("a", "two")
	if n, bytes := s.Index().Len(); n != 3 || bytes != 10 {
		t.Errorf("%d objects, %d bytes", n, bytes)
	}
	if _, err := s.Delete("a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Delete("a", nil); !errors.Is(err, fault.NotFound) {
		t.Errorf("second delete: %v", err)
	}
	f("a", "not found")
	f("a/b", "below a")
	s = open(t, dir)
	f("a", "not found")
	if incoming(t, dir) != 0 {
		t.Error("uploads left")
	}
}

func TestReaderKeepsWhatItOpened(t *testing.T) {
	s := open(t, t.TempDir())
	mustPut(t, s, "a", "old")
	o, err := s.Get("a")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	mustPut(t, s, "a", "newer")
	if b, err := io.ReadAll(o.Body()); string(b) != "old" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestAbandonedUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	mustPut(t, s, "a", "old")
	u, err := s.NewUpload(Meta{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(u, "half")
	u.Close()
	if _, _, err := put(s, "a", "new", func(names.Entry, bool) error { return fault.New(fault.Conflict, "no") }); !errors.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	if got := body(t, s, "a"); got != "old" || incoming(t, dir) != 0 {
		t.Errorf("%q, %d left", got, incoming(t, dir))
	}
	if err := os.WriteFile(filepath.Join(dir, incomingDir, "torn"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if incoming(t, dir) != 0 {
		t.Error("start did not clean up")
	}
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, n := range []string{"torn", "flipped", "moved", "good"} {
		mustPut(t, s, n, "content")
	}
	at := func(n string) string { return filepath.Join(dir, pathOf(n)) }
	if err := os.Truncate(at("torn"), HeadSize+3); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(at("flipped"))
	if err != nil {
		t.Fatal(err)
	}
	b[70] ^= 1
	if err := os.WriteFile(at("flipped"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(at("good"), filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "x"), at("moved")); err != nil {
		t.Fatal(err)
	}
	s, damaged, err := Open(dir, Options{MaxObjects: 10})
	if err != nil || len(damaged) != 3 {
		t.Fatalf("%d damaged, %v", len(damaged), err)
	}
	for _, n := range []string{"torn", "flipped", "moved"} {
		if got := body(t, s, n); got != "corrupt" {
			t.Errorf("%s: %q", n, got)
		}
		mustPut(t, s, n, "again")
		if got := body(t, s, n); got != "again" {
			t.Errorf("%s after writing anew: %q", n, got)
		}
	}
}

func TestMaxObjects(t *testing.T) {
	s, _, err := Open(t.TempDir(), Options{MaxObjects: 2})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "a", "")
	mustPut(t, s, "b", "")
	if _, _, err := put(s, "c", "", nil); !errors.Is(err, fault.Full) {
		t.Errorf("%v", err)
	}
	mustPut(t, s, "a", "replaced")
}

// TestOneOfManyCreates lets many writers create one name: one may.
func TestOneOfManyCreates(t *testing.T) {
	s := open(t, t.TempDir())
	isNew := func(_ names.Entry, exists bool) error {
		if exists {
			return fault.New(fault.Conflict, "exists")
		}
		return nil
	}
	for round := range 3 {
		var wg sync.WaitGroup
		won := make(chan string, 8)
		for i := range 8 {
			wg.Go(func() {
				text := fmt.Sprint(i)
				if _, _, err := put(s, fmt.Sprint("n", round), text, isNew); err == nil {
					won <- text
				}
			})
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("%d writers created the object", len(won))
		}
		if w, got := <-won, body(t, s, fmt.Sprint("n", round)); w != got {
			t.Errorf("%s won, %s is stored", w, got)
		}
	}
}

// TestFullDisk fills a small tmpfs at every stage of a write; old objects stay, nothing is left, and it goes on when room is back.
func TestFullDisk(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k,nr_inodes=60"); err != nil {
		t.Skip("SKIP-NEEDS: mount of a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := open(t, dir)
	mustPut(t, s, "old", "old")
	if _, _, err := put(s, "old", strings.Repeat("x", 1<<20), nil); !errors.Is(err, fault.Full) {
		t.Fatalf("a body larger than the disk: %v", err)
	}
	var err error
	n := 0
	for err == nil && n < 1000 { // runs out of inodes for directories or files
		n++
		_, _, err = put(s, fmt.Sprint("n", n), "x", nil)
	}
	if !errors.Is(err, fault.Full) {
		t.Fatalf("after %d objects: %v", n, err)
	}
	if got := body(t, s, "old"); got != "old" || incoming(t, dir) != 0 {
		t.Errorf("%q, %d uploads left", got, incoming(t, dir))
	}
	if got := body(t, s, fmt.Sprint("n", n)); got != "not found" {
		t.Errorf("the refused object: %q", got)
	}
	if _, err := s.Delete("n1", nil); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	}
	if got := body(t, open(t, dir), fmt.Sprint("n", n-1)); got != "x" {
		t.Errorf("last accepted: %q", got)
	}
}

func TestUnwritableDirectory(t *testing.T) {
	labtest.Needs(t, labtest.Root)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, ""); err != nil {
		t.Skip("SKIP-NEEDS: mount of a tmpfs: " + err.Error())
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if _, _, err := Open(dir, Options{}); !errors.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
}

func TestModifiedComesFromTheClock(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 456789e3, time.FixedZone("", 3600))
	s, _, err := Open(t.TempDir(), Options{MaxObjects: 1, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	if m := mustPut(t, s, "a", ""); !m.Modified.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("%v", m.Modified)
	}
}
