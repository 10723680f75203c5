package netio

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/everup/everup/shared/fault"
	"golang.org/x/sys/unix"
)

// Listen returns the listener called name: an inherited one whose address fits, else a new one on network
// ("tcp", "tcp4", "tcp6", "unix") and addr. A stale unix socket file is replaced, a live one is an error.
//
// Errors: an address in use is fault.Conflict and names the process that holds it where it can be seen; a port that needs
// a capability is fault.Denied; an address that no interface has is fault.Unavailable, unless Options.FreeBind allows it; an inherited socket of this name
// from a systemd unit, bound elsewhere, is fault.Config. A name is free again once its listener is closed.
func (s *Set) Listen(name, network, addr string, o Options) (net.Listener, error) {
	t, err := parseTarget(network, addr, true)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "netio: listen %s", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.listenLocked(name, t, o)
	return l, fault.Wrap(fault.Of(err), err, "netio: listen %s on %s", name, t)
}

func (s *Set) listenLocked(name string, t target, o Options) (net.Listener, error) {
	in, err := s.claimLocked(name, t)
	if err != nil {
		return nil, err
	}
	var l net.Listener
	if in != nil {
		l, err = in.listener()
	} else {
		l, err = openListener(t, o)
	}
	if err != nil {
		return nil, err
	}
	return s.keepListenerLocked(name, t, in, l), nil
}

// claimLocked checks name and returns the inherited socket for it, if there is one.
func (s *Set) claimLocked(name string, t target) (*inherited, error) {
	if err := s.checkNameLocked(name); err != nil {
		return nil, err
	}
	return s.takeLocked(name, t)
}

// keepListenerLocked enters l. The path of a unix socket is ours to remove, unless systemd made it.
func (s *Set) keepListenerLocked(name string, t target, in *inherited, l net.Listener) net.Listener {
	if u, ok := l.(*net.UnixListener); ok {
		l = &unixListener{UnixListener: u, file: s.fileFor(t, in)}
		s.open[name] = &socket{conn: u, file: l.(*unixListener).file}
		return l
	}
	s.open[name] = &socket{conn: l.(*net.TCPListener)}
	return l
}

// ListenPacket is Listen for "udp", "udp4", "udp6" and "unixgram".
func (s *Set) ListenPacket(name, network, addr string, o Options) (net.PacketConn, error) {
	t, err := parseTarget(network, addr, false)
	if err != nil {
		return nil, fault.Wrap(fault.Of(err), err, "netio: listen %s", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.listenPacketLocked(name, t, o)
	return c, fault.Wrap(fault.Of(err), err, "netio: listen %s on %s", name, t)
}

func (s *Set) listenPacketLocked(name string, t target, o Options) (net.PacketConn, error) {
	in, err := s.claimLocked(name, t)
	if err != nil {
		return nil, err
	}
	var c net.PacketConn
	if in != nil {
		c, err = in.packetConn()
	} else {
		c, err = openPacketConn(t, o)
	}
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UnixConn); ok {
		p := &unixPacketConn{UnixConn: u, file: s.fileFor(t, in)}
		s.open[name] = &socket{conn: u, file: p.file}
		return p, nil
	}
	s.open[name] = &socket{conn: c.(*net.UDPConn)}
	return c, nil
}

// listener makes the inherited socket a listener and closes the descriptor it came by.
func (in *inherited) listener() (net.Listener, error) {
	l, err := net.FileListener(in.file)
	return l, errors.Join(err, in.file.Close())
}

func (in *inherited) packetConn() (net.PacketConn, error) {
	c, err := net.FilePacketConn(in.file)
	return c, errors.Join(err, in.file.Close())
}

func openListener(t target, o Options) (net.Listener, error) {
	network, addr := t.listenArgs()
	if err := makeRoom(t); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: t.control(o)}
	// Plain TCP: splice, TCP_ULP and the hand-over want it, and no client of ours asks for several paths.
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, t.explain(err)
	}
	if err := finishListener(t, o, l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func finishListener(t target, o Options, l net.Listener) error {
	if u, ok := l.(*net.UnixListener); ok {
		if err := setMode(t, o); err != nil {
			return err
		}
		u.SetUnlinkOnClose(false) // socketFile does it, with more care
	}
	if o.Backlog <= 0 {
		return nil
	}
	// A second listen(2) only changes the queue's length.
	return control(l.(rawConn), func(fd int) error { return unix.Listen(fd, o.Backlog) })
}

func openPacketConn(t target, o Options) (net.PacketConn, error) {
	network, addr := t.listenArgs()
	if err := makeRoom(t); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: t.control(o)}
	c, err := lc.ListenPacket(context.Background(), network, addr)
	if err != nil {
		return nil, t.explain(err)
	}
	if err := setMode(t, o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// control sets what must be set between socket(2) and bind(2).
func (t target) control(o Options) func(network, addr string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var inner error
		err := c.Control(func(fd uintptr) {
			if t.unix() {
				// The file that bind makes takes this mode, narrowed by the umask: never wider than asked.
				inner = unix.Fchmod(int(fd), uint32(o.perm()))
				return
			}
			if o.ReusePort {
				inner = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			}
			if o.FreeBind {
				inner = errors.Join(inner, t.freeBind(int(fd)))
			}
		})
		return errors.Join(err, inner)
	}
}

// freeBind lets fd be bound to an address that no interface has. It takes no privilege, and what comes in is as ever only what
// is addressed to an address of this host.
func (t target) freeBind(fd int) error {
	if t.ip.Is6() {
		return os.NewSyscallError("setsockopt IPV6_FREEBIND", unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1))
	}
	return os.NewSyscallError("setsockopt IP_FREEBIND", unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1))
}

// explain adds to the error of a bind what the operator needs to mend it.
func (t target) explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return t.inUse()
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fault.New(fault.Unavailable, "no interface of this host has the address %s", t.ip)
	case errors.Is(err, unix.EACCES) && !t.unix() && t.port > 0 && t.port < 1024:
		return fault.New(fault.Denied, "a port below 1024 needs the capability CAP_NET_BIND_SERVICE "+
			"(AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit)")
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fault.Wrap(fault.Denied, err, "not permitted")
	}
	return err
}

// inUse is the error for an address that another socket has.
func (t target) inUse() error {
	if pid, command, ok := t.holder(); ok {
		return fault.New(fault.Conflict, "address in use by process %d (%s)", pid, command)
	}
	return fault.New(fault.Conflict, "address in use, by a process that cannot be seen from here")
}
