package holder

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/vip/internal/wire"
)

// pair returns a control and the daemon's end of its socket.
func pair(t *testing.T) (*control, int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return newControl(fds[0]), fds[1]
}

// read returns the messages that lie in a socket.
func read(t *testing.T, fd int, r *wire.Reader) (got []*wire.Message) {
	b := make([]byte, 1<<20)
	for {
		n, err := unix.Read(fd, b)
		if err != nil || n == 0 {
			return got
		}
		if err := r.Feed(b[:n], func(m *wire.Message) error { got = append(got, m); return nil }); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeafDaemon: what a daemon that does not read misses is bounded, counted, and the rest is whole.
func TestDeafDaemon(t *testing.T) {
	c, fd := pair(t)
	const all = 20000
	for range all {
		c.Tell(&wire.Message{Tell: &wire.Tell{Kind: wire.TellLate}})
		c.flush()
	}
	if len(c.out) > tellBuffer || c.lost == 0 || c.Idle() {
		t.Fatalf("%d bytes wait, %d messages are lost", len(c.out), c.lost)
	}
	c.Answer(&wire.Message{Done: &wire.Done{ID: 1}})
	var r wire.Reader
	var got []*wire.Message
	for !c.Idle() {
		got = append(got, read(t, fd, &r)...)
		c.flush()
	}
	got = append(got, read(t, fd, &r)...)
	if n := uint64(len(got)); n+c.lost != all+1 || got[n-1].Done == nil {
		t.Errorf("%d were read and %d lost, of %d; the last is %+v", n, c.lost, all, got[n-1])
	}
}

func TestHear(t *testing.T) {
	c, fd := pair(t)
	if more, err := c.hear(nil); more || err != nil {
		t.Errorf("nothing to read: %v, %v", more, err)
	}
	b, _ := wire.Append(nil, &wire.Message{Beat: &wire.Beat{}})
	unix.Write(fd, b)
	n := 0
	if err := c.hearAll(func(m *wire.Message) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d messages, %v", n, err)
	}
	unix.Shutdown(fd, unix.SHUT_WR)
	if err := c.hearAll(nil); err != errGone {
		t.Errorf("at the end: %v", err)
	}
}
