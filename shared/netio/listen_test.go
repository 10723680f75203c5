package netio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func newSet(t *testing.T) *Set {
	t.Helper()
	s := &Set{open: make(map[string]*socket)}
	t.Cleanup(func() { s.Close() })
	return s
}

func listen(t *testing.T, s *Set, name, network, addr string, o Options) net.Listener {
	t.Helper()
	l, err := s.Listen(name, network, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// echoes tells whether a connection to l arrives there.
func echoes(t *testing.T, l net.Listener) {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "x")
	in.Close()
	if b, err := io.ReadAll(c); string(b) != "x" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestListenNetworks(t *testing.T) {
	s := newSet(t)
	dir := t.TempDir()
	for i, tt := range []struct{ network, addr, want string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1:"}, {"tcp4", "localhost:0", "127.0.0.1:"}, {"tcp6", "[::1]:0", "[::1]:"},
		{"tcp", "[::1]:0", "[::1]:"}, {"tcp", "localhost:0", "127.0.0.1:"}, {"tcp4", ":0", "0.0.0.0:"},
		{"tcp", "0.0.0.0:0", "0.0.0.0:"}, {"tcp", "[::]:0", "[::]:"}, {"tcp", ":0", "[::]:"},
		{"unix", filepath.Join(dir, "s"), filepath.Join(dir, "s")}, {"unix", fmt.Sprintf("@everup-netio-%d", os.Getpid()), "@everup"},
	} {
		l, err := s.Listen(fmt.Sprint("l", i), tt.network, tt.addr, Options{Backlog: 16})
		if err != nil {
			t.Errorf("%s %s: %v", tt.network, tt.addr, err)
			continue
		}
		if !strings.HasPrefix(l.Addr().String(), tt.want) {
			t.Errorf("%s %s: bound to %s", tt.network, tt.addr, l.Addr())
		}
		echoes(t, l)
	}
	for i, tt := range []struct{ network, addr string }{
		{"udp", "127.0.0.1:0"}, {"udp6", "[::1]:0"}, {"udp", ":0"}, {"unixgram", filepath.Join(dir, "g")},
	} {
		c, err := s.ListenPacket(fmt.Sprint("p", i), tt.network, tt.addr, Options{})
		if err != nil {
			t.Errorf("%s %s: %v", tt.network, tt.addr, err)
			continue
		}
		out, err := net.Dial(tt.network, c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		out.Write([]byte("x"))
		if n, _, err := c.ReadFrom(make([]byte, 9)); n != 1 || err != nil {
			t.Errorf("%s %s: read %d, %v", tt.network, tt.addr, n, err)
		}
		out.Close()
	}
}

func TestWildcardsOfBothFamiliesStandSideBySide(t *testing.T) {
	s := newSet(t)
	l := listen(t, s, "four", "tcp", "0.0.0.0:0", Options{})
	port := l.Addr().(*net.TCPAddr).Port
	listen(t, s, "six", "tcp", fmt.Sprintf("[::]:%d", port), Options{})
}

func TestListenRefuses(t *testing.T) {
	s := newSet(t)
	plain := filepath.Join(t.TempDir(), "plain")
	os.WriteFile(plain, []byte("precious"), 0o600)
	listen(t, s, "taken", "tcp", "127.0.0.1:0", Options{})
	for _, tt := range []struct {
		name, network, addr string
		want                fault.Class
		text                string
	}{
		{"a", "tcp", "127.0.0.1", fault.Invalid, "want host:port"},
		{"a", "tcp", "127.0.0.1:99999", fault.Invalid, "99999"},
		{"a", "tcp6", "127.0.0.1:0", fault.Invalid, "not of network tcp6"},
		{"a", "udp", "127.0.0.1:0", fault.Invalid, `network "udp"`},
		{"a", "unix", "relative", fault.Invalid, "absolute path"},
		{"a", "unix", "/" + strings.Repeat("x", 107), fault.Invalid, "108 bytes, at most 107"},
		{"a", "unix", plain, fault.Conflict, "is no socket"},
		{"a", "unix", plain + ".d/s", fault.NotFound, "no such file"},
		{"a", "tcp", "192.0.2.1:0", fault.Unavailable, "no interface of this host has the address 192.0.2.1"},
		{"taken", "tcp", "127.0.0.1:0", fault.Conflict, "name taken is in use"},
		{"a:b", "tcp", "127.0.0.1:0", fault.Invalid, "without ':'"},
	} {
		_, err := s.Listen(tt.name, tt.network, tt.addr, Options{})
		if fault.Of(err) != tt.want || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("Listen %s %s %s = %v, want class %v and %q", tt.name, tt.network, tt.addr, err, tt.want, tt.text)
		}
	}
	if b, _ := os.ReadFile(plain); string(b) != "precious" {
		t.Error("a file that is no socket was removed")
	}
}

func TestListenInUseNamesTheHolder(t *testing.T) {
	s := newSet(t)
	self := fmt.Sprintf("in use by process %d (netio.test)", os.Getpid())
	dir := t.TempDir()
	for i, network := range []string{"tcp", "tcp4", "tcp6", "unix"} {
		addr := map[string]string{"tcp": ":0", "tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": dir + "/s"}[network]
		l := listen(t, s, fmt.Sprint("a", i), network, addr, Options{})
		_, err := s.Listen(fmt.Sprint("b", i), network, l.Addr().String(), Options{})
		if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), self) {
			t.Errorf("%s: %v, want fault.Conflict and %q", network, err, self)
		}
	}
	for i, network := range []string{"udp4", "udp6", "unixgram"} {
		addr := map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0", "unixgram": dir + "/g"}[network]
		c, err := s.ListenPacket(fmt.Sprint("c", i), network, addr, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.ListenPacket(fmt.Sprint("d", i), network, c.LocalAddr().String(), Options{})
		if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), self) {
			t.Errorf("%s: %v, want fault.Conflict and %q", network, err, self)
		}
	}
	if pid, command, ok := Holder("tcp", "127.0.0.1:1"); ok {
		t.Errorf("a port nobody has is held by %d (%s)", pid, command)
	}
}

