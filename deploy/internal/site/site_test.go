package site

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/everup/everup/deploy/examples"
	"github.com/everup/everup/shared/fault"
)

func TestRenderMovesEverything(t *testing.T) {
	l, err := layout(t.TempDir(), os.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.make(); err != nil {
		t.Fatal(err)
	}
	if err := WriteConfig(l, 1000, []string{"192.0.2.1:53"}); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, p := range Ports() {
		known[strconv.Itoa(p.Number+1000)] = true
	}
	addr := regexp.MustCompile(`127\.0\.0\.1:(\d+)`)
	for _, name := range []string{"lbd", "dnsd", "cached", "storaged", "logd"} {
		b, err := os.ReadFile(filepath.Join(l.Config, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, m := range addr.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s: port %s is not in the table of ports", name, m[1])
			}
		}
		for _, old := range []string{"/etc/everup", "/var/lib/everup", "/run/everup/"} {
			if strings.Contains(strings.ReplaceAll(text, "everup secret > ", ""), " "+old) {
				t.Errorf("%s still has %s", name, old)
			}
		}
		if !strings.Contains(text, l.Socket(name)) {
			t.Errorf("%s has not its socket", name)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(l.Config, "dnsd.yaml")); !strings.HasSuffix(string(b), "forward:\n  upstreams:\n    - \"192.0.2.1:53\"\n") {
		t.Errorf("dnsd.yaml ends %q", b[max(0, len(b)-80):])
	}
}

func TestPortsAreThoseOfTheExamples(t *testing.T) {
	var used []string
	for _, name := range []string{"lbd", "dnsd", "cached", "storaged", "logd"} {
		b, err := fs.ReadFile(examples.OneHost(), name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range loopback.FindAllStringSubmatch(string(b), -1) {
			used = append(used, m[1])
		}
	}
	for _, p := range Ports() {
		if !slices.Contains(used, strconv.Itoa(p.Number)) {
			t.Errorf("port %d (%s) is in no example", p.Number, p.What)
		}
	}
}

func TestSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := keepSecret(path); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(path)
	if err := keepSecret(path); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	st, err1 := os.Stat(path)
	if err != nil || err1 != nil || string(first) != string(second) || len(first) < 40 || st.Mode().Perm() != 0o600 {
		t.Errorf("%d bytes, then %d, mode %v, %v, %v", len(first), len(second), st.Mode(), err, err1)
	}
}

func TestLongPath(t *testing.T) {
	tmp := t.TempDir()
	dir := filepath.Join(tmp, strings.Repeat("long/", 30))
	l, err := layout(dir, tmp, os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(l.Run) != tmp {
		t.Fatalf("sockets in %s", l.Run)
	}
	for range 2 { // the second time all is there already
		if err := l.make(); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := os.Readlink(filepath.Join(l.Dir, "run")); err != nil || to != l.Run {
		t.Errorf("link to %s, %v", to, err)
	}
	if err := os.Chmod(l.Run, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := l.make(); !errors.Is(err, fault.Denied) {
		t.Errorf("a directory that others may write to: %v", err)
	}
}

func TestAwkwardDirectory(t *testing.T) {
	for _, dir := range []string{"/a/b: c", "/a#b", `/a"b`, "/a}b", "/a$b"} {
		if _, err := layout(dir, "/tmp", 1); !errors.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := layout("/home/Jörg M/my-site", "/tmp", 1); err != nil {
		t.Error(err)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	offset, err := FreeOffset()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(PortFiles+offset))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	err = checkPorts(offset)
	self := filepath.Base(os.Args[0])
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "files of storaged) is held by "+self[:min(len(self), 15)]) ||
		!strings.Contains(err.Error(), "(pid "+strconv.Itoa(os.Getpid())+")") || !strings.Contains(err.Error(), "--port-offset") {
		t.Errorf("error %v", err)
	}
	if err := checkOffset(MaxOffset + 1); !errors.Is(err, fault.Invalid) {
		t.Errorf("offset too large: %v", err)
	}
}
