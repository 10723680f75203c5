package text

import (
	"strings"
	"testing"

	"github.com/everup/everup/services/cached/internal/session"
)

// TestChanges publishes what clients store and delete, and nothing else.
func TestChanges(t *testing.T) {
	env := newEnv(t)
	var seen []string
	env.Changed = func(c session.Change) {
		s := string(c.Key)
		if c.Deleted {
			s = "-" + s
		}
		seen = append(seen, s)
	}
	d := newDriver(t, env)
	in := "set a 0 0 1\r\n1\r\nadd a 0 0 1\r\n1\r\nincr a 1\r\nget a\r\nms b 1\r\n1\r\nms c 1 MR\r\n1\r\nma d N0\r\nmd b I\r\nmd b\r\ndelete a\r\n" +
		"delete a\r\ntouch d 0\r\nset e 0 0 9000\r\n" + strings.Repeat("x", 9000) + "\r\nset f 0 0 2000000\r\n" + strings.Repeat("x", 2000000) + "\r\n"
	d.send([]byte(in))
	if len(seen) > 0 {
		t.Errorf("published %q while nobody asked for it", seen)
	}
	env.Publish.Store(true)
	d.send([]byte("flush_all\r\n" + in))
	if got, want := strings.Join(seen, " "), "a a b d b -b -a e"; got != want {
		t.Errorf("published %q, want %q", got, want)
	}
}

// TestFlushed tells of flushes.
func TestFlushed(t *testing.T) {
	env := newEnv(t)
	var delays []int64
	env.Flushed = func(delay int64) { delays = append(delays, delay) }
	newDriver(t, env).send([]byte("flush_all\r\nflush_all 0 noreply\r\nflush_all 10\r\nflush_all x\r\nflush_all 2592001\r\n"))
	if len(delays) != 3 || delays[0] != 0 || delays[1] != 0 || delays[2] != 10 {
		t.Errorf("flushes after %d seconds, want 0, 0 and 10", delays)
	}
}

// TestTurn gives others their turn after so many commands, and after so many bytes.
func TestTurn(t *testing.T) {
	f := func(in string, turns int) {
		t.Helper()
		d := newDriver(t, newEnv(t))
		d.send([]byte("set a 0 0 10000\r\n" + strings.Repeat("x", 10000) + "\r\n"))
		d.held = []byte(in)
		for n := 1; ; n++ {
			consumed, next := d.s.Step(d.held, &d.out)
			d.held = d.held[consumed:]
			d.flush()
			if next == session.More {
				if n != turns {
					t.Errorf("%.20q…: %d steps, want %d", in, n, turns)
				}
				return
			}
		}
	}
	f(strings.Repeat("mn\r\n", 10), 1)
	f(strings.Repeat("mn\r\n", session.Turn), 1)
	f(strings.Repeat("mn\r\n", session.Turn+1), 2)
	f(strings.Repeat("mn\r\n", 10*session.Turn), 10)
	f(strings.Repeat("get b\r\n", session.Turn/2), 1) // a look-up is counted twice
	f(strings.Repeat("get b\r\n", session.Turn), 2)
	f("get"+strings.Repeat(" b", 3*session.Turn)+"\r\n", 4)
	f(strings.Repeat("get a\r\n", 14), 3)                                               // the output is long
	f(strings.Repeat("set b 0 0 100000\r\n"+strings.Repeat("x", 100000)+"\r\n", 12), 2) // the values are
}