func TestListenReusePort(t *testing.T) {
	s := newSet(t)
	l := listen(t, s, "a", "tcp", "127.0.0.1:0", Options{ReusePort: true})
	listen(t, s, "b", "tcp", l.Addr().String(), Options{ReusePort: true})
	if _, err := s.Listen("c", "tcp", l.Addr().String(), Options{}); !errors.Is(err, fault.Conflict) {
		t.Errorf("without ReusePort: %v", err)
	}
}

func TestListenLowPortNeedsACapability(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: changes the user of a thread and has a network name space of its own")
	}
	errs := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			errs <- err
			return
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			errs <- errno
			return
		}
		_, err := (&Set{open: make(map[string]*socket)}).Listen("dns", "tcp", "0.0.0.0:53", Options{})
		errs <- err
	}()
	err := <-errs
	if !errors.Is(err, fault.Denied) || !strings.Contains(err.Error(), "AmbientCapabilities=CAP_NET_BIND_SERVICE") {
		t.Errorf("Listen on port 53 without the capability = %v", err)
	}
}

func TestUnixSocketModes(t *testing.T) {
	s := newSet(t)
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	for i, perm := range []os.FileMode{0, 0o600, 0o666, 0o660} {
		path := filepath.Join(t.TempDir(), "s")
		listen(t, s, fmt.Sprint(i), "unix", path, Options{Perm: perm})
		want := Options{Perm: perm}.perm()
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("mode %v, %v; want %v", st.Mode(), err, want)
		}
	}
}

