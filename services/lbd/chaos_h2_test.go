package lbd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/everup/everup/shared/labtest"
)

// TestAMemberIsKilledUnderHTTP2: of three processes behind a real lbd one is killed while clients have many requests under way on few
// connections of HTTP/2, and comes back; no request that may be repeated fails, whatever lbd speaks with the members.
func TestAMemberIsKilledUnderHTTP2(t *testing.T) {
	f := func(name, how string) {
		t.Run(name, func(t *testing.T) {
			var all []*process
			var addrs []string
			for range 3 {
				all = append(all, startProcess(t, labtest.FreeAddr(t)))
				addrs = append(addrs, all[len(all)-1].addr)
			}
			certs := labtest.NewCerts(t)
			p := startProgram(t, "n1", addrs[0], ", tls: web, http2: true", webTLS(certs))
			p.reload("members: [", how+"check: {interval: 200ms, timeout: 200ms}, members: [{addr: '"+addrs[1]+"'}, {addr: '"+addrs[2]+"'}, ")
			for _, a := range addrs {
				p.waitMember(a, "up")
			}
			s := &storm{stop: make(chan struct{})}
			for range 4 { // connections
				c := clientOverHTTP2(t, certs.Client())
				for range 16 { // streams
					s.join(c, "https://"+p.addr+"/")
				}
			}
			s.wait(t, 300, addrs[0])
			all[0].kill()
			p.waitMember(addrs[0], "down")
			s.wait(t, 1000)
			startProcess(t, addrs[0])
			p.waitMember(addrs[0], "up")
			s.wait(t, 300, addrs[0])
			close(s.stop)
			s.wg.Wait()
			t.Logf("%d requests, %d failed; by member: %d, %d, %d", s.asked.Load(), len(s.failed), s.from(addrs[0]), s.from(addrs[1]), s.from(addrs[2]))
			if len(s.failed) > 0 {
				t.Errorf("%d of %d requests failed, the first: %s", len(s.failed), s.asked.Load(), s.failed[0])
			}
		})
	}
	f("HTTP/1.1", "")
	f("h2c", "http2: true, ")
}

// clientOverHTTP2 returns a client with a connection of its own.
func clientOverHTTP2(t *testing.T, config *tls.Config) *http.Client {
	tr := &http2.Transport{TLSClientConfig: config}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// waitMember waits until a member's check says state.
func (p *program) waitMember(addr, state string) {
	p.t.Helper()
	labtest.Eventually(p.t, patience, addr+" is "+state, func() error {
		out, err := p.lbd("pool", "list")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); strings.Contains(line, addr) && len(f) > 2 && f[2] == state {
				return nil
			}
		}
		return errors.New(out)
	})
}
