package syslog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestAppend(t *testing.T) {
	at := time.Date(2026, 11, 23, 4, 5, 6, 789000, time.UTC)
	f := func(m Message, want string) {
		t.Helper()
		if got := string(Append(nil, &m)); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		frame := string(AppendFrame([]byte("x"), &m))
		if wantFrame := "x" + strconv.Itoa(len(want)) + " " + want; frame != wantFrame {
			t.Errorf("frame %q, want %q", frame, wantFrame)
		}
	}
	f(Message{}, "<0>1 - - - - - -")
	f(Message{Facility: FacilityLocal0, Severity: SeverityInfo, Time: at, Host: "h1", App: "lbd", Proc: "7", ID: "access", Text: "GET /"},
		"<134>1 2026-11-23T04:05:06.000789Z h1 lbd 7 access - GET /")
	f(Message{Host: "a b\x00é", App: strings.Repeat("x", 60), SDID: "s[=]", SD: []Param{{"k=", `a"b\c]d`}}},
		"<0>1 - ab "+strings.Repeat("x", 48)+` - - [s[ k="a\"b\\c\]d"]`)
}

func TestUnsent(t *testing.T) {
	buf := []byte("3 abc2 de1 f")
	f := func(n int, rest string, cut uint64) {
		t.Helper()
		r, c := unsent(buf, n)
		if string(r) != rest || c != cut {
			t.Errorf("unsent(%d) = %q, %d, want %q, %d", n, r, c, rest, cut)
		}
	}
	f(0, "3 abc2 de1 f", 0)
	f(1, "2 de1 f", 1)
	f(5, "2 de1 f", 0)
	f(6, "1 f", 1)
	f(12, "", 0)
	if n := countFrames(buf); n != 3 {
		t.Errorf("countFrames = %d", n)
	}
}

// readFrame reads one octet-counted message.
func readFrame(r *bufio.Reader) (string, error) {
	head, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(head))
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

func TestSenderDeliversOverRestartOfTheServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	s := NewSender(addr, Env{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	expect := func(ln net.Listener, from, to int) net.Conn {
		t.Helper()
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		for i := from; i < to; i++ {
			got, err := readFrame(r)
			if err != nil || !strings.HasSuffix(got, fmt.Sprintf(" n=%d", i)) {
				t.Fatalf("message %d: %q, %v", i, got, err)
			}
		}
		return c
	}
	for i := range 100 {
		s.Send(&Message{App: "t", Text: fmt.Sprintf("n=%d", i)})
	}
	c := expect(ln, 0, 100)
	ln.Close()
	c.Close()
	for s.broken.Value() == 0 { // the sender sees the end by its reader, not by a failed write
		runtime.Gosched()
	}
	for i := 100; i < 200; i++ {
		s.Send(&Message{App: "t", Text: fmt.Sprintf("n=%d", i)})
	}
	if ln, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	defer expect(ln, 100, 200).Close()
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s.dropped.Value() != 0 || s.sent.Value() != 200 {
		t.Errorf("sent %d, dropped %d", s.sent.Value(), s.dropped.Value())
	}
}

func TestSenderBoundsWhatWaits(t *testing.T) {
	s := NewSender("127.0.0.1:1", Env{}) // Run is never called: nothing is taken
	text := strings.Repeat("x", messageLimit)
	for range 2 * bufferLimit / messageLimit {
		s.Send(&Message{Text: text + "more"})
	}
	if s.dropped.Value() == 0 || len(s.buf) > bufferLimit+messageLimit+100 {
		t.Errorf("dropped %d, waiting %d bytes", s.dropped.Value(), len(s.buf))
	}
}
