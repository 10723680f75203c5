package dnsd

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/miekg/dns"
)

// startOn runs the program on a host of a lab until the test ends.
func startOn(t *testing.T, h *labtest.Host, listen, tail string) *labtest.Proc {
	t.Helper()
	dir := t.TempDir()
	writeZone(t, dir, 1)
	text := fmt.Sprintf("node: %[1]s\nstate: %[2]s/state\nadmin: {socket: %[2]s/sock}\nlisten: %[3]s\nzones: [{name: site.test, file: %[2]s/site.zone}]\n%[4]s", h.Name, dir, listen, tail)
	file := filepath.Join(dir, "dnsd.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return h.Start("dnsd", labtest.BuildBinary(t, "github.com/everup/everup/services/dnsd/cmd/dnsd"), "run", "-c", file)
}

// ask asks for www.site.test from h. Its socket is connected: an answer from another address than was asked is not taken, as
// resolvers do not take it.
func ask(t *testing.T, h *labtest.Host, network string, at netip.AddrPort) error {
	c, err := h.DialContext(t.Context(), network, at.String())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	conn := dns.Conn{Conn: c}
	if err := conn.WriteMsg(new(dns.Msg).SetQuestion("www.site.test.", dns.TypeA)); err != nil {
		return err
	}
	m, err := conn.ReadMsg()
	if err == nil && (m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1) {
		err = fmt.Errorf("the answer is %v", m)
	}
	return err
}

// A host with several addresses answers from the one that was asked, on wildcard sockets of every kind.
func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	lab := labtest.New(t)
	server, client := lab.Host("server"), lab.Host("client")
	v4, v6 := lab.Default().Spare()
	server.Run("ip", "addr", "add", v4.String()+"/32", "dev", "eth0")
	server.Run("ip", "addr", "add", v6.String()+"/128", "dev", "eth0", "nodad")
	startOn(t, server, `["0.0.0.0:5301", "[::]:5302", ":5303"]`, "")
	server.WaitTCP("127.0.0.1:5303", 10*time.Second)
	for _, at := range []struct {
		addr  netip.Addr
		ports []uint16
	}{
		{server.Addr(), []uint16{5301, 5303}}, {v4, []uint16{5301, 5303}},
		{server.Addr6(), []uint16{5302, 5303}}, {v6, []uint16{5302, 5303}},
	} {
		for _, port := range at.ports {
			for _, network := range []string{"udp", "tcp"} {
				if err := ask(t, client, network, netip.AddrPortFrom(at.addr, port)); err != nil {
					t.Errorf("%s port %d over %s: %v", at.addr, port, network, err)
				}
			}
		}
	}
}
