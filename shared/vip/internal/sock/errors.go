package sock

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// refused wraps what the system answered to an operation.
func refused(err error, format string, args ...any) error {
	return fault.Wrap(classOf(err), err, format, args...)
}

func classOf(err error) fault.Class {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fault.Internal
	}
	switch errno {
	case unix.EPERM, unix.EACCES:
		return fault.Denied
	case unix.ENODEV, unix.ENXIO:
		return fault.NotFound
	case unix.ENOPROTOOPT, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT:
		return fault.Unsupported
	case unix.EBADF, unix.EFAULT, unix.ENOTSOCK:
		return fault.Internal
	}
	return fault.Unavailable
}

// queued reports whether an error may be one that the kernel has kept since an earlier packet, or since something happened
// to the link.
func queued(errno unix.Errno) bool {
	switch errno {
	case unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.ENONET, unix.ENODEV, unix.ENXIO,
		unix.ECONNREFUSED, unix.ENOPROTOOPT, unix.EPROTO, unix.EOPNOTSUPP, unix.EMSGSIZE, unix.EACCES, unix.EPERM,
		unix.ENOBUFS, unix.EINTR:
		return true
	}
	return false
}

// refusal makes errors of what the system answers to a packet. A link may be out of order for days, at many packets a
// second: the same error again is the same value.
type refusal struct {
	errno unix.Errno
	what  string
	addr  netip.Addr
	made  error
}

// err returns the error of an operation on an interface and with an address, if one is valid.
func (r *refusal) err(errno unix.Errno, what, link string, addr netip.Addr) error {
	if r.made != nil && r.errno == errno && r.what == what && r.addr == addr {
		return r.made
	}
	*r = refusal{errno: errno, what: what, addr: addr}
	if addr.IsValid() {
		r.made = refused(errno, "sock: %s to %v by %s", what, addr, link)
	} else {
		r.made = refused(errno, "sock: %s by %s", what, link)
	}
	return r.made
}
