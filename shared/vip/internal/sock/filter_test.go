package sock

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/everup/everup/shared/vrrp"
)

// TestFilter runs the programs in the kernel, on a pair of sockets that needs no privilege: what is written there is what
// a raw socket's filter sees.
func TestFilter(t *testing.T) {
	every := make([]vrrp.VRID, 255)
	for i := range every {
		every[i] = vrrp.VRID(i + 1)
	}
	f := func(ids ...vrrp.VRID) {
		t.Helper()
		for _, header := range []int{0, 20, 24, 60} {
			in, out := filtered(t, filter(header > 0, true, ids))
			for id := range 256 {
				want := id > 0 && slices.Contains(ids, vrrp.VRID(id))
				if got := passes(t, in, out, packet(header, byte(id))); got != want {
					t.Errorf("filter for %d, header of %d bytes: VRID %d passes: %v", ids, header, id, got)
				}
			}
			if whole := packet(header, 51); passes(t, in, out, whole[:len(whole)-1]) {
				t.Errorf("filter for %d, header of %d bytes: a payload of one byte passes", ids, header)
			}
		}
	}
	f()
	f(0)
	f(51)
	f(255)
	f(52, 51, 52, 0, 1)
	f(every...)
	f(append(every, every...)...)
}

// packet returns two bytes of payload behind an IPv4 header, if that has a length.
func packet(header int, id byte) []byte {
	b := make([]byte, header+2)
	if header > 0 {
		b[0], b[1] = 0x40|byte(header/4), 51
	}
	b[header], b[header+1] = 0x31, id
	return b
}

// filtered returns two sockets: what is written to the first is read from the second if it passes the filter.
func filtered(t *testing.T, program []unix.SockFilter) (in, out int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	err = unix.SetsockoptSockFprog(fds[1], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func passes(t *testing.T, in, out int, b []byte) bool {
	t.Helper()
	if _, err := unix.Write(in, b); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Read(out, make([]byte, 100))
	if err != nil && err != unix.EAGAIN || err == nil && n != len(b) {
		t.Fatalf("read %d of %d bytes, %v", n, len(b), err)
	}
	return err == nil
}
