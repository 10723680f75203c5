package lbd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// webOn serves a page on a host until the returned function is called; /slow is answered when slow is closed.
func webOn(t *testing.T, h *labtest.Host, slow <-chan struct{}) (stop func()) {
	t.Helper()
	l, err := h.Listen("tcp", ":8080")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-slow
		}
		io.WriteString(w, h.Name)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	stop = sync.OnceFunc(func() { s.Close(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// TestVIPs runs the program with a virtual address that asks for two backends of a pool.
func TestVIPs(t *testing.T) {
	lab := labtest.New(t)
	balancer, web1, web2, client := lab.Host("balancer"), lab.Host("web1"), lab.Host("web2"), lab.Host("client")
	slow := make(chan struct{})
	answerSlow := sync.OnceFunc(func() { close(slow) })
	t.Cleanup(answerSlow) // runs before the servers end
	webOn(t, web1, slow)
	stop2 := webOn(t, web2, slow)
	four, _ := lab.Default().Spare()
	vip := four.String()
	dir := t.TempDir()
	file := filepath.Join(dir, "lbd.yaml")
	write := func(listen, pool string) {
		t.Helper()
		text := fmt.Sprintf(`node: n1
state: %[1]s/state
admin: {socket: %[1]s/sock}
listen: [%[2]s]
vips:
  web: {interface: eth0, vrid: 5, addresses: [%[3]s/24], track: [{value: backends.%[4]s, min: 2}]}
routes: [{pool: %[4]s}]
pools:
  %[4]s:
    check: {interval: 100ms, timeout: 100ms}
    members: [{addr: '%[5]s'}, {addr: '%[6]s'}]
`, dir, listen, vip, pool, web1.AddrPort(8080), web2.AddrPort(8080))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd")
	holds := func(want bool) {
		t.Helper()
		labtest.Eventually(t, patience, fmt.Sprintf("the address is here: %v", want), func() error {
			if out := balancer.Run("ip", "-br", "addr", "show", "dev", "eth0"); strings.Contains(out, " "+vip+"/") != want {
				return errors.New(out)
			}
			return nil
		})
	}

	// A listen address that is nobody's is no virtual one, and refused.
	write(fmt.Sprintf("'%s:80', '10.77.0.99:80'", vip), "web")
	if out, err := balancer.Output(program, "run", "-c", file); err == nil || !strings.Contains(out, "no interface of this host has the address 10.77.0.99") {
		t.Errorf("an address that nobody has: %v\n%s", err, out)
	}

	own := balancer.AddrPort(80)
	write(fmt.Sprintf("'%s:80', '%s'", vip, own), "web")
	p := balancer.Start("lbd", program, "run", "-c", file)
	holds(true)
	client.WaitHTTP("http://"+vip+"/", http.StatusOK, patience)
	stop2()
	holds(false) // one backend is less than two
	webOn(t, web2, slow)
	holds(true)
	if out := balancer.Run(program, "status", "-c", file); !strings.Contains(out, "vip web") {
		t.Errorf("the status for people says nothing of the address:\n%s", out)
	}

	// The pool has another name after a reload: the value that is tracked too, and the address has not moved.
	held := since(t, balancer.Run(program, "vip", "list", "-o", "json", "-c", file))
	write(fmt.Sprintf("'%s:80', '%s'", vip, own), "shop")
	balancer.Run(program, "reload", "-c", file)
	client.WaitHTTP("http://"+vip+"/", http.StatusOK, patience)
	labtest.Eventually(t, patience, "the pool shop is checked", func() error {
		if out := balancer.Run(program, "pool", "list", "-c", file); strings.Count(out, " up ") != 2 {
			return errors.New(out)
		}
		return nil
	})
	if now := since(t, balancer.Run(program, "vip", "list", "-o", "json", "-c", file)); now != held {
		t.Errorf("the address is held since %s, and was since %s", now, held)
	}

	// At the end the address goes before the requests under way have ended, and these still end.
	got := make(chan string, 1)
	slowGet := client.Command(t.Context(), "curl", "-sS", "--max-time", "20", "http://"+own+"/slow")
	go func() { got <- output(slowGet) }()
	labtest.Eventually(t, patience, "a request is under way", func() error {
		if out := balancer.Run(program, "pool", "list", "-o", "json", "-c", file); !strings.Contains(out, `"active": 1`) {
			return errors.New(out)
		}
		return nil
	})
	p.Signal(syscall.SIGTERM)
	holds(false)
	if !p.Running() {
		t.Error("it has not waited for the request")
	}
	answerSlow()
	if s := <-got; !strings.HasPrefix(s, "web") {
		t.Errorf("the request under way got %q", s)
	}
	if code := p.Wait(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestUpgradeKeepsVIP: a virtual address stays where it is while the process that holds it is replaced, and with it the connections to it.
func TestUpgradeKeepsVIP(t *testing.T) {
	lab := labtest.New(t)
	balancer, web, client := lab.Host("balancer"), lab.Host("web"), lab.Host("client")
	webOn(t, web, nil)
	four, _ := lab.Default().Spare()
	dir := t.TempDir()
	file := filepath.Join(dir, "lbd.yaml")
	text := fmt.Sprintf("node: n1\nstate: %[1]s/state\nadmin: {socket: %[1]s/sock}\nlisten: ['%[2]s:80']\n"+
		"vips: {web: {interface: eth0, vrid: 5, addresses: [%[2]s/24]}}\nroutes: [{pool: web}]\npools: {web: {members: [{addr: '%[3]s'}]}}\n", dir, four, web.AddrPort(8080))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := labtest.BuildBinary(t, "github.com/everup/everup/services/lbd/cmd/lbd")
	p := balancer.Start("lbd", program, "run", "-c", file)
	client.WaitHTTP("http://"+four.String()+"/", http.StatusOK, patience)
	watched := balancer.Start("addresses", "ip", "monitor", "address")
	keep, err := client.DialContext(t.Context(), "tcp", four.String()+":80")
	if err != nil {
		t.Fatal(err)
	}
	defer keep.Close()
	ask := func() {
		t.Helper()
		io.WriteString(keep, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(keep), nil)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); err != nil || string(b) != "web" {
			t.Errorf("%q, %v", b, err)
		}
	}
	ask()
	out := balancer.Run(program, "upgrade", "-c", file)
	t.Cleanup(func() {
		var pid int
		if _, err := fmt.Sscanf(out, "lbd: process %d serves", &pid); err != nil {
			t.Errorf("%v: %q", err, out)
			return
		}
		syscall.Kill(pid, syscall.SIGKILL)
	})
	labtest.Eventually(t, patience, "the successor holds the address", func() error {
		if out := balancer.Run(program, "vip", "list", "-c", file); !strings.Contains(out, "active") {
			return errors.New(out)
		}
		return nil
	})
	ask() // by the old process, whose last answer it is
	if code := p.Wait(patience); code != 0 {
		t.Errorf("the old process: exit code %d", code)
	}
	client.WaitHTTP("http://"+four.String()+"/", http.StatusOK, patience)
	watched.Signal(syscall.SIGTERM)
	watched.Wait(patience)
	if got := watched.Output(); strings.Contains(got, "Deleted") {
		t.Errorf("the address was away:\n%s", got)
	}
}

// since returns since when the one VIP of a list is in its state.
func since(t *testing.T, list string) string {
	t.Helper()
	var s struct {
		VIPs []struct{ State, Since string }
	}
	if err := json.Unmarshal([]byte(list), &s); err != nil || len(s.VIPs) != 1 || s.VIPs[0].State != "active" {
		t.Fatalf("%v: %s", err, list)
	}
	return s.VIPs[0].Since
}

// output runs a command and returns what it wrote, and how it failed.
func output(cmd *exec.Cmd) string {
	b, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s (%v)", b, err)
	}
	return string(b)
}
