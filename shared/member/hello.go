package member

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"

	"github.com/everup/everup/shared/fault"
)

// A stream between members begins with a hello, so that two that do not belong together can both say why:
//
//	dialer   → hello
//	listener → hello
//	dialer   → verdict 1, proof 32     proof = HMAC(key of its first secret, "dialer" ‖ hellos)
//	listener → verdict 1, proof 32     proof = HMAC(the same key, "listener" ‖ hellos)
//
// A side that refuses says so in its verdict and closes. The verdict is a word to the operator, not a defence: what
// keeps strangers out is that neither side goes on before it has seen the other's proof, and that gossip itself is
// encrypted. In a fleet without secrets the proofs are zero.
const (
	helloMagic   = "evUP"
	helloVersion = 1
	nonceLen     = 16
	helloMax     = 4 + 1 + 1 + 2 + 3*256 + 8 + nonceLen + 19

	helloKeyed = 1 // flag: has secrets
)

// refusal says why two processes do not belong together. Its numbers go over the wire.
type refusal byte

const (
	welcome      refusal = 0
	otherFleet   refusal = 1
	otherSecret  refusal = 2
	noSecret     refusal = 3 // the listener has secrets, the dialer none
	needlessKey  refusal = 4 // the dialer has secrets, the listener none
	nameTaken    refusal = 5
	otherVersion refusal = 6
	ourselves    refusal = 7 // the process at the other end is this one
	notEverup    refusal = 8
)

// label is the refusal in metrics.
func (r refusal) label() string {
	switch r {
	case otherFleet:
		return "fleet"
	case otherSecret:
		return "secret"
	case noSecret, needlessKey:
		return "no-secret"
	case nameTaken:
		return "name"
	case otherVersion:
		return "version"
	case ourselves:
		return "self"
	}
	return "protocol"
}

// hello is what a process says of itself before a stream is used.
type hello struct {
	Keyed      bool
	Fleet      string
	ID         ID
	Generation uint64
	Addr       netip.AddrPort // where it is reached
	nonce      [nonceLen]byte
	raw        []byte // as it went over the wire, for the proofs
}

// refusedError is a refusal with who and why; it is fault.Denied.
type refusedError struct {
	why  refusal
	peer hello
	said bool // the peer said so, not we
}

func (e *refusedError) Error() string { return "member: refused: " + e.why.label() }
func (e *refusedError) Unwrap() error { return fault.Denied }

// encode returns the hello with a fresh nonce:
//
//	magic 4 | version 1 | flags 1 | length of the rest 2 |
//	fleet length 1, fleet | ID length 1, ID | generation 8 | nonce 16 | port 2 | address 0, 4 or 16
func (h *hello) encode() []byte {
	rand.Read(h.nonce[:])
	flags := byte(0)
	if h.Keyed {
		flags = helloKeyed
	}
	var body []byte
	body = append(append(body, byte(len(h.Fleet))), h.Fleet...)
	body = append(append(body, byte(len(h.ID))), h.ID...)
	body = binary.BigEndian.AppendUint64(body, h.Generation)
	body = append(body, h.nonce[:]...)
	body = append(append(body, portBytes(h.Addr.Port())...), h.Addr.Addr().AsSlice()...)
	h.raw = append([]byte(helloMagic), helloVersion, flags)
	h.raw = binary.BigEndian.AppendUint16(h.raw, uint16(len(body)))
	h.raw = append(h.raw, body...)
	return h.raw
}

// readHello reads a peer's hello. A peer of another version or protocol is a refusedError.
func readHello(r io.Reader) (hello, error) {
	var h hello
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return h, err
	}
	n := int(binary.BigEndian.Uint16(head[6:]))
	switch {
	case string(head[:4]) != helloMagic:
		return h, &refusedError{why: notEverup}
	case head[4] != helloVersion:
		return h, &refusedError{why: otherVersion}
	case n > helloMax:
		return h, &refusedError{why: notEverup}
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, err
	}
	h.Keyed = head[5]&helloKeyed != 0
	h.raw = append(head, body...)
	return h, h.parse(body)
}

