package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"testing"
)

func TestOf(t *testing.T) {
	f := func(err error, want Class) {
		t.Helper()
		if got := Of(err); got != want {
			t.Errorf("Of(%v) = %v, want %v", err, got, want)
		}
	}
	f(nil, Unknown)
	f(errors.New("x"), Internal)
	f(New(NotFound, "get %s", "a"), NotFound)
	f(fmt.Errorf("outer: %w", New(Full, "queue")), Full)
	f(Wrap(Unavailable, New(Timeout, "dial"), "ask peer"), Unavailable)
	f(fmt.Errorf("op: %w", Conflict), Conflict)
	f(context.Canceled, Canceled)
	f(fmt.Errorf("op: %w", context.DeadlineExceeded), Timeout)
	f(&fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}, NotFound)
	f(os.ErrPermission, Denied)
	f(&net.DNSError{IsTimeout: true}, Timeout)
}

func TestWrapKeepsCauseAndClass(t *testing.T) {
	cause := errors.New("disk on fire")
	err := Wrap(Corrupt, cause, "state: read %s", "a.json")
	if got, want := err.Error(), "state: read a.json: disk on fire"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if !errors.Is(err, cause) || !errors.Is(err, Corrupt) || errors.Is(err, Invalid) {
		t.Errorf("errors.Is does not see cause and class of %v", err)
	}
	if Wrap(Corrupt, nil, "x") != nil {
		t.Error("Wrap(nil) is not nil")
	}
}

// The mapping is part of the product: scripts read exit codes, clients read statuses.
func TestMapping(t *testing.T) {
	f := func(c Class, name string, http, exit int) {
		t.Helper()
		if c.String() != name || c.HTTPStatus() != http || c.ExitCode() != exit {
			t.Errorf("%d is (%q, %d, %d), want (%q, %d, %d)", c, c, c.HTTPStatus(), c.ExitCode(), name, http, exit)
		}
		if got := Parse(uint8(c)); got != c && c != Unknown {
			t.Errorf("Parse(%d) = %v", c, got)
		}
	}
	f(Unknown, "internal", 500, 1)
	f(Invalid, "invalid", 400, 2)
	f(NotFound, "not found", 404, 3)
	f(Conflict, "conflict", 409, 1)
	f(Denied, "denied", 403, 1)
	f(Unavailable, "unavailable", 503, 4)
	f(Timeout, "timed out", 504, 4)
	f(Full, "full", 507, 1)
	f(Corrupt, "corrupt", 500, 1)
	f(Unsupported, "unsupported", 501, 1)
	f(Config, "configuration", 422, 78)
	f(Partial, "partly done", 207, 5)
	f(Internal, "internal", 500, 1)
	f(Canceled, "canceled", 499, 1)
	if Parse(200) != Internal || ExitCode(nil) != 0 || HTTPStatus(nil) != 200 {
		t.Error("unknown number or nil is mapped wrongly")
	}
}
