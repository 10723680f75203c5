package holder

import (
	"net/netip"

	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/sock"
	"github.com/everup/everup/shared/vip/internal/wire"
	"github.com/everup/everup/shared/vrrp"
)

// system is what a holder needs of the kernel. nl.Conn's methods are meant where names are the same.
type system interface {
	Link(name string) (nl.Link, error)
	Links() ([]nl.Link, error)
	AppendAddrs(dst []nl.Addr, index int) ([]nl.Addr, error)
	AddAddr(index int, p netip.Prefix) error
	RemoveAddr(index int, p netip.Prefix) error
	AddMacvlan(m nl.Macvlan) (nl.Link, error)
	SetIPv4Conf(index int, conf map[int]int) error
	SetUp(index int, up bool) error
	RemoveLink(index int) error

	// Listen opens a socket that is polled from then on, until it is closed.
	Listen(o sock.Options) (socket, error)
	// Transmit opens a way for whole frames out of an interface.
	Transmit(index int) (transmitter, error)
}

// socket is a sock.Socket.
type socket interface {
	Filter(ids []vrrp.VRID) error
	Rejoin() error
	Recv(d *sock.Datagram) (ok bool, err error)
	Send(dst netip.Addr, payload []byte) error
	Close() error
}

// transmitter is a sock.Wire.
type transmitter interface {
	Send(frame []byte) error
	Close() error
}

// daemon takes messages for the daemon. None of its methods waits.
type daemon interface {
	// Tell sends what may be lost.
	Tell(m *wire.Message)
	// Answer sends what is waited for.
	Answer(m *wire.Message)
	// Idle reports whether all that was said before is sent.
	Idle() bool
	// Lost returns how many messages were dropped.
	Lost() uint64
}
