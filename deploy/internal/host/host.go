// Package host finds out which process of this machine holds a port.
package host

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
)

// Files is what is read of /proc and /sys.
type Files interface {
	// ReadFile returns the content of the file, at most MaxRead bytes of it.
	ReadFile(name string) ([]byte, error)
	// ReadDir returns the names in the directory.
	ReadDir(name string) ([]string, error)
	Readlink(name string) (string, error)
}

// MaxRead bounds what is read of one file; a longer one is cut.
const MaxRead = 8 << 20

// OS is the Files of the machine itself.
type OS struct{}

var _ Files = OS{}

// ReadFile reads at most MaxRead bytes of the file.
func (OS) ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "host: read")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxRead))
	return b, fault.Wrap(fault.Of(err), err, "host: read")
}

// ReadDir returns the names in the directory, in its own order.
func (OS) ReadDir(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "host: list")
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	return names, fault.Wrap(fault.Of(err), err, "host: list")
}

// Readlink returns what the symbolic link points to.
func (OS) Readlink(name string) (string, error) { return os.Readlink(name) }

// Holder is a process that holds a port.
type Holder struct {
	PID     int    `json:"pid,omitempty"` // 0: a process of another user, which only root can name
	Program string `json:"program,omitempty"`
}

// String returns "nginx (pid 17)".
func (h Holder) String() string {
	if h.PID == 0 {
		return "a process of another user (root can see which)"
	}
	return h.Program + " (pid " + strconv.Itoa(h.PID) + ")"
}

// PortHolder returns who listens on the port of proto ("tcp" or "udp") on any address; ok is false when nobody does.
func PortHolder(f Files, proto string, port int) (h Holder, ok bool) {
	inodes := listeners(f, proto, port)
	if len(inodes) == 0 {
		return Holder{}, false
	}
	names, err := f.ReadDir("/proc")
	if err != nil {
		return Holder{}, true
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err == nil && holds(f, pid, inodes) {
			return Holder{PID: pid, Program: program(f, pid)}, true
		}
	}
	return Holder{}, true
}

// States of a socket in /proc/net/tcp and udp: a TCP socket that listens, a UDP socket that is bound.
const (
	tcpListen = "0A"
	udpBound  = "07"
)

// listeners returns the inodes of the sockets that listen on the port.
func listeners(f Files, proto string, port int) []string {
	state := map[string]string{"tcp": tcpListen, "udp": udpBound}[proto]
	var out []string
	for _, file := range []string{proto, proto + "6"} {
		b, err := f.ReadFile("/proc/net/" + file)
		if err != nil {
			continue // a kernel without IPv6 has no file for it
		}
		sc := bufio.NewScanner(bytes.NewReader(b))
		for sc.Scan() {
			if inode, ok := listener(sc.Text(), state, port); ok {
				out = append(out, "socket:["+inode+"]")
			}
		}
	}
	return out
}

// listener reads one line: sl, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode.
func listener(line, state string, port int) (inode string, ok bool) {
	w := strings.Fields(line)
	if len(w) < 10 || w[3] != state {
		return "", false
	}
	_, hex, _ := strings.Cut(w[1], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	return w[9], err == nil && int(n) == port
}

func holds(f Files, pid int, inodes []string) bool {
	dir := path.Join("/proc", strconv.Itoa(pid), "fd")
	fds, err := f.ReadDir(dir)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fds, func(fd string) bool {
		to, err := f.Readlink(path.Join(dir, fd))
		return err == nil && slices.Contains(inodes, to)
	})
}

// program returns the name of the process, as ps shows it.
func program(f Files, pid int) string {
	b, err := f.ReadFile(path.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
