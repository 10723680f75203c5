package conformance

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// frame is one of WebSocket (RFC 6455, section 5.2).
type frame struct {
	first   byte // FIN and the opcode
	payload []byte
}

// First bytes of frames, and the bits in them.
const (
	fin          = 0x80
	continuation = 0
	text         = 1
	binaryData   = 2
	closing      = 8
	ping         = 9
	pong         = 10
)

// maxPayload bounds what readFrame takes.
const maxPayload = 1 << 20

// append adds the frame as it is on the wire, masked as a client's or not.
func (f frame) append(b []byte, masked bool) []byte {
	var m byte
	if masked {
		m = 0x80
	}
	b = append(b, f.first)
	switch n := len(f.payload); {
	case n < 126:
		b = append(b, m|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, m|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, m|127), uint64(n))
	}
	if !masked {
		return append(b, f.payload...)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i, c := range f.payload {
		b = append(b, c^key[i%4])
	}
	return b
}

func readFrame(r *bufio.Reader) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	length, wide := uint64(head[1]&0x7f), 0
	switch length {
	case 126:
		wide = 2
	case 127:
		wide = 8
	}
	var more [8]byte
	if wide > 0 {
		if _, err := io.ReadFull(r, more[8-wide:]); err != nil {
			return frame{}, err
		}
		length = binary.BigEndian.Uint64(more[:])
	}
	if length > maxPayload {
		return frame{}, fmt.Errorf("a frame of %d bytes", length)
	}
	var key [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return frame{}, err
		}
	}
	f := frame{head[0], make([]byte, length)}
	if _, err := io.ReadFull(r, f.payload); err != nil {
		return frame{}, err
	}
	for i := range f.payload {
		f.payload[i] ^= key[i%4]
	}
	return f, nil
}

// socket is a client's WebSocket.
type socket struct {
	net.Conn
	in *bufio.Reader
}

// openSocket asks for a WebSocket on a connection, which is closed if there is none.
func openSocket(c net.Conn, host, path string) (*socket, error) {
	c.SetDeadline(time.Now().Add(2 * patience))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	s := &socket{c, bufio.NewReader(c)}
	res, err := http.ReadResponse(s.in, nil)
	if err == nil && (res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		err = fmt.Errorf("%s, %q", res.Status, res.Header)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("open a WebSocket at %s: %w", path, err)
	}
	return s, nil
}

func dialSocket(addr, path string) (*socket, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return openSocket(c, addr, path)
}

// echo reports whether a message comes back as it was sent.
func (s *socket) echo(message string) error {
	if _, err := s.Write(frame{fin | text, []byte(message)}.append(nil, true)); err != nil {
		return err
	}
	got, err := readFrame(s.in)
	if err == nil && (got.first != fin|text || !bytes.Equal(got.payload, []byte(message))) {
		err = fmt.Errorf("%x %.100q came back for %.100q", got.first, got.payload, message)
	}
	return err
}
