package mcflags

import (
	"fmt"

	"github.com/everup/everup/shared/fault"
)

// Error is a command line that memcached would not start with. Its class is fault.Invalid.
type Error struct {
	Option string // as it is written: "-m (--memory-limit)", "-o idle_timeout", "--nope"
	Msg    string // what is wrong with it
}

// Error returns "option: message".
func (e *Error) Error() string { return e.Option + ": " + e.Msg }

// Unwrap makes errors.Is(err, fault.Invalid) true.
func (e *Error) Unwrap() error { return fault.Invalid }

func wrong(option, format string, args ...any) error {
	return &Error{Option: option, Msg: fmt.Sprintf(format, args...)}
}
