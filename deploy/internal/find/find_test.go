package find

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
)

// serve answers on a socket as a daemon would.
func serve(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("{}")) })}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

func TestIn(t *testing.T) {
	base := t.TempDir()
	dead, live := filepath.Join(base, "dead"), filepath.Join(base, "live")
	for _, d := range []string{dead, live, filepath.Join(live, "cached")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dead, "lbd.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := In(t.Context(), []string{dead}); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), dead) {
		t.Errorf("a dead socket: %v", err)
	}
	serve(t, filepath.Join(live, "logd.sock"))
	serve(t, filepath.Join(live, "cached", "cached.sock"))
	link := filepath.Join(base, "link")
	if err := os.Symlink(live, link); err != nil {
		t.Fatal(err)
	}
	found, err := In(t.Context(), []string{dead, link})
	if err != nil || len(found) != 2 || found[0].Name != "logd" || found[1].Name != "cached" {
		t.Fatalf("found %v, %v", found, err)
	}
	if d, err := One(found, "cached"); err != nil || !strings.HasSuffix(d.Socket, "live/cached/cached.sock") {
		t.Errorf("cached: %v, %v", d, err)
	}
	if _, err := One(found, "lbd"); !errors.Is(err, fault.NotFound) {
		t.Errorf("lbd: %v", err)
	}
	if _, err := One(found, "nginx"); !errors.Is(err, fault.Invalid) {
		t.Errorf("nginx: %v", err)
	}
}
