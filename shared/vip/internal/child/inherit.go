package child

import (
	"os"
	"strconv"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// inherited is the descriptor of the socket in the child.
const inherited = 3

// Inherit returns, in the child, its end of the socket and a pidfd of the parent, -1 where the system has none. The parent may
// be dead already, and the pidfd be of whoever adopted this process: the end of the socket tells. fault.Invalid: nobody has
// started this process as a child.
func Inherit() (ctl *os.File, parent int, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(inherited, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, -1, fault.New(fault.Invalid, "vip: this command is run by the daemon, not by hand")
	}
	kind, err := unix.GetsockoptInt(inherited, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return nil, -1, fault.New(fault.Invalid, "vip: descriptor %d is not the daemon's socket: this command is run by the daemon, not by hand", inherited)
	}
	unix.CloseOnExec(inherited)
	closeStrays()
	parent, err = unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		parent = -1
	}
	return os.NewFile(inherited, "daemon"), parent, nil
}

// closeStrays closes what else was inherited: descriptors that whoever started the daemon had left open. This process is not to
// hold another's socket or lock. What the Go runtime has opened itself is marked to be closed by exec.
func closeStrays() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= inherited {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}
