package oracletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

// halfCloser is a connection whose sending side can end alone: TCP and unix.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// Exchange sends the writes over a fresh connection, ends its side of it and returns all that the server answers until it
// ends its own: nothing has to be waited for but bytes. A server that closes early is no error.
func Exchange(network, addr string, writes ...[]byte) ([]byte, error) {
	nc, err := net.Dial(network, addr)
	if err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	defer nc.Close()
	c := nc.(halfCloser)
	c.SetDeadline(time.Now().Add(ioTimeout))
	sent := make(chan error, 1)
	go func() {
		for _, w := range writes {
			if _, err := c.Write(w); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.CloseWrite()
	}()
	var got bytes.Buffer
	_, err = io.Copy(&got, c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return got.Bytes(), fmt.Errorf("exchange: after %d bytes: %w", got.Len(), err)
	}
	if err := <-sent; errors.Is(err, syscall.ETIMEDOUT) || isTimeout(err) {
		return got.Bytes(), fmt.Errorf("exchange: %w", err)
	}
	return got.Bytes(), nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// EveryByte splits b into writes of one byte.
func EveryByte(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }

// asker is a client of several connections that waits for each answer.
type asker struct {
	server *Server
	binary bool
	conns  map[int]net.Conn
	unique uint64 // the CAS that was seen last
}

func (a *asker) close() {
	for _, c := range a.conns {
		c.Close()
	}
}

// sentinel is sent after each command: its answer ends the command's answers.
func (a *asker) sentinel() (ask, answer []byte) {
	if !a.binary {
		return []byte("mn\r\n"), []byte("MN\r\n")
	}
	const opaque = 0x5e471e11
	return Packet{Magic: 0x80, Opcode: 0x0a, Opaque: opaque}.Append(nil), Packet{Magic: 0x81, Opcode: 0x0a, Opaque: opaque}.Append(nil)
}

// ask sends a whole command and returns its answer. The last CAS that was seen stands for the placeholder.
func (a *asker) ask(conn int, command []byte) ([]byte, error) {
	c := a.conns[conn]
	if c == nil {
		nc, err := net.Dial(a.server.Network, a.server.Addr)
		if err != nil {
			return nil, err
		}
		c = nc
		a.conns[conn] = c
	}
	c.SetDeadline(time.Now().Add(ioTimeout))
	ask, end := a.sentinel()
	if _, err := c.Write(append(fillUnique(command, a.unique, a.binary), ask...)); err != nil && isTimeout(err) {
		return nil, err
	}
	answer, err := readUntil(c, end)
	if err != nil {
		return answer, err
	}
	for _, u := range uniques(answer, a.binary) {
		a.unique = u
	}
	return answer, nil
}

// readUntil reads until what came ends with the sentinel's answer, or the server hangs up.
func readUntil(c net.Conn, end []byte) ([]byte, error) {
	var got []byte
	buf := make([]byte, 64<<10)
	for !bytes.HasSuffix(got, end) {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		switch {
		case err == nil:
		case isTimeout(err):
			return got, err
		default:
			return append(got, "<closed>"...), nil
		}
	}
	return bytes.TrimSuffix(got, end), nil
}
