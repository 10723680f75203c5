package lbd

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestUpgrade replaces the process under load: no request fails, and 500 upgraded connections live on in the old process, which ends with
// the last of them.
func TestUpgrade(t *testing.T) {
	const tunnels = 500
	p := startProgram(t, "n1", echoes(t), "", "")
	var open []*tunnel
	for range tunnels {
		c, err := openTunnel(plainly(p.addr))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	l := startTraffic(plainly(p.addr), 8)
	l.more(t, 500)
	out, err := p.lbd("upgrade")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l.more(t, 1000)
	l.end(t)
	pid, err := p.pid()
	if err != nil || pid == p.cmd.Process.Pid || !strings.Contains(out, fmt.Sprintf("process %d serves", pid)) {
		t.Errorf("process %d serves, %v, and was %d; the verb said %q", pid, err, p.cmd.Process.Pid, out)
	}
	for i, c := range open {
		if err := c.echo(fmt.Sprint("after ", i)); err != nil {
			t.Fatalf("upgraded connection %d: %v", i, err)
		}
		c.Close()
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
	if now, err := p.pid(); err != nil || now != pid {
		t.Errorf("process %d serves after the old one has ended, %v", now, err)
	}
	// The successor can be replaced in turn.
	if out, err := p.lbd("upgrade"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if now, err := p.pid(); err != nil || now == pid {
		t.Errorf("process %d serves after a second upgrade, %v", now, err)
	}
}

// TestUpgradeSecure is TestUpgrade over TLS, with clients that speak HTTP/2 among the others, and with reloads before it that change the
// certificate and the pool. Some of the 500 talk all the time, the others are silent until the end.
func TestUpgradeSecure(t *testing.T) {
	tunnels := 500
	if testing.Short() {
		tunnels = 50
	}
	member, before, after := echoes(t), labtest.NewCerts(t), labtest.NewCerts(t)
	p := startProgram(t, "n1", member, ", tls: web, http2: true", webTLS(before))
	config := before.Client()
	config.RootCAs.AppendCertsFromPEM(readFile(t, after.CAFile))
	secure := func() (net.Conn, error) { return tls.Dial("tcp", p.addr, config) }
	var open []*tunnel
	for range tunnels {
		c, err := openTunnel(secure)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	talk := startTalk(open[:tunnels/25])
	l, streams := startTraffic(secure, 4), startStreams(p.addr, config)
	more := func() {
		t.Helper()
		talk.more(t, 200)
		l.more(t, 50)
		streams.more(t, 100)
	}
	more()
	p.reload(webTLS(before), webTLS(after))
	more()
	p.reload("pool: web", "pool: other", "pools: {web:", "pools: {other:")
	more()
	if out, err := p.lbd("upgrade"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	more()
	l.end(t)
	streams.end(t)
	talk.end(t)
	for i, c := range open {
		if err := c.echo(fmt.Sprint("after ", i)); err != nil {
			t.Fatalf("upgraded connection %d: %v", i, err)
		}
		c.Close()
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the old process: %v", err)
	}
}

// TestUpgradeThatFails: a program that refuses the configuration changes nothing; one that dies afterwards is replaced by the old one.
func TestUpgradeThatFails(t *testing.T) {
	p := startProgram(t, "n1", echoes(t), "", "")
	c, err := openTunnel(plainly(p.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := startTraffic(plainly(p.addr), 4)
	l.more(t, 100)

	p.script("echo no such key >&2; exit 78")
	if out, err := p.lbd("upgrade"); err == nil || !strings.Contains(out, "no such key") {
		t.Errorf("%v\n%s", err, out)
	}
	l.more(t, 100)
	if pid, err := p.pid(); err != nil || pid != p.cmd.Process.Pid {
		t.Errorf("process %d serves, %v", pid, err)
	}

	p.script("[ $1 = check ] || exit 3")
	if out, err := p.lbd("upgrade"); err == nil || !strings.Contains(out, "of the old one serves") {
		t.Errorf("%v\n%s", err, out)
	}
	l.more(t, 100)
	if pid, err := p.pid(); err != nil || pid == p.cmd.Process.Pid {
		t.Errorf("process %d serves, %v", pid, err)
	}
	if err := c.echo("still there"); err != nil {
		t.Error(err)
	}
	l.end(t)
}

// TestUpgradeInAFleet: the others do not see the member go. They hear that it is upgraded, and that the successor is ready.
func TestUpgradeInAFleet(t *testing.T) {
	member := echoes(t)
	a, b := labtest.FreeAddr(t), labtest.FreeAddr(t)
	client, route := labtest.FreeAddr(t), labtest.FreeAddr(t)
	of := func(own string) string {
		return fmt.Sprintf("cluster: {fleet: demo, listen: %q, join: [%q], secrets: ['0123456789abcdef0123']}\nbus: {listen: %q, routes: %q}\n", own, a, client, route)
	}
	one, two := startProgram(t, "n1", member, "", of(a)), startProgram(t, "n2", member, "", of(b))
	for _, p := range []*program{one, two} {
		labtest.Eventually(t, patience, "two members and the bus", func() error {
			return p.inFleet()
		})
	}
	c, err := openTunnel(plainly(one.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if out, err := one.lbd("upgrade"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	labtest.Eventually(t, patience, "two members and the bus after the upgrade", func() error {
		for _, p := range []*program{one, two} {
			if err := p.inFleet(); err != nil {
				return err
			}
		}
		return nil
	})
	if err := c.echo("still there"); err != nil {
		t.Error(err)
	}
	log, err := os.ReadFile(two.log())
	if err != nil || strings.Contains(string(log), `"msg":"member gone"`) {
		t.Errorf("the other daemon: %v\n%s", err, log)
	}
}
