package engine

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/services/lbd/internal/http1"
	"github.com/everup/everup/services/lbd/internal/loop"
)

// member is a connection of HTTP/1.1 to a pool's member.
type member struct {
	sock
	w          *worker
	key        idleKey
	x          *exchange // nil: idle
	connecting bool
	used       bool          // by a request before
	before     int64         // bytes sent for those before
	preface    []byte        // the PROXY header, to be sent before all else
	securing   bool          // the TLS handshake is not over
	began      time.Duration // the handshake
}

var _ back = (*member)(nil)

func (m *member) timer() loop.Ref   { return m.ref }
func (m *member) reused() bool      { return m.used }
func (m *member) endSending() error { return m.end() }

// Ready takes events.
func (m *member) Ready(ev loop.Events) {
	if m.x == nil {
		m.readyIdle(ev)
		return
	}
	m.note(ev)
	m.x.drive()
}

// readyIdle takes events of a connection that nobody uses, or that is another worker's by now. It ends, or says something that nobody
// has asked for, unless that is TLS's own matter, such as a ticket.
func (m *member) readyIdle(ev loop.Events) {
	switch {
	case ev&(loop.Readable|loop.Hangup) == 0:
		m.writable = true
	case !m.w.e.idle.remove(m):
	case m.tls == nil:
		m.close()
	default:
		m.note(ev)
		if m.hangup || !m.tls.Idle() || !m.w.e.idle.put(m) {
			m.farewell()
			m.close()
		}
	}
}

// Expired takes the deadline's passing.
func (m *member) Expired() {
	if m.x == nil {
		m.w.dropIdle(m)
		return
	}
	m.x.memberLate()
}

// opened looks whether a connection is there, and begins it: with the PROXY header, then TLS.
func (m *member) opened() error {
	if err := m.connected(); err != nil {
		return err
	}
	if m.preface != nil {
		n, err := m.send(m.preface, nil, nil)
		if err == nil && n < len(m.preface) {
			err = errPreface
		}
		if err != nil {
			return err
		}
		m.preface = nil
	}
	if m.securing {
		return m.secure()
	}
	return nil
}

// connected looks whether a connection is there.
func (m *member) connected() error {
	if !m.connecting {
		return nil
	}
	if !m.writable && !m.hangup {
		return errAgain
	}
	code, err := unix.GetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return os.NewSyscallError("connect", err)
	}
	m.connecting = false
	return nil
}

// untaken reports whether the member has ended a connection that served others before anything of this request had reached its host: its end
// came in order (else it might have thrown away what it had read), and acknowledges none of the request. Then nobody has seen it, and it may be
// sent once more whatever it does (RFC 9112 section 9.3.1). Where a connection was reset after its end had come the error is EPIPE.
func (m *member) untaken() bool {
	if !m.used || m.reset || m.fd < 0 {
		return false
	}
	code, err := unix.GetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || code != 0 && unix.Errno(code) != unix.EPIPE {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(m.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != unix.BPF_TCP_CLOSE && info.State != unix.BPF_TCP_CLOSE_WAIT {
		return false
	}
	return info.Bytes_acked <= uint64(m.before)+1 // SYN counts as one
}

func (m *member) close() {
	if m.fd < 0 {
		return
	}
	m.w.loop.Closing(m.ref)
	m.shut()
}

// readHead reads an answer's head.
func (m *member) readHead(x *exchange) error {
	for {
		if !x.out.empty() {
			done, why := x.res.ParseResponse(x.out.bytes(), &m.w.e.o.Limits)
			if why != http1.OK {
				return errMalformed
			}
			if done {
				return nil
			}
			if x.out.w-x.out.r == len(x.out.b) {
				x.out.grow(m.w.e.o.Limits.Head + 1)
			}
		}
		n, err := m.read(x.out.room())
		if err != nil {
			return err
		}
		x.out.w += n
		x.heard = true
	}
}

// reach returns a member side for x to the member that was chosen: an idle connection, unless fresh is wanted, or one that is being made.
func (w *worker) reach(x *exchange, fresh bool) (back, error) {
	key := idleKey{addr: x.choice.Addr, via: x.plan.Via}
	if key.via != nil && key.via.TLS != nil {
		key.host = hostOf(x.choice.Seat.Member.Name())
	}
	if key.via != nil && key.via.HTTP2 {
		return w.reachH2(x, key, fresh)
	}
	if !fresh && !key.via.once() {
		if m := w.e.idle.take(w, key); m != nil {
			m.used, m.before = true, m.sent
			w.e.counts.reused.Add(1)
			m.x = x
			return m, nil
		}
	}
	m, err := w.connect(key)
	if err != nil {
		return nil, err
	}
	m.x = x
	if err := m.prepare(); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (w *worker) connect(key idleKey) (*member, error) {
	addr := key.addr
	if !addr.IsValid() {
		return nil, errUnresolved
	}
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a wish
	err = unix.Connect(fd, sockaddr(addr))
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	m := &member{w: w, key: key, connecting: err != nil}
	m.fd = fd
	if m.ref, err = w.loop.Add(fd, m); err != nil {
		unix.Close(fd)
		return nil, err
	}
	w.e.counts.connected.Add(1)
	return m, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// keep makes a connection idle, to be used again.
func (m *member) keep() {
	w := m.w
	m.x = nil
	if w.closing || m.hangup || m.key.via.once() || m.tls != nil && !m.tls.Idle() || !w.e.idle.put(m) {
		m.farewell()
		m.close()
		return
	}
	w.loop.SetDeadline(m.ref, w.loop.Now()+idleMember)
}

// dropIdle closes an idle connection, unless another worker has it by now.
func (w *worker) dropIdle(m *member) {
	if w.e.idle.remove(m) {
		m.farewell()
		m.close()
	}
}
