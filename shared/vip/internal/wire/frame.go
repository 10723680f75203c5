package wire

import (
	"encoding/binary"
	"encoding/json"

	"github.com/everup/everup/shared/fault"
)

const lengthLen = 4

// Append appends m as a frame to b. A message above MaxFrame is fault.Full, and b is as it was.
func Append(b []byte, m *Message) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return b, fault.Wrap(fault.Internal, err, "vip: encode a message")
	}
	if len(body) > MaxFrame {
		return b, fault.New(fault.Full, "vip: a message of %d bytes is above %d", len(body), MaxFrame)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...), nil
}

// Reader makes messages of a stream's bytes. It keeps at most one frame.
type Reader struct {
	kept []byte
}

// Feed takes the next bytes, which it does not keep, and calls got for each message that is complete. An error of Feed
// (fault.Invalid) or of got ends it; the stream is of no use then.
func (r *Reader) Feed(b []byte, got func(*Message) error) error {
	r.kept = append(r.kept, b...)
	rest := r.kept
	for {
		body, after, err := cut(rest)
		if err != nil {
			return err
		}
		if body == nil {
			break
		}
		m, err := decode(body)
		if err != nil {
			return err
		}
		if err := got(m); err != nil {
			return err
		}
		rest = after
	}
	r.kept = append(r.kept[:0], rest...)
	return nil
}

// cut returns the first frame's body, nil if it is not complete.
func cut(b []byte) (body, rest []byte, err error) {
	if len(b) < lengthLen {
		return nil, b, nil
	}
	n := int(binary.BigEndian.Uint32(b))
	if n == 0 || n > MaxFrame {
		return nil, nil, fault.New(fault.Invalid, "vip: a message of %d bytes is not 1 to %d", n, MaxFrame)
	}
	if len(b) < lengthLen+n {
		return nil, b, nil
	}
	return b[lengthLen : lengthLen+n], b[lengthLen+n:], nil
}

func decode(body []byte) (*Message, error) {
	m := new(Message)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "vip: decode a message")
	}
	if n := m.fields(); n != 1 {
		return nil, fault.New(fault.Invalid, "vip: a message has %d parts, not one", n)
	}
	if m.Plan != nil {
		return m, m.Plan.check()
	}
	return m, nil
}

// fields returns how many fields are set.
func (m *Message) fields() int {
	n := 0
	for _, set := range []bool{
		m.Plan != nil, m.Verdict != nil, m.Do != nil, m.Beat != nil,
		m.Hello != nil, m.Tell != nil, m.Snapshot != nil, m.Done != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// check holds the bounds of a Plan.
func (p *Plan) check() error {
	if len(p.Groups) > MaxGroups {
		return fault.New(fault.Invalid, "vip: a plan of %d groups is above %d", len(p.Groups), MaxGroups)
	}
	routers := 0
	for _, g := range p.Groups {
		routers += len(g.Routers)
		if len(g.Routers) == 0 {
			return fault.New(fault.Invalid, "vip: group %s has no router", g.Name)
		}
		for _, r := range g.Routers {
			if len(r.Addresses) == 0 || len(r.Addresses) > MaxAddrs || len(r.Peers) > MaxPeers {
				return fault.New(fault.Invalid, "vip: %s: %d addresses and %d peers are not 1 to %d and 0 to %d",
					r.Vip, len(r.Addresses), len(r.Peers), MaxAddrs, MaxPeers)
			}
		}
	}
	if routers > MaxRouters {
		return fault.New(fault.Invalid, "vip: a plan of %d routers is above %d", routers, MaxRouters)
	}
	return nil
}
