package sock

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/vrrp"
)

// TestKeepalived receives what Debian's keepalived sends.
func TestKeepalived(t *testing.T) {
	labtest.Needs(t, "keepalived")
	a, b := two(t)
	conf := writeConf(t, `
global_defs {
	vrrp_version 3
}
vrrp_instance four {
	interface `+a.link.Name+`
	state MASTER
	virtual_router_id 51
	priority 150
	advert_int 0.1
	virtual_ipaddress { 10.77.0.100/32 }
}
vrrp_instance unicast {
	interface `+a.link.Name+`
	state MASTER
	virtual_router_id 52
	priority 150
	advert_int 0.1
	unicast_src_ip `+a.v4.String()+`
	unicast_peer { `+b.v4.String()+` }
	virtual_ipaddress { 10.77.0.101/32 }
}
vrrp_instance six {
	interface `+a.link.Name+`
	state MASTER
	virtual_router_id 53
	priority 150
	advert_int 0.1
	virtual_ipaddress { fe80::53/128
		fd77::100/128 }
}
`)
	group4, group6 := b.open(true, true), b.open(false, true)
	peer := b.open(true, false)
	for s, id := range map[*Socket]vrrp.VRID{group4: 51, peer: 52, group6: 53} {
		if err := s.Filter([]vrrp.VRID{id}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	a.host.Start("keepalived", "keepalived", "-n", "-l", "-D", "-P", "-f", conf, "-p", dir+"/k.pid", "-r", dir+"/v.pid")
	f := func(s *Socket, id vrrp.VRID, src, dst netip.Addr) {
		t.Helper()
		before := Now()
		d := recv(t, s)
		p, r := parse(d)
		if r != vrrp.Accepted || p.VRID != id || p.Priority != 150 || p.Interval != 100*time.Millisecond {
			t.Errorf("%v, %+v", r, p)
		}
		if d.Src != src || d.Dst != dst || d.TTL != 255 || d.At < before-soon || d.At > Now() {
			t.Errorf("received %+v", d)
		}
	}
	f(group4, 51, a.v4, Group(true))
	f(peer, 52, a.v4, b.v4)
	f(group6, 53, a.v6, Group(false))
}

func writeConf(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keepalived.conf")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
