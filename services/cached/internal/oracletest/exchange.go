package oracletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
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

// versionLine is the answer to version, whatever the version.
var versionLine = regexp.MustCompile(`VERSION [^\r\n]*\r\n`)

// sentinel is a command whose answer nothing else gives: it shows that all before it has been answered. Generators keep it out of
// what is made up for lockstep.
func sentinel(bin bool) []byte {
	if !bin {
		return []byte("version\r\n")
	}
	return Packet{Magic: 0x80, Opcode: 0x0a, Opaque: sentinelOpaque}.Append(nil)
}

const sentinelOpaque = 0x5e471e11

// cutSentinel cuts the sentinel's answer from the end of what came.
func cutSentinel(answer []byte, bin bool) (before []byte, found bool) {
	if bin {
		return bytes.CutSuffix(answer, Packet{Magic: 0x81, Opcode: 0x0a, Opaque: sentinelOpaque}.Append(nil))
	}
	at := bytes.LastIndex(answer, []byte("VERSION "))
	if at < 0 || len(versionLine.Find(answer[at:])) != len(answer)-at {
		return answer, false
	}
	return answer[:at], true
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
	if _, err := c.Write(append(fillUnique(command, a.unique, a.binary), sentinel(a.binary)...)); err != nil && isTimeout(err) {
		return nil, err
	}
	answer, err := readAnswer(c, a.binary)
	if err != nil {
		return answer, err
	}
	for _, u := range uniques(answer, a.binary) {
		a.unique = u
	}
	return answer, nil
}

// readAnswer reads until the sentinel is answered, or the server hangs up.
func readAnswer(c net.Conn, bin bool) ([]byte, error) {
	var got []byte
	for buf := make([]byte, 64<<10); ; {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		switch before, found := cutSentinel(got, bin); {
		case found:
			return before, nil
		case isTimeout(err):
			return got, err
		case err != nil:
			return append(got, closedMark...), nil
		}
	}
}

// closedMark stands at the end of an answer after which the server hung up.
const closedMark = "<closed>"
