// Package netio owns a daemon's listening sockets: it opens them, takes over those that systemd or a previous
// process hands in, and hands them on. It also speaks the PROXY protocol.
package netio

import (
	"net"
	"os"
)

// Options of a listener.
type Options struct {
	ReusePort bool        // SO_REUSEPORT: several sockets share the port
	Perm      os.FileMode // of a unix socket; 0 means 0660
	Backlog   int         // 0 means net.core.somaxconn
}

// Set holds named listeners. Names are stable over a hand-over: "http", "http-1".
type Set struct{}

// NewSet returns a set that first uses the sockets of LISTEN_FDS/LISTEN_FDNAMES (sd_listen_fds(3)) that are for this
// process, and clears these variables.
func NewSet() (*Set, error) { panic("skeleton") }

// Listen returns the listener called name: an inherited one whose address fits, else a new one on network
// ("tcp", "tcp4", "tcp6", "unix") and addr. A stale unix socket file is replaced, a live one is an error.
// An address in use is fault.Conflict and names the process that holds it where it can be seen.
func (s *Set) Listen(name, network, addr string, o Options) (net.Listener, error) { panic("skeleton") }

// ListenPacket is Listen for "udp", "udp4", "udp6" and "unixgram".
func (s *Set) ListenPacket(name, network, addr string, o Options) (net.PacketConn, error) {
	panic("skeleton")
}

// Files returns a duplicate of every socket with its name, to be handed to a child or stored with FDSTORE.
func (s *Set) Files() (names []string, files []*os.File, err error) { panic("skeleton") }

// CloseUnused closes inherited sockets nobody asked for, and returns their names.
func (s *Set) CloseUnused() []string { panic("skeleton") }

// Close closes all. Listeners handed out are closed too.
func (s *Set) Close() error { panic("skeleton") }

// Holder tells which process has the address bound, as far as /proc shows it.
func Holder(network, addr string) (pid int, command string, ok bool) { panic("skeleton") }
