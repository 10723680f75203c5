package host

import (
	"net"
	"os"
	"testing"
)

func TestPortHolder(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		ln, err := net.Listen(network, map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network])
		if err != nil {
			t.Logf("%s: %v", network, err) // a machine without IPv6
			continue
		}
		port := ln.Addr().(*net.TCPAddr).Port
		h, ok := PortHolder(OS{}, "tcp", port)
		if !ok || h.PID != os.Getpid() || h.Program == "" {
			t.Errorf("%s: %v, %v; want pid %d", network, h, ok, os.Getpid())
		}
		ln.Close()
		if h, ok := PortHolder(OS{}, "tcp", port); ok {
			t.Errorf("%s: closed, but held by %v", network, h)
		}
	}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if h, ok := PortHolder(OS{}, "udp", c.LocalAddr().(*net.UDPAddr).Port); !ok || h.PID != os.Getpid() {
		t.Errorf("udp: %v, %v", h, ok)
	}
}

func TestHolderOfAnotherUser(t *testing.T) {
	if s := (Holder{}).String(); s == "" || s[0] != 'a' {
		t.Error(s)
	}
	if s := (Holder{17, "nginx"}).String(); s != "nginx (pid 17)" {
		t.Error(s)
	}
}

func TestListener(t *testing.T) {
	f := func(line string, port int, want bool) {
		t.Helper()
		if _, ok := listener(line, tcpListen, port); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
	const line = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1"
	f(line, 8080, true)
	f(line, 8081, false)
	f("0: 0100007F:1F90 00000000:0000 01 0:0 0:0 0 0 0 4242 1", 8080, false)
	f("  sl  local_address", 8080, false)
	f("", 0, false)
}
