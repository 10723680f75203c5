package nl

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// dumpTries is how often a list that changes while it is read is asked for.
const dumpTries = 8

// request is a message in the making.
type request struct{ b []byte }

// begin begins the Conn's next request.
func (c *Conn) begin(kind, flags uint16) *request {
	b := append(c.out.b[:0], 0, 0, 0, 0)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags|unix.NLM_F_REQUEST)
	c.out.b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	return &c.out
}

// link appends the header of requests about links; of change's bits flags are set.
func (r *request) link(index int, flags, change uint32) {
	r.b = append(r.b, unix.AF_UNSPEC, 0, 0, 0)
	r.b = binary.NativeEndian.AppendUint32(r.b, uint32(index))
	r.b = binary.NativeEndian.AppendUint32(r.b, flags)
	r.b = binary.NativeEndian.AppendUint32(r.b, change)
}

// attr appends an attribute.
func (r *request) attr(kind uint16, value []byte) {
	at := r.open(kind)
	r.b = append(r.b, value...)
	r.close(at)
}

func (r *request) attrText(kind uint16, value string) {
	at := r.open(kind)
	r.b = append(append(r.b, value...), 0)
	r.close(at)
}

func (r *request) attr32(kind uint16, value uint32) {
	at := r.open(kind)
	r.b = binary.NativeEndian.AppendUint32(r.b, value)
	r.close(at)
}

// nest begins an attribute that holds attributes, which close ends.
func (r *request) nest(kind uint16) (at int) { return r.open(kind | unix.NLA_F_NESTED) }

func (r *request) open(kind uint16) (at int) {
	at = len(r.b)
	r.b = append(r.b, 0, 0)
	r.b = binary.NativeEndian.AppendUint16(r.b, kind)
	return at
}

func (r *request) close(at int) {
	binary.NativeEndian.PutUint16(r.b[at:], uint16(len(r.b)-at))
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
}

// do makes a request and gives got, which may be nil, each message of the answer; it is in a buffer that is used again.
func (c *Conn) do(r *request, got func(message)) error {
	c.seq++
	binary.NativeEndian.PutUint32(r.b, uint32(len(r.b)))
	binary.NativeEndian.PutUint32(r.b[8:], c.seq)
	if err := send(c.fd, r.b); err != nil {
		return err
	}
	interrupted := false
	for {
		n, err := receive(c.fd, c.in)
		if err != nil {
			return err
		}
		done, err := c.take(c.in[:n], &interrupted, got)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	if interrupted {
		return errInterrupted
	}
	return nil
}

// take reads one datagram of an answer. done says that no other follows.
func (c *Conn) take(b []byte, interrupted *bool, got func(message)) (done bool, err error) {
	for len(b) > 0 {
		m, rest, ok := cut(b)
		if !ok {
			return true, errors.New("a message of the answer is not whole")
		}
		b = rest
		if m.seq != c.seq {
			continue // of a request whose answer was given up
		}
		*interrupted = *interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
		switch m.kind {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			return true, refused(m)
		default:
			if got != nil {
				got(m)
			}
			if m.flags&unix.NLM_F_MULTI == 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

// refused returns the error that an acknowledgement or the end of a list holds, nil for success.
func refused(m message) error {
	if len(m.body) < 4 {
		return nil // the end of a list may be empty
	}
	errno := int32(binary.NativeEndian.Uint32(m.body))
	if errno == 0 {
		return nil
	}
	r := &refusal{errno: unix.Errno(-errno)}
	if m.flags&unix.NLM_F_ACK_TLVS == 0 {
		return r
	}
	rest := m.body[4:]
	if m.kind == unix.NLMSG_ERROR { // the request's header follows, without its body: NETLINK_CAP_ACK
		rest = rest[min(headLen, len(rest)):]
	}
	for kind, value := range attrs(rest) {
		if kind == unix.NLMSGERR_ATTR_MSG {
			r.text = text(value)
		}
	}
	return r
}

// list makes a request for a list: begin and what fill appends. reset is called before each try.
func (c *Conn) list(kind uint16, fill func(*request), reset func(), got func(message)) error {
	var err error
	for range dumpTries {
		r := c.begin(kind, unix.NLM_F_DUMP)
		fill(r)
		reset()
		if err = c.do(r, got); !errors.Is(err, errInterrupted) {
			return err
		}
	}
	return err
}

func send(fd int, b []byte) error {
	for {
		_, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return err
		}
	}
}

func receive(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}
