package run

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// notifyTimeout bounds one datagram to the service manager, whose queue may be full.
const notifyTimeout = time.Second

// Notifier speaks sd_notify(3). With no NOTIFY_SOCKET every call does nothing, and so does a nil Notifier. Each call
// sends one datagram and may block up to a second when the manager does not read. Safe for concurrent use.
type Notifier struct {
	addr     string // "" when nobody listens; "@name" is in the abstract name space
	watchdog time.Duration
	mono     func() int64 // CLOCK_MONOTONIC in microseconds
	muted    atomic.Bool  // another process is the unit's main process now
}

// NewNotifier returns a notifier for NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment.
func NewNotifier() *Notifier { return newNotifier(os.Getenv, os.Getpid()) }

func newNotifier(getenv func(string) string, pid int) *Notifier {
	n := &Notifier{mono: monotonicUsec}
	// Only paths and abstract names are datagram sockets; a vsock address is for virtual machines.
	if s := getenv("NOTIFY_SOCKET"); strings.HasPrefix(s, "/") || strings.HasPrefix(s, "@") {
		n.addr = s
		n.watchdog = watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), pid)
	}
	return n
}

// watchdog is the time-out the manager set for this process. As in sd_watchdog_enabled(3), no WATCHDOG_PID means that
// it is for whoever has the variable; the process that takes over in an upgrade gets it so.
func watchdog(usec, forPID string, pid int) time.Duration {
	if forPID != "" && forPID != strconv.Itoa(pid) {
		return 0
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64((1<<63-1)/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

func monotonicUsec() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano() / 1000
}

// Enabled tells whether a service manager listens to this process.
func (n *Notifier) Enabled() bool { return n != nil && n.addr != "" && !n.muted.Load() }

// Ready says that start-up or a reload is done.
func (n *Notifier) Ready(status string) error { return n.Send("READY=1", statusLine(status)) }

// Status sets the line that systemctl status shows.
func (n *Notifier) Status(status string) error { return n.Send(statusLine(status)) }

// Reloading says that a reload begins; Ready must follow.
func (n *Notifier) Reloading() error {
	if !n.Enabled() {
		return nil
	}
	return n.Send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(n.mono(), 10))
}

// Stopping says that the stop begins.
func (n *Notifier) Stopping(status string) error { return n.Send("STOPPING=1", statusLine(status)) }

// Watchdog says that the process is alive.
func (n *Notifier) Watchdog() error { return n.Send("WATCHDOG=1") }

// MainPID hands the role of the unit's main process to pid. When that is another process, this notifier says nothing
// more afterwards: its STOPPING=1 or a missing ping would be taken for the new process's.
func (n *Notifier) MainPID(pid int) error {
	err := n.Send("MAINPID=" + strconv.Itoa(pid))
	if err == nil && n != nil && pid != os.Getpid() {
		n.muted.Store(true)
	}
	return err
}

// ExtendTimeout asks the manager to wait d from now for the start, the reload or the stop under way.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.Send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// StoreFD gives the manager duplicates of files under name, which come back by LISTEN_FDS at the next start
// (FileDescriptorStoreMax= must allow it). The files stay the caller's. A name is 1 to 255 printable ASCII characters
// without ':'.
func (n *Notifier) StoreFD(name string, files ...*os.File) error {
	if !validFDName(name) {
		return fault.New(fault.Invalid, "run: store file: name %q is not 1 to 255 printable characters without ':'", name)
	}
	fds := make([]int, 0, len(files))
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	return n.send(unix.UnixRights(fds...), "FDSTORE=1", "FDNAME="+name)
}

// RemoveFD makes the manager close what StoreFD gave it under name.
func (n *Notifier) RemoveFD(name string) error {
	if !validFDName(name) {
		return fault.New(fault.Invalid, "run: remove file: name %q is not 1 to 255 printable characters without ':'", name)
	}
	return n.Send("FDSTOREREMOVE=1", "FDNAME="+name)
}

func validFDName(name string) bool {
	return len(name) >= 1 && len(name) <= 255 &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// WatchdogInterval is a third of WATCHDOG_USEC when it is meant for this process, else 0.
func (n *Notifier) WatchdogInterval() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog / 3
}

// Send sends assignments ("KEY=value") in one datagram; empty ones are left out.
func (n *Notifier) Send(assignments ...string) error { return n.send(nil, assignments...) }

func (n *Notifier) send(oob []byte, assignments ...string) error {
	if !n.Enabled() {
		return nil
	}
	var b strings.Builder
	for _, a := range assignments {
		if a != "" {
			b.WriteString(a)
			b.WriteByte('\n')
		}
	}
	return fault.Wrap(fault.Unavailable, n.datagram([]byte(b.String()), oob), "run: notify %s", n.addr)
}

// datagram uses plain system calls: a connected socket of package net passes no descriptors.
func (n *Notifier) datagram(b, oob []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(notifyTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit); err != nil {
		return err
	}
	for {
		err := unix.Sendmsg(fd, b, oob, &unix.SockaddrUnix{Name: n.addr}, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// statusLine is one line: a line break would begin another assignment.
func statusLine(status string) string {
	if status == "" {
		return ""
	}
	return "STATUS=" + oneLine(status)
}

// oneLine joins the lines of s and cuts it to what fits well into a line of systemctl status.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == 0 }), "; ")
	if len(s) > 1024 {
		s = strings.ToValidUTF8(s[:1021], "") + "..."
	}
	return s
}
