package lbd

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestDoSInAFleet runs two programs of a fleet: who is suspect to one is so to the other, as far as that one does not exempt it.
func TestDoSInAFleet(t *testing.T) {
	program := labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd")
	gossip := labtest.FreeAddr(t)
	a := startNode(t, program, "n1", gossip, gossip, "127.0.0.200")
	z := startNode(t, program, "n2", labtest.FreeAddr(t), gossip, "127.0.0.7")
	f := func(p *node, from string, times int, want string) {
		t.Helper()
		if got := answers(t, clientAt(t, from), p.url, times); got != want {
			t.Errorf("%s from %s: %s, want %s", p.name, from, got, want)
		}
	}
	// Hold somebody again and again until the other has heard of one: then the buses have met.
	i := 0
	labtest.Eventually(t, patience, "the buses to meet", func() error {
		i++
		if code, out := dosCommand(t, a.socket, "dos", "ban", fmt.Sprintf("192.0.2.%d", i%250), "--for", "1h"); code != 0 {
			return fmt.Errorf("ban: %s", out)
		}
		if _, out := dosCommand(t, z.socket, "dos", "list"); !strings.Contains(out, "192.0.2.") {
			return fmt.Errorf("n2 holds\n%s", out)
		}
		return nil
	})
	f(z, "127.0.0.2", 1, "200")
	f(a, "127.0.0.2", 6, "200 429")
	f(a, "127.0.0.7", 6, "200 429")
	holds := func(p *node, want ...string) {
		t.Helper()
		labtest.Eventually(t, patience, p.name+" holds "+strings.Join(want, ", "), func() error {
			_, out := dosCommand(t, p.socket, "dos", "list")
			var have []string
			for l := range strings.Lines(out) {
				if w := strings.Fields(l); len(w) == 6 && strings.HasPrefix(w[0], "127.") {
					have = append(have, w[0]+" "+w[1]+" "+w[4]+" "+w[5])
				}
			}
			slices.Sort(have)
			if !slices.Equal(have, want) {
				return fmt.Errorf("it holds\n%s", out)
			}
			return nil
		})
	}
	holds(a, "127.0.0.2 suspect counted default", "127.0.0.7 suspect counted default")
	holds(z, "127.0.0.2 suspect shared default")
	f(z, "127.0.0.2", 1, "429")
	f(z, "127.0.0.7", 3, "200") // exempt there
	// A detector is told by its name.
	login := clientAt(t, "127.0.0.3")
	if got := answers(t, login, a.url+"login", 3); got != "200 403" {
		t.Errorf("logins: %s", got)
	}
	holds(z, "127.0.0.2 suspect shared default", "127.0.0.3 suspect shared login")
	if got := answers(t, login, z.url, 1) + " " + answers(t, login, z.url+"login", 1); got != "429 403" {
		t.Errorf("one who has logged in too often elsewhere: %s", got)
	}
	if code, out := dosCommand(t, a.socket, "dos", "unban", "127.0.0.3"); code != 0 {
		t.Errorf("unban: %s", out)
	}
	holds(z, "127.0.0.2 suspect shared default")
	if code, out := dosCommand(t, z.socket, "dos", "unban", "127.0.0.2"); code != 0 {
		t.Errorf("unban: %s", out)
	}
	holds(a, "127.0.0.7 suspect counted default")
	f(a, "127.0.0.2", 3, "200")
}

// node is an lbd in a process of its own.
type node struct{ name, socket, url string }

func startNode(t *testing.T, program, name, gossip, join, exempt string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "lbd") // short, for the socket's sake
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := labtest.FreeAddr(t)
	p := &node{name, filepath.Join(dir, "sock"), "http://" + listen + "/"}
	file := filepath.Join(dir, "lbd.yaml")
	text := fmt.Sprintf(`node: %s
state: %s/state
admin: {socket: %s}
cluster: {fleet: demo, listen: '%s', join: ['%s'], secrets: ['0123456789abcdef0123'], timing: fast}
bus: {listen: '%s', routes: '%s'}
listen: ['%s']
dos:
- {threshold: 5, hard_threshold: 100, period: 1h, ban: 1h, exempt: %s, not: {path: /login}}
- {name: login, threshold: 2, period: 1h, ban: 1h, when: {path: /login}}
routes:
- {path: /login, dos: {login: suspect}, deny: true}
- {dos: [suspect, hard], answer: {status: 429}}
- {answer: {status: 200}}
`, name, dir, p.socket, gossip, join, labtest.FreeAddr(t), labtest.FreeAddr(t), listen, exempt)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	runDaemon(t, program, "run", "-c", file)
	labtest.Eventually(t, patience, name+" is ready", func() error {
		res, err := clientAt(t, "127.0.0.99").Get(p.url)
		if err == nil {
			res.Body.Close()
		}
		return err
	})
	return p
}

// runDaemon runs a program until the test ends.
func runDaemon(t *testing.T, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", program, err)
		}
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(args, " "), out.Bytes())
		}
	})
}