// The mode is already in force when bind makes the file, whatever the umask allows.
func TestUnixSocketIsNeverWider(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "s")
	tg, err := parseTarget("unix", path, true)
	if err != nil {
		t.Fatal(err)
	}
	lc := net.ListenConfig{Control: tg.control(Options{Perm: 0o600})}
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("after bind alone the mode is %v, %v", st.Mode(), err)
	}
}

func TestUnixSocketStaleAndLive(t *testing.T) {
	dir := t.TempDir()
	for _, network := range []string{"unix", "unixgram"} {
		path := filepath.Join(dir, network)
		s := newSet(t)
		open := func(s *Set, name string) error {
			var err error
			if network == "unix" {
				_, err = s.Listen(name, network, path, Options{})
			} else {
				_, err = s.ListenPacket(name, network, path, Options{})
			}
			return err
		}
		if err := open(s, "a"); err != nil {
			t.Fatal(err)
		}
		if err := open(s, "b"); !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: a live socket was replaced: %v", network, err)
		}
		s.HandedOver() // so that its path stays
		s.Close()
		if _, err := os.Lstat(path); err != nil {
			t.Fatalf("%s: a socket that was handed over is removed: %v", network, err)
		}
		next := newSet(t)
		if err := open(next, "a"); err != nil {
			t.Errorf("%s: a stale socket: %v", network, err)
		}
		next.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: left behind after Close: %v", network, err)
		}
	}
}

func TestUnixSocketOfAnotherIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, newSet(t), "a", "unix", path, Options{})
	os.Remove(path)
	listen(t, newSet(t), "a", "unix", path, Options{})
	l.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("closing a socket removed another's path: %v", err)
	}
}

func TestNameIsFreeAfterClose(t *testing.T) {
	s := newSet(t)
	l := listen(t, s, "a", "tcp", "127.0.0.1:0", Options{})
	l.Close()
	if names, files, err := s.Files(); len(names)+len(files) != 0 || err != nil {
		t.Errorf("Files of a closed listener: %v, %v", names, err)
	}
	listen(t, s, "a", "tcp", l.Addr().String(), Options{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Listen("b", "tcp", "127.0.0.1:0", Options{}); !errors.Is(err, fault.Unavailable) {
		t.Errorf("Listen after Close = %v", err)
	}
}

func TestParseProcAddr(t *testing.T) {
	got := []string{}
	for _, s := range []string{"0100007F:1F90", "00000000000000000000000001000000:0035", "0000000000000000FFFF00000100007F:0001", "01:1", "x", "0100007F:"} {
		ap, ok := parseProcAddr(s)
		got = append(got, fmt.Sprint(ap, ok))
	}
	want := []string{"127.0.0.1:8080 true", "[::1]:53 true", "[::ffff:127.0.0.1]:1 true"}
	if d := cmp.Diff(want, got[:3]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, s := range got[3:] {
		if strings.HasSuffix(s, "true") {
			t.Errorf("rubbish was read as %s", s)
		}
	}
}

func TestDuplicate(t *testing.T) {
	s := newSet(t)
	for name, l := range map[string]net.Listener{
		"tcp":  listen(t, s, "a", "tcp", "127.0.0.1:0", Options{}),
		"unix": listen(t, s, "b", "unix", filepath.Join(t.TempDir(), "s"), Options{}),
	} {
		fd, err := Duplicate(l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, _, err := unix.Accept4(fd, 0); err != unix.EAGAIN {
			t.Errorf("%s: accept from an empty queue: %v, want EAGAIN", name, err)
		}
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		in, _, err := unix.Accept4(fd, 0)
		if err != nil {
			t.Errorf("%s: accept by the duplicate: %v", name, err)
		}
		unix.Close(in)
		c.Close()
		unix.Close(fd)
		echoes(t, l)
		l.Close()
		if _, err := Duplicate(l); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: of a closed listener: %v, want net.ErrClosed", name, err)
		}
	}
	if _, err := Duplicate(struct{ net.Listener }{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("of a listener without socket: %v, want %v", err, fault.Invalid)
	}
}
