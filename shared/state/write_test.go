package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// names lists a directory.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteFileReplacesWithTheModeAsked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	for i, perm := range []os.FileMode{0o600, 0o664, 0o400, 0o640} {
		want := strings.Repeat("x", i*10000)
		if err := WriteFile(path, []byte(want), perm); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode() != perm {
			t.Errorf("mode %v, %v; want %v", st.Mode(), err, perm)
		}
		if content(t, path) != want {
			t.Errorf("content differs after write %d", i)
		}
	}
	if d := cmp.Diff([]string{"f"}, names(t, dir)); d != "" {
		t.Errorf("directory (-want +got):\n%s", d)
	}
}

func TestWriteFileReplacesALinkNotItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	os.WriteFile(target, []byte("old"), 0o600)
	os.Symlink(target, link)
	if err := WriteFile(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content(t, target) != "old" || content(t, link) != "new" {
		t.Errorf("target %q, link %q", content(t, target), content(t, link))
	}
}

// onThread runs f on a thread of its own that is thrown away after it.
func onThread(f func() error) error {
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errs <- f()
	}()
	return <-errs
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a file system, or changes the user")
	}
}

// inTmpfs runs f on a thread with a mount name space of its own, where dir is a tmpfs of size.
func inTmpfs(t *testing.T, dir, size string, f func() error) error {
	needRoot(t)
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			return err
		}
		return f()
	})
}

func TestWriteFileOnAFullDiskLeavesTheOld(t *testing.T) {
	dir := t.TempDir()
	err := inTmpfs(t, dir, "64k", func() error {
		path := filepath.Join(dir, "f")
		old := bytes.Repeat([]byte("old "), 2000)
		if err := WriteFile(path, old, 0o600); err != nil {
			return err
		}
		for range 20 { // were anything left behind, the disk would fill
			if err := WriteFile(path, make([]byte, 100_000), 0o600); !errors.Is(err, fault.Full) {
				return fmt.Errorf("write to a full disk: %v, want fault.Full", err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, old) {
			return fmt.Errorf("the old content is gone: %d bytes, %v", len(got), err)
		}
		if d := cmp.Diff([]string{"f"}, names(t, dir)); d != "" {
			return fmt.Errorf("left behind (-want +got):\n%s", d)
		}
		return WriteFile(path, bytes.Repeat([]byte("new "), 2000), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteFileInADirectoryNotWritable(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	dir := filepath.Join(base, "readonly")
	path := filepath.Join(dir, "f")
	os.Chmod(filepath.Dir(base), 0o755)
	os.Chmod(base, 0o755)
	os.Mkdir(dir, 0o755)
	os.WriteFile(path, []byte("old"), 0o644)
	err := onThread(func() error {
		// The raw call changes this thread's user only.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			return errno
		}
		return WriteFile(path, []byte("new"), 0o600)
	})
	if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), path) {
		t.Errorf("WriteFile() = %v, want fault.Denied with the path", err)
	}
	if content(t, path) != "old" || len(names(t, dir)) != 1 {
		t.Errorf("content %q, directory %v", content(t, path), names(t, dir))
	}
}

func TestWriteFileOntoADirectoryLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "f"), 0o700)
	if err := WriteFile(filepath.Join(dir, "f"), []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if d := cmp.Diff([]string{"f"}, names(t, dir)); d != "" {
		t.Errorf("directory (-want +got):\n%s", d)
	}
}

const childEnv = "EVERUP_TEST_STATE_CHILD"

// TestMain turns the test binary into a helper process when childEnv is set: "MODE DIRECTORY".
func TestMain(m *testing.M) {
	mode, dir, ok := strings.Cut(os.Getenv(childEnv), " ")
	if !ok {
		os.Exit(m.Run())
	}
	os.Exit(fault.ExitCode(helper(mode, dir)))
}

func helper(mode, dir string) error {
	d, err := Open(dir)
	if err != nil {
		fmt.Println(err)
		return err
	}
	fmt.Println("open")
	if mode == "hold" {
		_, err := os.Stdin.Read(make([]byte, 1))
		return err
	}
	for n := 0; ; n++ { // "rewrite", until it is killed
		if err := d.Save("f", "crash", 1, crashValue(n)); err != nil {
			fmt.Println(err)
			return err
		}
		fmt.Println("saved")
	}
}

// crash is a value that shows when it is put together from two writes.
type crash struct {
	N    int
	Fill []int
}

func crashValue(n int) crash {
	c := crash{N: n, Fill: make([]int, n%500*10)}
	for i := range c.Fill {
		c.Fill[i] = n
	}
	return c
}

func startHelper(t *testing.T, mode, dir string) (*exec.Cmd, *lines) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode+" "+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	return cmd, newLines(t, out)
}

func TestKilledWhileWritingLeavesAWholeVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("needs time: starts and kills many processes")
	}
	dir := t.TempDir()
	for round := range 20 {
		cmd, out := startHelper(t, "rewrite", dir)
		for range 1 + round%7 { // the kill falls into some later write
			out.until("saved")
		}
		cmd.Process.Kill()
		cmd.Wait()
		checkCrash(t, dir)
	}
}

// checkCrash opens the directory as the next start would.
func checkCrash(t *testing.T, dir string) {
	t.Helper()
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got crash
	if err := d.Load("f", "crash", 1, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(crashValue(got.N), got); diff != "" {
		t.Fatalf("no version of the file (-want +got):\n%s", diff)
	}
	if d := cmp.Diff([]string{".lock", "f"}, names(t, dir)); d != "" {
		t.Fatalf("left behind after Open (-want +got):\n%s", d)
	}
}
