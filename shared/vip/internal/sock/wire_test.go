package sock

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
)

// local is an Ethernet type for experiments (IEEE 802).
const local = 0x88b5

func (e *end) wire() *Wire {
	e.t.Helper()
	var w *Wire
	err := e.host.In(func() (err error) { w, err = OpenWire(e.link.Index); return err })
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { w.Close() })
	return w
}

// someFrame returns a frame to everybody, from an address that is not the interface's.
func someFrame(size int) []byte {
	f := append(bytes.Repeat([]byte{0xff}, 6), 0x00, 0x00, 0x5e, 0x00, 0x01, 0x33, local>>8, local&0xff)
	for len(f) < size {
		f = append(f, byte(len(f)))
	}
	return f
}

func TestWire(t *testing.T) {
	a, b := two(t)
	w, tap := a.wire(), b.tap()
	all := func([]byte) bool { return true }
	for _, size := range []int{headerEther, 42, 86, 1514} {
		out := someFrame(size)
		if err := w.Send(out); err != nil {
			t.Fatal(err)
		}
		if got := frame(t, tap, local, all); !bytes.Equal(got, out) {
			t.Errorf("sent %x, received %x", out, got)
		}
	}
	for _, size := range []int{0, headerEther - 1, frameMost + 1} {
		if err := w.Send(make([]byte, size)); !errors.Is(err, fault.Invalid) {
			t.Errorf("a frame of %d bytes: %v", size, err)
		}
	}
	if err := w.Send(someFrame(9000)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a frame above the MTU: %v", err)
	}
}

// TestWireReceivesNothing: all that comes passes it.
func TestWireReceivesNothing(t *testing.T) {
	a, b := two(t)
	w, back, tap := a.wire(), b.wire(), a.tap()
	if err := back.Send(someFrame(60)); err != nil {
		t.Fatal(err)
	}
	frame(t, tap, local, func([]byte) bool { return true })
	if n, _, err := unix.Recvfrom(w.fd, make([]byte, 100), 0); err != unix.EAGAIN {
		t.Errorf("received %d bytes, %v", n, err)
	}
}

// TestWireFaults: the socket outlives what happens to the interface.
func TestWireFaults(t *testing.T) {
	a, b := two(t)
	w, tap := a.wire(), b.tap()
	a.host.Run("ip", "link", "set", a.link.Name, "down")
	if err := w.Send(someFrame(60)); !errors.Is(err, fault.Unavailable) {
		t.Errorf("while the link is down: %v", err)
	}
	a.host.Run("ip", "link", "set", a.link.Name, "up")
	labtest.Eventually(t, soon, "a frame passes again", func() error {
		if err := w.Send(someFrame(60)); err != nil {
			return err
		}
		if frameWithin(t, 50*time.Millisecond, tap, local, func([]byte) bool { return true }) == nil {
			return errors.New("nothing is received")
		}
		return nil
	})

	a.host.Run("ip", "link", "del", a.link.Name)
	if err := w.Send(someFrame(60)); !errors.Is(err, fault.NotFound) {
		t.Errorf("after the link is gone: %v", err)
	}
	if _, err := OpenWire(0); !errors.Is(err, fault.Invalid) {
		t.Errorf("of interface 0: %v", err)
	}
}
