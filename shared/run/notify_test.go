package run

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// manager stands for the service manager's socket.
type manager struct {
	*net.UnixConn
	t *testing.T
}

func newManager(t *testing.T, addr string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &manager{c, t}
}

// waiting returns the datagrams that have arrived, without waiting for more.
func (m *manager) waiting() (all []string) {
	raw, err := m.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		b := make([]byte, 4096)
		for {
			n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
			if err != nil {
				return
			}
			all = append(all, string(b[:n]))
		}
	})
	return all
}

// next waits for one datagram.
func (m *manager) next() string {
	m.t.Helper()
	m.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 4096)
	n, err := m.Read(b)
	if err != nil {
		m.t.Fatalf("no notification came: %v", err)
	}
	return string(b[:n])
}

// until waits for a datagram that contains want.
func (m *manager) until(want string) {
	m.t.Helper()
	for {
		if strings.Contains(m.next(), want) {
			return
		}
	}
}

func notifierAt(addr string, more ...string) *Notifier {
	env := map[string]string{"NOTIFY_SOCKET": addr}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	n := newNotifier(func(k string) string { return env[k] }, 100)
	n.mono = func() int64 { return 123456 }
	return n
}

func TestNotifierDatagrams(t *testing.T) {
	for _, addr := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@everup-test-%d", os.Getpid())} {
		m := newManager(t, addr)
		n := notifierAt(addr)
		var got []string
		for _, err := range []error{
			n.Reloading(), n.Ready("12 backends up\n1 down"), n.Ready(""), n.Status("master"), n.Watchdog(),
			n.ExtendTimeout(1500 * time.Millisecond), n.RemoveFD("http"), n.Stopping("bye"),
		} {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.waiting()...)
		}
		want := []string{
			"RELOADING=1\nMONOTONIC_USEC=123456\n", "READY=1\nSTATUS=12 backends up; 1 down\n", "READY=1\n", "STATUS=master\n",
			"WATCHDOG=1\n", "EXTEND_TIMEOUT_USEC=1500000\n", "FDSTOREREMOVE=1\nFDNAME=http\n", "STOPPING=1\nSTATUS=bye\n",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: datagrams (-want +got):\n%s", addr, d)
		}
	}
}

func TestNotifierSaysNothingAfterAnotherIsMain(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "notify")
	m, n := newManager(t, addr), notifierAt(addr)
	for _, err := range []error{n.MainPID(os.Getpid()), n.Status("mine"), n.MainPID(4711), n.Stopping("bye"), n.Watchdog()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{fmt.Sprintf("MAINPID=%d\n", os.Getpid()), "STATUS=mine\n", "MAINPID=4711\n"}
	if d := cmp.Diff(want, m.waiting()); d != "" {
		t.Errorf("datagrams (-want +got):\n%s", d)
	}
}

func TestNotifierStoresFiles(t *testing.T) {
	addr := filepath.Join(t.TempDir(), "notify")
	m, n := newManager(t, addr), notifierAt(addr)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err := n.StoreFD("http-0", w); err != nil {
		t.Fatal(err)
	}
	b, oob := make([]byte, 256), make([]byte, 256)
	nb, noob, _, _, err := m.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(b[:nb]); got != "FDSTORE=1\nFDNAME=http-0\n" {
		t.Errorf("datagram %q", got)
	}
	cms, err := unix.ParseSocketControlMessage(oob[:noob])
	if err != nil || len(cms) != 1 {
		t.Fatalf("control messages: %v, %v", cms, err)
	}
	fds, err := unix.ParseUnixRights(&cms[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors: %v, %v", fds, err)
	}
	stored := os.NewFile(uintptr(fds[0]), "stored")
	defer stored.Close()
	if _, err := stored.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if nb, err := r.Read(b); err != nil || string(b[:nb]) != "x" {
		t.Errorf("the stored descriptor is not the pipe: %q, %v", b[:nb], err)
	}
	for _, name := range []string{"", "a:b", "a\nMAINPID=1", strings.Repeat("x", 256), "é"} {
		if err := n.StoreFD(name, w); !errors.Is(err, fault.Invalid) {
			t.Errorf("StoreFD(%q) = %v, want fault.Invalid", name, err)
		}
	}
}

func TestNotifierWithoutManager(t *testing.T) {
	for _, n := range []*Notifier{nil, notifierAt(""), notifierAt("vsock:2:1234", "WATCHDOG_USEC", "1000000")} {
		if err := errors.Join(n.Ready("x"), n.Reloading(), n.Watchdog(), n.MainPID(1), n.Stopping("")); err != nil {
			t.Errorf("without a manager: %v", err)
		}
		if n.Enabled() || n.WatchdogInterval() != 0 {
			t.Error("without a manager the notifier is enabled")
		}
	}
	if err := notifierAt("/nonexistent/notify").Ready(""); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a socket nobody has: %v, want fault.Unavailable", err)
	}
}

func TestWatchdogInterval(t *testing.T) {
	tests := []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"3000000", "100", time.Second},
		{"3000000", "", time.Second},
		{"3000000", "99", 0},
		{"3000000", "100x", 0},
		{"-3", "100", 0},
		{"99999999999999999999", "100", 0},
		{"9223372036854775807", "100", 0},
	}
	for _, tt := range tests {
		n := notifierAt("/run/x", "WATCHDOG_USEC", tt.usec, "WATCHDOG_PID", tt.pid)
		if got := n.WatchdogInterval(); got != tt.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", tt.usec, tt.pid, got, tt.want)
		}
	}
}
