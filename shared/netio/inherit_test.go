package netio

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseEnvironment(t *testing.T) {
	none := environment{firstFD: 3, readyFD: -1}
	tests := []struct {
		name string
		env  map[string]string
		want environment
	}{
		{"nothing", nil, none},
		{"another process's", map[string]string{"LISTEN_PID": "99", "LISTEN_FDS": "2"}, none},
		{"no pid and no hand-over", map[string]string{"LISTEN_FDS": "2"}, none},
		{"another process's, with hand-over", map[string]string{"LISTEN_PID": "99", "LISTEN_FDS": "2", envHandover: "1", envReadyFD: "5"}, none},
		{"ours", map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "http::dns"},
			environment{firstFD: 3, readyFD: -1, names: []string{"http", "unknown", "dns"}}},
		{"ours, without names", map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "1", envReadyFD: "9"},
			environment{firstFD: 3, readyFD: -1, names: []string{"unknown"}}},
		{"hand-over", map[string]string{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", envHandover: "1", envReadyFD: "4"},
			environment{firstFD: 3, readyFD: 4, names: []string{"http"}, handover: true}},
		{"rubbish", map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "-1"}, environment{firstFD: 3, readyFD: -1, names: []string{}}},
		{"too many", map[string]string{"LISTEN_PID": "100", "LISTEN_FDS": "999999999"}, environment{firstFD: 3, readyFD: -1, names: []string{}}},
	}
	for _, tt := range tests {
		got := parseEnvironment(func(k string) string { return tt.env[k] }, 100)
		if d := cmp.Diff(tt.want, got, cmp.AllowUnexported(environment{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
}

func TestNewSetClearsTheEnvironment(t *testing.T) {
	ours := []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", envHandover, envReadyFD}
	for _, k := range ours {
		t.Setenv(k, "1")
	}
	s, err := NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, k := range ours {
		if v, set := os.LookupEnv(k); set {
			t.Errorf("%s=%s is still set", k, v)
		}
	}
}

// pass makes sockets as a service manager would, and hands duplicates of them to a new set.
func pass(t *testing.T, handover bool, named map[string]rawConn) *Set {
	t.Helper()
	s := newSet(t)
	for _, name := range sortedKeys(named) {
		f, err := dup(named[name], name)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Dup(int(f.Fd())) // does not close on exec, as after a start
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		all, err := adoptFDs([]string{name}, fd, handover)
		if err != nil {
			t.Fatal(err)
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: not closed on exec", name)
		}
		s.inherited = append(s.inherited, all...)
	}
	return s
}

func tcp(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func TestInheritedByNameAndAddress(t *testing.T) {
	web, web2, other, unit := tcp(t), tcp(t), tcp(t), tcp(t)
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	s := pass(t, false, map[string]rawConn{
		"http": web, "kept.http-1": web2, "unused": other, "lbd.socket": unit, "dns": udp.(*net.UDPConn),
	})
	for name, want := range map[string]net.Listener{"http": web, "http-1": web2, "admin": unit} {
		l := listen(t, s, name, "tcp", want.Addr().String(), Options{})
		echoes(t, l)
		want.Close()
		echoes(t, l) // the inherited one is another descriptor of the same socket
	}
	c, err := s.ListenPacket("dns", "udp", udp.LocalAddr().String(), Options{})
	if err != nil || c.LocalAddr().String() != udp.LocalAddr().String() {
		t.Errorf("ListenPacket = %v, %v", c, err)
	}
	names, files, err := s.Files()
	closeAll(files)
	if d := cmp.Diff([]string{"admin", "dns", "http", "http-1"}, names); d != "" || err != nil {
		t.Errorf("Files: %v (-want +got):\n%s", err, d)
	}
	if d := cmp.Diff([]string{"unused"}, s.CloseUnused()); d != "" {
		t.Errorf("CloseUnused (-want +got):\n%s", d)
	}
}

func TestInheritedMisfit(t *testing.T) {
	web, kept := tcp(t), tcp(t)
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	idle, err := net.Dial("tcp", web.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	s := pass(t, false, map[string]rawConn{"http": web, "kept.https": kept, "dns": udp.(*net.UDPConn), "peer": idle.(*net.TCPConn)})
	for name, want := range map[string]string{
		"http": "tcp " + web.Addr().String(), "dns": "udp " + udp.LocalAddr().String(), "peer": "does not listen",
	} {
		_, err := s.Listen(name, "tcp", "127.0.0.1:8", Options{})
		if !errors.Is(err, fault.Config) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tcp 127.0.0.1:8") {
			t.Errorf("%s: %v, want fault.Config with %q and the address asked for", name, err, want)
		}
	}
	l := listen(t, s, "https", "tcp", "127.0.0.1:0", Options{}) // the kept one fits any port
	if l.Addr().String() != kept.Addr().String() {
		t.Errorf("bound to %s, the kept socket is %s", l.Addr(), kept.Addr())
	}
}

func TestOwnInheritedMisfitIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.sock")
	before := newSet(t)
	old := listen(t, before, "admin", "unix", path, Options{})
	before.HandedOver()
	s := pass(t, true, map[string]rawConn{"admin": old.(*unixListener)})
	listen(t, s, "admin", "unix", path+".new", Options{})
	if d := cmp.Diff([]string{"admin"}, s.CloseUnused()); d != "" {
		t.Errorf("CloseUnused (-want +got):\n%s", d)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path of the old socket stays: %v", err)
	}
}

func TestInheritedUnixPath(t *testing.T) {
	for _, handover := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "s")
		before := newSet(t)
		old := listen(t, before, "admin", "unix", path, Options{})
		s := pass(t, handover, map[string]rawConn{"admin": old.(*unixListener)})
		before.HandedOver()
		before.Close()
		echoes(t, listen(t, s, "admin", "unix", path, Options{}))
		s.Close()
		if _, err := os.Lstat(path); (err != nil) != handover {
			t.Errorf("handed over %t: after Close the path: %v; one that systemd made must stay", handover, err)
		}
	}
}

func TestFilesStayNonBlocking(t *testing.T) {
	s := newSet(t)
	l := listen(t, s, "a", "tcp", "127.0.0.1:0", Options{})
	_, files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(files)
	if flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %x, %v: Accept would block a thread, and Close would hang", flags, err)
	}
	echoes(t, l)
}

func TestTakeFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s := pass(t, true, map[string]rawConn{"state-lock": w})
	if f := s.TakeFile("nothing"); f != nil {
		t.Error("a file that nobody handed over")
	}
	f := s.TakeFile("state-lock")
	if f == nil || s.TakeFile("state-lock") != nil {
		t.Fatal("not taken exactly once")
	}
	f.WriteString("x")
	f.Close()
	if n, err := r.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
}
