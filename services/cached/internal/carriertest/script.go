// Package carriertest has a session that uses every word of the contract between sessions and their carriers, for the tests of carriers.
package carriertest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/everup/everup/services/cached/internal/engine"
	"github.com/everup/everup/services/cached/internal/session"
)

// Scripts makes sessions and counts them.
type Scripts struct {
	Store       *engine.Store
	Conns       func() int                          // what the command conns answers
	OnStep      atomic.Pointer[func(*session.Peer)] // called at the beginning of each Step
	Begun, Ends atomic.Int64
}

// New returns a maker of scripts with a store for big values.
func New(t testing.TB) *Scripts {
	t.Helper()
	store, err := engine.New(engine.Options{Memory: 64 << 20, MaxItem: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return &Scripts{Store: store, Conns: func() int { return 0 }}
}

// Factory is a session.Factory.
func (s *Scripts) Factory(_ byte, p *session.Peer) session.Session {
	s.Begun.Add(1)
	return &script{p: p, all: s}
}

// script is a session that does what its lines say, each word of the contract by one command:
//
//	echo X      answers X
//	put N       takes a body of N bytes in pieces of at most 1000 from memory of its own, and answers their sum
//	big N       answers a pinned value of N bytes and a line end
//	flush N     answers N lines of 1000 bytes, with a Flush after each
//	yield N     yields N times, then answers "yielded"
//	long N      answers N bytes in one Step, whatever their number
//	detach      serves the connection away from the loop: each line is answered "away: …", until "back" or "end"
//	conns       answers how many connections the group lists
//	quit, abort, panic
type script struct {
	p    *session.Peer
	all  *Scripts
	todo func(out *session.Out) (session.Next, bool) // the command under way
	body []byte
	puts bool
	left int
	sum  int
}

func (s *script) Step(in []byte, out *session.Out) (n int, next session.Next) {
	if f := s.all.OnStep.Load(); f != nil {
		(*f)(s.p)
	}
	for {
		if s.puts {
			k := min(s.left, len(in)-n)
			s.take(in[n : n+k])
			if n += k; s.left > 0 {
				return n, session.Body
			}
			s.puts = false
			fmt.Fprintf(&sink{&out.Buf}, "sum %d\r\n", s.sum)
		}
		if s.todo != nil {
			next, on := s.todo(out)
			if !on {
				s.todo = nil
			}
			if next != session.More {
				return n, next
			}
			continue
		}
		end := bytes.IndexByte(in[n:], '\n')
		if end < 0 {
			return n, session.More
		}
		word, arg, _ := strings.Cut(strings.TrimRight(string(in[n:n+end]), "\r"), " ")
		n += end + 1
		if next, stop := s.command(word, arg, out); stop {
			return n, next
		}
	}
}

// sink is an io.Writer on a slice.
type sink struct{ b *[]byte }

func (s *sink) Write(b []byte) (int, error) { *s.b = append(*s.b, b...); return len(b), nil }

func (s *script) command(word, arg string, out *session.Out) (next session.Next, stop bool) {
	count, _ := strconv.Atoi(arg)
	switch word {
	case "echo":
		fmt.Fprintf(&sink{&out.Buf}, "%s\r\n", arg)
	case "put":
		s.puts, s.left, s.sum = true, count, 0
	case "big":
		s.todo = s.big(count)
	case "flush":
		s.todo = func(out *session.Out) (session.Next, bool) {
			out.Buf = append(append(out.Buf, bytes.Repeat([]byte{'f'}, 998)...), "\r\n"...)
			count--
			return session.Flush, count > 0
		}
	case "yield":
		s.todo = func(out *session.Out) (session.Next, bool) {
			if count--; count >= 0 {
				return session.Yield, true
			}
			out.Buf = append(out.Buf, "yielded\r\n"...)
			return session.More, false
		}
	case "long":
		out.Buf = append(append(out.Buf, bytes.Repeat([]byte{'l'}, count)...), "\r\n"...)
	case "conns":
		fmt.Fprintf(&sink{&out.Buf}, "%d\r\n", s.all.Conns())
	case "detach":
		return session.Detach, true
	case "quit":
		return session.Close, true
	case "abort":
		return session.Abort, true
	case "panic":
		panic("as asked")
	default:
		fmt.Fprintf(&sink{&out.Buf}, "what is %q?\r\n", word)
	}
	return 0, false
}

func (s *script) big(n int) func(out *session.Out) (session.Next, bool) {
	pinned := false
	return func(out *session.Out) (session.Next, bool) {
		if pinned {
			out.Buf = append(out.Buf, "\r\n"...)
			return session.More, false
		}
		ref := s.all.Store.Lock([]byte("big"), 1)
		defer ref.Unlock()
		if err := ref.Put(engine.Value{}, bytes.Repeat([]byte{'b'}, n)); err != nil {
			panic(err)
		}
		out.Big, pinned = ref.Pin(), true
		return session.Flush, true
	}
}

func (s *script) Body() []byte {
	s.body = make([]byte, min(s.left, 1000))
	return s.body
}

func (s *script) Filled(n int) { s.take(s.body[:n]) }

func (s *script) take(b []byte) {
	for _, c := range b {
		s.sum += int(c)
	}
	s.left -= len(b)
}

func (s *script) Detached(ctx context.Context, c net.Conn, rest []byte) (left []byte, back bool) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(rest), c))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, false
		}
		switch word := strings.TrimSpace(line); word {
		case "back":
			left, _ := r.Peek(r.Buffered())
			return left, true
		case "end":
			return nil, false
		case "panic":
			panic("away, as asked")
		default:
			fmt.Fprintf(c, "away: %s\r\n", word)
		}
	}
}

func (s *script) State() string { return "conn_read" }
func (s *script) End()          { s.all.Ends.Add(1) }
