package netio

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// StorePrefix begins the names under which a daemon's sockets are kept in the service manager's store (FDNAME), so that
// they are told from those of a socket unit when they come back: a stored socket that the configuration no longer asks
// for is closed, while one of a socket unit that does not fit is an error.
const StorePrefix = "kept."

const (
	firstListenFD = 3    // SD_LISTEN_FDS_START
	maxListenFDs  = 4096 // far above any FileDescriptorStoreMax= in use

	envHandover = "EVERUP_HANDOVER" // "1": LISTEN_FDS is from the process before us, which cannot know our pid
	envReadyFD  = "EVERUP_READY_FD" // the pipe on which we say that we serve
)

// environment is what a process was handed at its start.
type environment struct {
	firstFD  int
	names    []string // one for each descriptor from firstFD on
	handover bool
	readyFD  int // -1: none
}

// takeEnvironment reads the variables and clears them, so that programs started later do not take them for theirs.
func takeEnvironment() environment {
	e := parseEnvironment(os.Getenv, os.Getpid())
	for _, k := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", envHandover, envReadyFD} {
		os.Unsetenv(k)
	}
	return e
}

func parseEnvironment(getenv func(string) string, pid int) environment {
	e := environment{firstFD: firstListenFD, readyFD: -1}
	forPID := getenv("LISTEN_PID")
	e.handover = forPID == "" && getenv(envHandover) == "1"
	if !e.handover && forPID != strconv.Itoa(pid) {
		return e
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > maxListenFDs {
		n = 0
	}
	e.names = fdNames(getenv("LISTEN_FDNAMES"), n)
	if fd, err := strconv.Atoi(getenv(envReadyFD)); e.handover && err == nil && fd >= firstListenFD {
		e.readyFD = fd
	}
	return e
}

// fdNames returns n names; those missing are "unknown", as in sd_listen_fds_with_names(3).
func fdNames(list string, n int) []string {
	var given []string
	if list != "" {
		given = strings.Split(list, ":")
	}
	names := make([]string, n)
	for i := range names {
		names[i] = "unknown"
		if i < len(given) && given[i] != "" {
			names[i] = given[i]
		}
	}
	return names
}

// inherited is a descriptor that was handed in.
type inherited struct {
	name   string
	file   *os.File
	ours   bool // opened by a process of this daemon, not by systemd
	socket bool // local is valid
	local  localAddr
}

// adoptFDs takes the descriptors from first on into files that close on exec.
func adoptFDs(names []string, first int, handover bool) ([]*inherited, error) {
	all := make([]*inherited, 0, len(names))
	for i, name := range names {
		fd := first + i
		unix.CloseOnExec(fd)
		in, err := adoptFD(name, fd)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "netio: inherited descriptor %d (%s)", fd, name)
		}
		in.ours = in.ours || handover
		all = append(all, in)
	}
	return all, nil
}

func adoptFD(name string, fd int) (*inherited, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	in := &inherited{socket: st.Mode&unix.S_IFMT == unix.S_IFSOCK}
	in.name, in.ours = strings.CutPrefix(name, StorePrefix)
	if in.socket {
		local, err := socketAddr(fd)
		if err != nil {
			return nil, err
		}
		in.local = local
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, err
		}
	}
	in.file = os.NewFile(uintptr(fd), name)
	return in, nil
}

// discard closes an inherited file nobody wants. The path of a unix socket that this daemon once opened goes too.
func (in *inherited) discard() {
	if in.ours && in.socket && in.local.unixPath() != "" {
		fileOf(in.local.unixPath()).remove()
	}
	in.file.Close()
}

// generic names are given by systemd where the unit names no descriptor: such a socket is chosen by its address alone.
func genericName(name string) bool {
	return name == "unknown" || name == "stored" || strings.HasSuffix(name, ".socket")
}

// takeLocked returns the inherited socket for name: one of that name whose address fits, else one without a name of its
// own that fits. One of that name that does not fit is an error where systemd made it, as the unit and the configuration
// disagree, and left for CloseUnused where it is our own from before a change of the configuration.
func (s *Set) takeLocked(name string, want target) (*inherited, error) {
	var misfit *inherited
	generic := -1
	for i, in := range s.inherited {
		fits := in.socket && want.fits(in.local)
		switch {
		case in.name == name && fits:
			s.dropInheritedLocked(i)
			return in, nil
		case in.name == name:
			misfit = in
		case fits && genericName(in.name) && generic < 0:
			generic = i
		}
	}
	if misfit != nil && !misfit.ours {
		return nil, fault.New(fault.Config, "netio: listen %s: the inherited socket is %s, the configuration asks for %s",
			name, misfit.describe(), want)
	}
	if generic < 0 {
		return nil, nil
	}
	in := s.inherited[generic]
	s.dropInheritedLocked(generic)
	return in, nil
}

func (in *inherited) describe() string {
	switch {
	case !in.socket:
		return "no socket"
	case in.local.stream && !in.local.listening:
		return in.local.String() + ", which does not listen"
	}
	return in.local.String()
}

// localAddr is the address a socket is bound to.
type localAddr struct {
	stream    bool
	listening bool     // of a stream socket: it accepts connections
	addr      net.Addr // *net.TCPAddr, *net.UDPAddr or *net.UnixAddr
}

func (a localAddr) String() string { return fmt.Sprintf("%s %s", a.addr.Network(), a.addr) }

func (a localAddr) unixPath() string {
	u, ok := a.addr.(*net.UnixAddr)
	if !ok || strings.HasPrefix(u.Name, "@") {
		return ""
	}
	return u.Name
}

// socketAddr asks the kernel for the type and the address of a socket.
func socketAddr(fd int) (localAddr, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return localAddr{}, err
	}
	if typ != unix.SOCK_STREAM && typ != unix.SOCK_DGRAM {
		return localAddr{}, fault.New(fault.Unsupported, "socket type %d", typ)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return localAddr{}, err
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return localAddr{}, err
	}
	a := localAddr{stream: typ == unix.SOCK_STREAM, listening: listening != 0}
	a.addr, err = netAddr(sa, a.stream)
	return a, err
}

func netAddr(sa unix.Sockaddr, stream bool) (net.Addr, error) {
	var ip net.IP
	var port int
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		ip, port = net.IP(sa.Addr[:]), sa.Port
	case *unix.SockaddrInet6:
		ip, port = net.IP(sa.Addr[:]), sa.Port
	case *unix.SockaddrUnix:
		if stream {
			return &net.UnixAddr{Name: sa.Name, Net: "unix"}, nil
		}
		return &net.UnixAddr{Name: sa.Name, Net: "unixgram"}, nil
	default:
		return nil, fault.New(fault.Unsupported, "socket family of %T", sa)
	}
	if stream {
		return &net.TCPAddr{IP: ip, Port: port}, nil
	}
	return &net.UDPAddr{IP: ip, Port: port}, nil
}
