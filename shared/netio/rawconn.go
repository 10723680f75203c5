package netio

import (
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
)

// rawConn is anything with a descriptor.
type rawConn interface {
	SyscallConn() (syscall.RawConn, error)
}

// control calls f with c's descriptor, which stays open meanwhile. A closed c is net.ErrClosed.
func control(c rawConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return net.ErrClosed
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return errors.Join(net.ErrClosed, err)
	}
	return inner
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// validName follows sd_pass_fds_with_names: LISTEN_FDNAMES separates by ':'.
func validName(name string) bool {
	return len(name) >= 1 && len(name) <= 255 &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}
