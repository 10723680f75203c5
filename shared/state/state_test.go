package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestOpenMakesSweepsAndLocks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "lbd")
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v; want mode 0700", st.Mode(), err)
	}
	if _, err := Open(dir); !errors.Is(err, fault.Conflict) ||
		!strings.Contains(err.Error(), fmt.Sprintf("process %d (state.test)", os.Getpid())) {
		t.Errorf("second Open = %v, want fault.Conflict with the holder", err)
	}
	os.WriteFile(filepath.Join(dir, ".f"+tempMark+"ABC"), []byte("half"), 0o600)
	os.WriteFile(filepath.Join(dir, "f"), []byte("whole"), 0o600)
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	d, err = Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if diff := cmp.Diff([]string{".lock", "f"}, names(t, dir)); diff != "" {
		t.Errorf("directory (-want +got):\n%s", diff)
	}
}

func TestOpenNamesAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startHelper(t, "hold", dir)
	out.until("open")
	if _, err := Open(dir); !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprint("process ", cmd.Process.Pid)) {
		t.Errorf("Open = %v, want fault.Conflict and process %d", err, cmd.Process.Pid)
	}
	cmd.Process.Kill()
	cmd.Wait()
	d, err := Open(dir)
	if err != nil {
		t.Fatalf("a killed holder still holds: %v", err)
	}
	d.Close()
}

func TestLockIsHandedOver(t *testing.T) {
	old := open(t)
	lock, err := old.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(lock.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the duplicate is inherited by every child: %x, %v", flags, err)
	}
	d, err := Adopt(old.Path(), lock)
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	if _, err := Open(d.Path()); !errors.Is(err, fault.Conflict) {
		t.Errorf("Open after the hand-over = %v, want fault.Conflict", err)
	}
	if err := d.WriteFile("f", []byte("x")); err != nil {
		t.Error(err)
	}
	d.Close()
	if d, err = Open(d.Path()); err != nil {
		t.Fatalf("after all duplicates are closed: %v", err)
	}
	d.Close()
}

func TestAdoptRefusesAnotherLock(t *testing.T) {
	a, b := open(t), open(t)
	lock, err := b.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(a.Path(), lock); !errors.Is(err, fault.Conflict) {
		t.Errorf("Adopt of another directory's lock = %v", err)
	}
	own, err := os.OpenFile(filepath.Join(a.Path(), lockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(a.Path(), own); !errors.Is(err, fault.Conflict) {
		t.Errorf("Adopt of a file that is not locked, while another is = %v", err)
	}
}

func TestNames(t *testing.T) {
	d := open(t)
	secret := filepath.Join(d.Path(), "..", "secret")
	os.WriteFile(secret, []byte("s"), 0o600)
	os.Symlink(secret, filepath.Join(d.Path(), "link"))
	for _, name := range []string{"", ".", "..", "../secret", "a/b", "/etc/passwd", ".lock", ".hidden", "a\x00b", "b/"} {
		for op, err := range map[string]error{
			"write": d.WriteFile(name, nil), "remove": d.Remove(name), "save": d.Save(name, "k", 1, 1),
			"load": d.Load(name, "k", 1, new(int)), "read": func() error { _, err := d.ReadFile(name); return err }(),
		} {
			if !errors.Is(err, fault.Invalid) {
				t.Errorf("%s %q = %v, want fault.Invalid", op, name, err)
			}
		}
	}
	if b, err := d.ReadFile("link"); err == nil {
		t.Errorf("a link out of the directory was followed: %q", b)
	}
}

func TestFiles(t *testing.T) {
	d := open(t)
	if _, err := d.ReadFile("f"); !errors.Is(err, fault.NotFound) {
		t.Errorf("ReadFile of a missing file = %v", err)
	}
	if err := d.Remove("f"); !errors.Is(err, fault.NotFound) {
		t.Errorf("Remove of a missing file = %v", err)
	}
	if err := d.WriteFile("f", []byte("content")); err != nil {
		t.Fatal(err)
	}
	if b, err := d.ReadFile("f"); err != nil || string(b) != "content" {
		t.Errorf("ReadFile = %q, %v", b, err)
	}
	if err := d.Remove("f"); err != nil {
		t.Error(err)
	}
	big := filepath.Join(d.Path(), "big")
	os.WriteFile(big, nil, 0o600)
	os.Truncate(big, MaxFile+1)
	if _, err := d.ReadFile("big"); !errors.Is(err, fault.Full) {
		t.Errorf("ReadFile of a file too large = %v, want fault.Full", err)
	}
}

type saved struct {
	Name string
	List []int
	HTML string
}

func TestEnvelopeDetectsEveryDamage(t *testing.T) {
	d := open(t)
	want := saved{"web", []int{1, 2, 3}, "<a href=\"x\">&  é\u2028</a>"}
	if err := d.Save("f", "pool", 2, want); err != nil {
		t.Fatal(err)
	}
	var got saved
	if err := d.Load("f", "pool", 2, &got); err != nil || !cmp.Equal(want, got) {
		t.Fatalf("Load = %v, %v", got, err)
	}
	whole := content(t, filepath.Join(d.Path(), "f"))
	check := func(what string, b string) {
		t.Helper()
		if _, err := unseal([]byte(b)); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%s: %v, want fault.Corrupt", what, err)
		}
	}
	for i := range len(whole) {
		check(fmt.Sprintf("cut to %d bytes", i), whole[:i])
		for flip := 1; flip < 256; flip++ {
			b := []byte(whole)
			b[i] ^= byte(flip)
			check(fmt.Sprintf("byte %d changed by %#x", i, flip), string(b))
		}
	}
	check("something added", whole+" ")
	check("a key twice", strings.Replace(whole, `{"kind"`, `{"kind":"x","kind"`, 1))
	os.WriteFile(filepath.Join(d.Path(), "f"), []byte(whole[:len(whole)-1]), 0o600)
	if err := d.Load("f", "pool", 2, &got); !errors.Is(err, fault.Corrupt) {
		t.Errorf("Load of a cut file = %v", err)
	}
}

func TestLoadChecksKindAndVersion(t *testing.T) {
	d := open(t)
	if err := d.Save("f", "pool", 2, saved{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, kind string
		version    int
		want       fault.Class
	}{
		{"f", "pool", 2, fault.Unknown},
		{"f", "pool", 3, fault.Unknown},
		{"f", "pool", 1, fault.Unsupported},
		{"f", "ring", 2, fault.Unsupported},
		{"g", "pool", 2, fault.NotFound},
	}
	for _, tt := range tests {
		var v saved
		if got := fault.Of(d.Load(tt.name, tt.kind, tt.version, &v)); got != tt.want {
			t.Errorf("Load(%s, %s, %d) is %v, want %v", tt.name, tt.kind, tt.version, got, tt.want)
		}
	}
	if err := d.Save("f", "pool", 3, make(chan int)); !errors.Is(err, fault.Invalid) {
		t.Errorf("Save of a channel = %v", err)
	}
	if err := d.Load("f", "pool", 2, new(int)); !errors.Is(err, fault.Corrupt) {
		t.Errorf("Load into another type = %v", err)
	}
}

func FuzzUnseal(f *testing.F) {
	b, err := seal("pool", 1, map[string]int{"a": 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"kind":"","version":0,"crc32c":"","data":null}`))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := unseal(b)
		if err != nil {
			if !errors.Is(err, fault.Corrupt) {
				t.Errorf("error of another class: %v", err)
			}
			return
		}
		if again, err := e.encode(); err != nil || string(again) != string(b) {
			t.Errorf("accepted %q, which is written %q", b, again)
		}
	})
}
