package netio_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/netio"
)

// A daemon listens on a virtual address before its host has it, and answers there once it has.
func TestFreeBind(t *testing.T) {
	lab := labtest.New(t)
	server, client := lab.Host("server"), lab.Host("client")
	v4, v6 := lab.Default().Spare()
	set, err := netio.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	f := func(addr netip.Addr, bits int) {
		t.Helper()
		at := netip.AddrPortFrom(addr, 5300).String()
		err := server.In(func() error {
			if _, err := set.Listen("typo", "tcp", at, netio.Options{}); fault.Of(err) != fault.Unavailable || !strings.Contains(err.Error(), addr.String()) {
				t.Errorf("%s without FreeBind: %v", at, err)
			}
			if _, err := set.ListenPacket("typo", "udp", at, netio.Options{}); fault.Of(err) != fault.Unavailable {
				t.Errorf("%s over UDP without FreeBind: %v", at, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		free := netio.Options{FreeBind: true, ReusePort: true} // both are set
		var echo func() error
		err = server.In(func() error {
			l, err := set.Listen(fmt.Sprint("tcp-", bits), "tcp", at, free)
			if err != nil {
				return err
			}
			pc, err := set.ListenPacket(fmt.Sprint("udp-", bits), "udp", at, free)
			if err != nil {
				return err
			}
			echo = func() error {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				c.Close()
				b := make([]byte, 16)
				n, from, err := pc.ReadFrom(b)
				if err == nil {
					_, err = pc.WriteTo(b[:n], from)
				}
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatalf("%s with FreeBind: %v", at, err)
		}
		nodad := "" // of IPv6 alone
		if addr.Is6() {
			nodad = "nodad"
		}
		server.Run("sh", "-c", fmt.Sprintf("ip addr add %s/%d dev eth0 %s", addr, bits, nodad))
		answered := make(chan error, 1)
		go func() { answered <- echo() }()
		client.WaitTCP(at, 5*time.Second)
		c, err := client.DialContext(t.Context(), "udp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 16)
		if n, err := c.Read(b); err != nil || string(b[:n]) != "x" {
			t.Errorf("%s answers %q, %v", at, b[:n], err)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	f(v4, 32)
	f(v6, 128)
}
