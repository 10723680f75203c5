// Package netio owns a daemon's listening sockets: it opens them, takes over those that systemd or a previous
// process hands in, and hands them on. It also speaks the PROXY protocol (package proxyproto).
//
// A daemon makes one Set at its start, asks it for every listener by name, calls CloseUnused once it has asked for all,
// and Ready when it serves. Upgrader starts the next version of the program with the same sockets.
//
// Addresses are "host:port". A wildcard is written "0.0.0.0:port" (IPv4 only), "[::]:port" (IPv6 only) or ":port"
// (both; IPv4 where the host has no IPv6), so that the first two can stand side by side. A host name is resolved once,
// when the listener is opened. A unix address is an absolute path, or "@name" in the abstract name space.
package netio

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// Options of a listener.
type Options struct {
	ReusePort bool        // SO_REUSEPORT: several sockets share the port
	FreeBind  bool        // IP_FREEBIND: no interface need have the address now. For virtual addresses, which may be on another host
	Perm      os.FileMode // of a unix socket; 0 means 0660
	Backlog   int         // 0 means net.core.somaxconn
}

func (o Options) perm() os.FileMode {
	if o.Perm == 0 {
		return 0o660
	}
	return o.Perm.Perm()
}

// socket is what the set knows of one it handed out.
type socket struct {
	conn socketConn
	file *socketFile // the path of a unix socket that is ours to remove, else nil
}

// socketConn is the part that *net.TCPListener, *net.UnixListener, *net.UDPConn and *net.UnixConn share.
type socketConn interface {
	rawConn
	Close() error
}

// Set holds named listeners. Names are stable over a hand-over: "http", "http-1". Its methods may be called from
// several goroutines.
type Set struct {
	mu        sync.Mutex
	ready     *os.File     // the pipe to the process before us, else nil
	inherited []*inherited // not asked for yet
	open      map[string]*socket
	closed    bool
}

// NewSet returns a set that first uses the sockets of LISTEN_FDS/LISTEN_FDNAMES (sd_listen_fds(3)) that are for this
// process, and clears these variables. Call it once, before the program starts others.
func NewSet() (*Set, error) {
	e := takeEnvironment()
	s := &Set{open: make(map[string]*socket)}
	if e.readyFD >= 0 {
		unix.CloseOnExec(e.readyFD)
		s.ready = os.NewFile(uintptr(e.readyFD), "ready")
	}
	all, err := adoptFDs(e.names, e.firstFD, e.handover)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.inherited = all
	return s, nil
}

// Ready tells the process that handed over its sockets that this one serves; it then stops. Without one it does nothing.
func (s *Set) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready == nil {
		return nil
	}
	_, err := s.ready.Write([]byte{readyByte})
	err = errors.Join(err, s.ready.Close())
	s.ready = nil
	return fault.Wrap(fault.Unavailable, err, "netio: tell readiness to the process before")
}

// Upgrading tells whether this process takes over from one that still runs, and has not called Ready yet.
func (s *Set) Upgrading() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready != nil
}

// TakeFile returns the inherited file called name, which may be no socket (a lock, a memfd, a map); it is the caller's
// then. nil where there is none.
func (s *Set) TakeFile(name string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, in := range s.inherited {
		if in.name == name {
			s.dropInheritedLocked(i)
			return in.file
		}
	}
	return nil
}

func (s *Set) dropInheritedLocked(i int) {
	s.inherited = append(s.inherited[:i:i], s.inherited[i+1:]...)
}

// checkNameLocked refuses a name in use. A name whose socket was closed by its user is free again.
func (s *Set) checkNameLocked(name string) error {
	if s.closed {
		return fault.New(fault.Unavailable, "netio: listen %s: the set is closed", name)
	}
	if !validName(name) {
		return fault.New(fault.Invalid, "netio: listen: name %q is not 1 to 255 printable characters without ':'", name)
	}
	if c, ok := s.open[name]; ok && isOpen(c.conn) {
		return fault.New(fault.Conflict, "netio: listen: name %s is in use", name)
	}
	return nil
}

// Files returns a duplicate of every open socket with its name, to be handed to a child or stored with FDSTORE. The
// files are the caller's to close. Call HandedOver once another process serves with them.
func (s *Set) Files() (names []string, files []*os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range sortedKeys(s.open) {
		f, err := dup(s.open[name].conn, name)
		if errors.Is(err, net.ErrClosed) {
			continue
		}
		if err != nil {
			closeAll(files)
			return nil, nil, fault.Wrap(fault.Internal, err, "netio: duplicate %s", name)
		}
		names, files = append(names, name), append(files, f)
	}
	return names, files, nil
}

// HandedOver says that another process or the service manager's store has the sockets: the paths of unix sockets are
// not removed when they are closed here.
func (s *Set) HandedOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.file.keep()
	}
}

// CloseUnused closes inherited sockets nobody asked for, and returns their names.
func (s *Set) CloseUnused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, in := range s.inherited {
		names = append(names, in.name)
		in.discard()
	}
	s.inherited = nil
	return names
}

// Close closes all. Listeners handed out are closed too.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, name := range sortedKeys(s.open) {
		c := s.open[name]
		if err := c.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fault.Wrap(fault.Internal, err, "netio: close %s", name))
		}
		c.file.remove()
	}
	clear(s.open)
	for _, in := range s.inherited {
		errs = append(errs, in.file.Close())
	}
	s.inherited = nil
	if s.ready != nil {
		errs = append(errs, s.ready.Close())
		s.ready = nil
	}
	return errors.Join(errs...)
}

func isOpen(c rawConn) bool {
	return control(c, func(int) error { return nil }) == nil
}

// Duplicate returns a second descriptor of c's socket, for an event loop that polls it by itself; c is a listener or connection
// of this package or of package net. Both descriptors take from one queue, and neither's closing ends the other. It does not block and is
// not passed on by exec; the caller closes it, after taking it out of any epoll set, since the socket lives on behind c. A closed c
// is net.ErrClosed; one without a socket is fault.Invalid.
func Duplicate(c any) (fd int, err error) {
	r, ok := c.(rawConn)
	if !ok {
		return -1, fault.New(fault.Invalid, "netio: duplicate: %T has no socket", c)
	}
	return duplicate(r)
}

func duplicate(c rawConn) (n int, err error) {
	n = -1
	err = control(c, func(fd int) (err error) {
		n, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		return err
	})
	return n, err
}

// dup duplicates c's descriptor as a file, which stays non-blocking: os.File changes the mode only of what it set itself.
func dup(c rawConn, name string) (*os.File, error) {
	n, err := duplicate(c)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}
