package oracletest

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// Sequence is a conversation that was made up.
type Sequence struct {
	Binary   bool // what it was made up for
	Commands []Command

	// Lockstep says that each command waits for the answer of the one before, over the connections they name; all commands
	// are then whole. Else all is sent at once over one connection.
	Lockstep bool
}

// Command is a command with its data block, or any bytes.
type Command struct {
	Conn int
	Data []byte
}

// Bytes returns all that is sent.
func (s Sequence) Bytes() []byte {
	var b []byte
	for _, c := range s.Commands {
		b = append(b, c.Data...)
	}
	return b
}

// isBinary says which protocol a server speaks in it: that of the first byte.
func (s Sequence) isBinary() bool {
	for _, c := range s.Commands {
		if len(c.Data) > 0 {
			return c.Data[0] == 0x80
		}
	}
	return s.Binary
}

// String tells the sequence as a case of a golden file.
func (s Sequence) String() string {
	var out strings.Builder
	for _, c := range s.Commands {
		if s.Lockstep {
			fmt.Fprintf(&out, "@%d\n", c.Conn)
		}
		for _, l := range shownLines(c.Data, s.isBinary()) {
			fmt.Fprintf(&out, "> %s\n", l)
		}
	}
	return out.String()
}

// shownLines are bytes for people.
func shownLines(b []byte, bin bool) (lines []string) {
	if bin {
		return packetLines(b)
	}
	for l := range bytes.Lines(b) {
		lines = append(lines, escape(l))
	}
	return lines
}

// run has the conversation with a server that has forgotten all items before, in the given writes where it is not lockstep;
// nil writes are one. A sentinel follows. The answers come with the CAS uniques named and without versions.
func (s Sequence) run(server *Server, writes [][]byte) ([]byte, error) {
	got, err := s.answers(server, writes)
	if !s.isBinary() {
		got = versionLine.ReplaceAll(got, []byte("VERSION\r\n"))
	}
	return got, err
}

func (s Sequence) answers(server *Server, writes [][]byte) ([]byte, error) {
	if _, err := Exchange(server.Network, server.Addr, []byte("flush_all\r\n")); err != nil {
		return nil, err
	}
	names := namer{}
	if !s.Lockstep {
		ask := sentinel(s.isBinary())
		if writes == nil {
			writes = [][]byte{append(s.Bytes(), ask...)}
		} else {
			writes = append(writes[:len(writes):len(writes)], ask)
		}
		got, err := Exchange(server.Network, server.Addr, writes...)
		return mapUniques(got, s.isBinary(), names.name), err
	}
	a := &asker{server: server, binary: s.Binary, conns: map[int]net.Conn{}}
	defer a.close()
	var all []byte
	for i, c := range s.Commands {
		got, err := a.ask(c.Conn, c.Data)
		if err != nil {
			return nil, fmt.Errorf("command %d: %w", i+1, err)
		}
		all = append(all, mapUniques(got, s.isBinary(), names.name)...)
		if bytes.HasSuffix(got, []byte(closedMark)) {
			break
		}
	}
	return all, nil
}
