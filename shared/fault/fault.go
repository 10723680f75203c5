// Package fault sorts errors into a dozen classes, so that an error that crosses a process
// border keeps its meaning: each class maps once to an HTTP status, an exit code and a code
// on the bus.
//
// A Class is itself an error. Code that fails wraps one with the operation and the object:
//
//	return fault.New(fault.NotFound, "storaged: get %s", name)
//	return fault.Wrap(fault.Corrupt, err, "state: read %s", path)
//
// and code that decides asks with errors.Is(err, fault.NotFound) or fault.Of(err).
package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Class is the kind of a failure. Its numbers go over the wire: they are only ever appended to.
type Class uint8

// The classes. The comment says what the caller may do about it.
const (
	Unknown     Class = 0  // nothing is known: treat as Internal
	Invalid     Class = 1  // the request is wrong: mend it, do not repeat it
	NotFound    Class = 2  // the object does not exist
	Conflict    Class = 3  // a precondition does not hold, or the object is already there
	Denied      Class = 4  // the caller may not
	Unavailable Class = 5  // the part asked cannot be reached or is not ready: try another or later
	Timeout     Class = 6  // no answer in time: whether it took effect is unknown
	Full        Class = 7  // a stated bound is reached: slow down, or raise it
	Corrupt     Class = 8  // stored or received bytes fail their check
	Unsupported Class = 9  // this build or this kernel cannot
	Config      Class = 10 // the configuration is wrong
	Partial     Class = 11 // some of it was done
	Internal    Class = 12 // a fault of ours
	Canceled    Class = 13 // the caller gave up
)

// row is what one class means outside the process.
type row struct {
	name string
	http int
	exit int
}

func (c Class) row() row {
	switch c {
	case Invalid:
		return row{"invalid", 400, 2}
	case NotFound:
		return row{"not found", 404, 3}
	case Conflict:
		return row{"conflict", 409, 1}
	case Denied:
		return row{"denied", 403, 1}
	case Unavailable:
		return row{"unavailable", 503, 4}
	case Timeout:
		return row{"timed out", 504, 4}
	case Full:
		return row{"full", 507, 1}
	case Corrupt:
		return row{"corrupt", 500, 1}
	case Unsupported:
		return row{"unsupported", 501, 1}
	case Config:
		return row{"configuration", 422, 78}
	case Partial:
		return row{"partly done", 207, 5}
	case Canceled:
		return row{"canceled", 499, 1}
	default:
		return row{"internal", 500, 1}
	}
}

// String returns the class's name, lower case, as it stands in messages and on the bus.
func (c Class) String() string { return c.row().name }

// Error makes a Class usable as the target of errors.Is.
func (c Class) Error() string { return c.row().name }

// HTTPStatus returns the status an HTTP answer carries for the class.
func (c Class) HTTPStatus() int { return c.row().http }

// ExitCode returns the exit code of a command that ends with the class: 1 failed, 2 usage,
// 3 not found, 4 not reachable, 5 partly done, 78 configuration (EX_CONFIG of sysexits.h).
func (c Class) ExitCode() int { return c.row().exit }

// Error is a classed error with a message and, where there is one, a cause.
type Error struct {
	Class Class
	Msg   string // operation and object, and what went wrong when Cause does not say it
	Cause error
}

// New returns an error of class c whose message is made by fmt.Sprintf.
func New(c Class, format string, args ...any) error {
	return &Error{Class: c, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of class c that says the operation before cause. Wrap of a nil cause is nil.
func Wrap(c Class, cause error, format string, args ...any) error {
	if cause == nil {
		return nil
	}
	return &Error{Class: c, Msg: fmt.Sprintf(format, args...), Cause: cause}
}

// Error returns "message: cause".
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Cause.Error()
}

// Unwrap returns the class and the cause, so that errors.Is finds both.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Cause}
}

// Of returns the class of err: the outermost one it carries, else the one its standard-library
// errors tell (context, fs, net time-outs), else Internal. Of(nil) is Unknown.
func Of(err error) Class {
	if err == nil {
		return Unknown
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	if c, ok := errors.AsType[Class](err); ok {
		return c
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrExist):
		return Conflict
	case errors.Is(err, fs.ErrPermission):
		return Denied
	}
	if t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && t.Timeout() {
		return Timeout
	}
	return Internal
}

// HTTPStatus returns the status for err, 200 for nil.
func HTTPStatus(err error) int {
	if err == nil {
		return 200
	}
	return Of(err).HTTPStatus()
}

// ExitCode returns the exit code for err, 0 for nil.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return Of(err).ExitCode()
}

// Parse returns the class with the given number, Internal for one this build does not know,
// so that a newer peer's error still is an error.
func Parse(n uint8) Class {
	if n == 0 || Class(n) > Canceled {
		return Internal
	}
	return Class(n)
}