func (h *hello) parse(body []byte) error {
	b := reader{b: body}
	h.Fleet = string(b.take(int(b.byte())))
	h.ID = ID(b.take(int(b.byte())))
	h.Generation = b.uint64()
	copy(h.nonce[:], b.take(nonceLen))
	port := b.uint16()
	if addr, ok := netip.AddrFromSlice(b.b); ok {
		h.Addr = netip.AddrPortFrom(addr, port)
	}
	if b.bad {
		return &refusedError{why: notEverup}
	}
	return nil
}

// party is one side of the exchange.
type party struct {
	me     hello
	keys   [][]byte                 // proof keys of our secrets, the first being ours to prove with
	admits func(peer hello) refusal // what we hold against the peer besides fleet and secret
}

// judge returns what we hold against the peer by its hello alone. dialer says which side we are.
func (p *party) judge(peer hello, dialer bool) refusal {
	switch {
	case peer.Fleet != p.me.Fleet:
		return otherFleet
	case peer.ID == p.me.ID && peer.Generation == p.me.Generation:
		return ourselves
	case p.me.Keyed != peer.Keyed && p.me.Keyed == dialer:
		return needlessKey
	case p.me.Keyed != peer.Keyed:
		return noSecret
	}
	return p.admits(peer)
}

// dial runs the dialer's side. On a *refusedError the peer's hello is in it as far as it was heard.
func (p *party) dial(c io.ReadWriter) (hello, error) {
	if _, err := c.Write(p.me.encode()); err != nil {
		return hello{}, err
	}
	peer, err := readHello(c)
	if err != nil {
		return peer, withPeer(err, peer)
	}
	verdict := p.judge(peer, true)
	key := firstKey(p.keys)
	if err := sendVerdict(c, verdict, proof(key, "dialer", p.me, peer)); err != nil {
		return peer, err
	}
	said, theirs, err := readVerdict(c)
	switch {
	case verdict != welcome:
		return peer, &refusedError{why: verdict, peer: peer}
	case err != nil:
		return peer, err
	case said != welcome:
		return peer, &refusedError{why: said, peer: peer, said: true}
	case !hmac.Equal(theirs, proof(key, "listener", p.me, peer)):
		return peer, &refusedError{why: otherSecret, peer: peer}
	}
	return peer, nil
}

// accept runs the listener's side.
func (p *party) accept(c io.ReadWriter) (hello, error) {
	peer, err := readHello(c)
	if err != nil {
		return peer, withPeer(err, peer)
	}
	if _, err := c.Write(p.me.encode()); err != nil {
		return peer, err
	}
	said, theirs, err := readVerdict(c)
	if err != nil {
		return peer, err
	}
	verdict := p.judge(peer, false)
	key, known := p.match(theirs, peer)
	if verdict == welcome && !known {
		verdict = otherSecret
	}
	err = sendVerdict(c, verdict, proof(key, "listener", peer, p.me))
	switch {
	case verdict != welcome:
		return peer, &refusedError{why: verdict, peer: peer}
	case said != welcome:
		return peer, &refusedError{why: said, peer: peer, said: true}
	}
	return peer, err
}

// match returns the key among ours that the dialer's proof was made with.
func (p *party) match(theirs []byte, dialer hello) ([]byte, bool) {
	if len(p.keys) == 0 {
		return nil, true
	}
	for _, key := range p.keys {
		if hmac.Equal(theirs, proof(key, "dialer", dialer, p.me)) {
			return key, true
		}
	}
	return nil, false
}

// proof is zero without a key.
func proof(key []byte, role string, dialer, listener hello) []byte {
	if key == nil {
		return make([]byte, sha256.Size)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte(role))
	h.Write(dialer.raw)
	h.Write(listener.raw)
	return h.Sum(nil)
}

func sendVerdict(w io.Writer, v refusal, proof []byte) error {
	if v != welcome {
		proof = make([]byte, sha256.Size) // a proof for one we refuse would help it guess
	}
	_, err := w.Write(append([]byte{byte(v)}, proof...))
	return err
}

func readVerdict(r io.Reader) (refusal, []byte, error) {
	b := make([]byte, 1+sha256.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, err
	}
	return refusal(b[0]), b[1:], nil
}

func withPeer(err error, peer hello) error {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		refused.peer = peer
	}
	return err
}

func firstKey(keys [][]byte) []byte {
	if len(keys) == 0 {
		return nil
	}
	return keys[0]
}
