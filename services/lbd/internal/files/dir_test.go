package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// build makes a directory with what must and what must not be served.
func build(t testing.TB) (root string) {
	t.Helper()
	top := t.TempDir()
	root = filepath.Join(top, "root")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "sub/deep"), 0o755))
	must(os.Mkdir(filepath.Join(top, "rootless"), 0o755))
	for name, content := range map[string]string{"root/a.txt": "inside", "root/sub/b.txt": "below", "secret.txt": "outside", "rootless/c.txt": "beside"} {
		must(os.WriteFile(filepath.Join(top, name), []byte(content), 0o644))
	}
	for name, to := range map[string]string{
		"in": "sub/b.txt", "sub/up": "../a.txt", "dirlink": "sub", "out": "../secret.txt", "outdir": "..", "abs": filepath.Join(root, "a.txt"),
		"beside": "../rootless/c.txt", "loop": "loop", "dangling": "nothing", "proc": "/proc/self/root/etc/passwd",
	} {
		must(os.Symlink(to, filepath.Join(root, name)))
	}
	must(unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	defer unix.Close(fd)
	t.Chdir(root) // a socket's path is short
	must(unix.Bind(fd, &unix.SockaddrUnix{Name: "socket"}))
	return root
}

// TestDir: nothing outside of the root is opened, and nothing is waited for.
func TestDir(t *testing.T) {
	d := OpenDir(build(t), NewGate(100))
	defer d.CloseDir()
	f := func(name string, kind Kind, size int64, want error) {
		t.Helper()
		var o Object
		err := d.Open([]byte(name), &o)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || o.Kind != kind || kind == Regular && o.Size != size {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		if err == nil {
			d.Close(&o)
		}
	}
	f("a.txt", Regular, 6, nil)
	f("sub/b.txt", Regular, 5, nil)
	f("in", Regular, 5, nil)
	f("sub/up", Regular, 6, nil)
	f("dirlink/b.txt", Regular, 5, nil)
	f("", Directory, 0, nil)
	f("sub/deep", Directory, 0, nil)
	f("fifo", Special, 0, nil)
	f("socket", None, 0, fs.ErrPermission)
	f("out", None, 0, fs.ErrPermission)
	f("outdir/secret.txt", None, 0, fs.ErrPermission)
	f("outdir", None, 0, fs.ErrPermission)
	f("beside", None, 0, fs.ErrPermission)
	f("abs", None, 0, fs.ErrPermission)
	f("proc", None, 0, fs.ErrPermission)
	f("loop", None, 0, fs.ErrPermission)
	f("../secret.txt", None, 0, fs.ErrPermission)
	f("sub/../../secret.txt", None, 0, fs.ErrPermission)
	f("/etc/passwd", None, 0, fs.ErrPermission)
	f("dangling", None, 0, fs.ErrNotExist)
	f("missing", None, 0, fs.ErrNotExist)
	f("a.txt/x", None, 0, fs.ErrNotExist)
	f("a.txt\x00.png", None, 0, fs.ErrNotExist)
	f(strings.Repeat("a", 256), None, 0, fs.ErrNotExist)
	f(strings.Repeat("a/", 5000), None, 0, fs.ErrNotExist)
}

// TestGate: no more is open than the gate lets through.
func TestGate(t *testing.T) {
	gate := NewGate(2)
	d := OpenDir(build(t), gate)
	defer d.CloseDir()
	var o [3]Object
	f := func(i int, want error) {
		t.Helper()
		if err := d.Open([]byte("a.txt"), &o[i]); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	f(0, nil)
	f(1, nil)
	f(2, ErrBusy)
	d.Close(&o[0])
	if err := d.Open([]byte("missing"), &o[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	f(2, nil)
	d.Close(&o[1])
	d.Close(&o[2])
	if gate.Open() != 0 || gate.Refused() != 1 {
		t.Errorf("%d open, %d refused", gate.Open(), gate.Refused())
	}
}

// TestDirErrors: what the kernel says, in FS's words.
func TestDirErrors(t *testing.T) {
	for errno, want := range map[unix.Errno]error{
		unix.EACCES: fs.ErrPermission, unix.EMFILE: ErrBusy, unix.ENFILE: ErrBusy, unix.EAGAIN: ErrBusy, unix.EIO: unix.EIO,
	} {
		if got := classOf(errno); !errors.Is(got, want) {
			t.Errorf("%v: %v", errno, got)
		}
	}
}

// TestList: entries up to the limit; links are not followed.
func TestList(t *testing.T) {
	d := OpenDir(build(t), NewGate(100))
	defer d.CloseDir()
	var o Object
	if err := d.Open(nil, &o); err != nil {
		t.Fatal(err)
	}
	list, more, err := d.List(&o, 100)
	d.Close(&o)
	if err != nil || more || len(list) != 13 {
		t.Fatalf("%d entries, %v, %v", len(list), more, err)
	}
	for _, e := range list {
		if link := !slices.Contains([]string{"a.txt", "sub", "fifo", "socket"}, e.Name); e.Link != link || link && e.Kind != Special {
			t.Errorf("%+v", e)
		}
	}
	if err := d.Open(nil, &o); err != nil {
		t.Fatal(err)
	}
	defer d.Close(&o)
	if list, more, err := d.List(&o, 3); len(list) != 3 || !more || err != nil {
		t.Errorf("%d of 3, %v, %v", len(list), more, err)
	}
}

// TestRefresh: a root that is exchanged, as at the release of a new version, is seen; so is one that comes late.
func TestRefresh(t *testing.T) {
	top := t.TempDir()
	link := filepath.Join(top, "current")
	d := OpenDir(link, NewGate(100))
	defer d.CloseDir()
	f := func(want string) {
		t.Helper()
		got := ""
		var o Object
		if d.Open([]byte("v"), &o) == nil {
			b := make([]byte, 10)
			n, _ := unix.Pread(o.FD, b, 0)
			got = string(b[:n])
			d.Close(&o)
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	release := func(v string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(top, v), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(filepath.Join(top, v, "v"), []byte(v), 0o644), os.Symlink(v, link+"~"), os.Rename(link+"~", link)); err != nil {
			t.Fatal(err)
		}
	}
	f("")
	if err := d.Refresh(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	release("one")
	if err := d.Refresh(); err != nil {
		t.Error(err)
	}
	f("one")
	release("two")
	f("one")
	d.Refresh()
	f("two")
	os.Remove(link)
	if err := d.Refresh(); err == nil {
		t.Error("no error")
	}
	f("")
}

// FuzzDir: whatever a name is, what is opened lies below the root.
func FuzzDir(f *testing.F) {
	for _, name := range []string{"a.txt", "../secret.txt", "sub/../../secret.txt", "outdir/secret.txt", "./a.txt", "/etc/passwd", "sub//up", "dirlink/up"} {
		f.Add(name)
	}
	root := build(f)
	d := OpenDir(root, NewGate(100))
	f.Cleanup(d.CloseDir)
	f.Fuzz(func(t *testing.T, name string) {
		var o Object
		if d.Open([]byte(name), &o) != nil {
			return
		}
		defer d.Close(&o)
		at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(o.FD))
		if err != nil || at != root && !strings.HasPrefix(at, root+"/") {
			t.Fatalf("%q is %s, %v", name, at, err)
		}
	})
}
