package admin

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Another user's process is named by its uid, and the file's mode decides whether it may come in at all.
func TestPeerOfAnotherUser(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("needs curl: " + err.Error())
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: starts a process of another user")
	}
	dir, err := os.MkdirTemp("", "admin")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig()
	r.handleEcho()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l, nil) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	ask := func(mode os.FileMode) (string, error) {
		t.Helper()
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(socket, mode); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(curl, "-sS", "-m", "20", "--unix-socket", socket, "http://localhost/v1/pools/web")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := ask(0o666); err != nil || !strings.Contains(out, `"by": "uid 65534"`) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := ask(0o660); err == nil {
		t.Errorf("a stranger was let in: %s", out)
	}
}
