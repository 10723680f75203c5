package nl

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
)

// refusal is the kernel's answer to a request that it did not fulfil.
type refusal struct {
	errno unix.Errno
	text  string // the kernel's explanation, often none
}

func (r *refusal) Error() string {
	if r.text == "" {
		return r.errno.Error()
	}
	return r.errno.Error() + " (" + r.text + ")"
}

func (r *refusal) Unwrap() error { return r.errno }

// errInterrupted says that a list changed while the kernel sent it.
var errInterrupted = errors.New("it changed while it was read")

// fail wraps the error of an operation on an object; nil stays nil.
func fail(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(class(err), err, "nl: %s", fmt.Sprintf(format, args...))
}

func class(err error) fault.Class {
	if errors.Is(err, errInterrupted) {
		return fault.Unavailable
	}
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return fault.Of(err)
	}
	switch errno {
	case unix.EPERM, unix.EACCES:
		return fault.Denied
	case unix.ENODEV, unix.ENXIO, unix.ENOENT, unix.ESRCH, unix.EADDRNOTAVAIL:
		return fault.NotFound
	case unix.EEXIST, unix.EBUSY, unix.EADDRINUSE:
		return fault.Conflict
	case unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.ENOSYS:
		return fault.Unsupported
	case unix.EINVAL, unix.ERANGE:
		return fault.Invalid
	case unix.ENETDOWN:
		return fault.Unavailable
	case unix.ENOBUFS, unix.ENOMEM, unix.EMFILE, unix.ENFILE:
		return fault.Full
	case unix.EAGAIN:
		return fault.Timeout
	}
	return fault.Internal
}

// among reports whether err is one of the errnos.
func among(err error, errnos ...unix.Errno) bool {
	for _, e := range errnos {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
