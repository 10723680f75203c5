package lbd

import (
	"os"
	"strings"
	"testing"
)

// TestPoolsExample runs the example of pools with servers of this process, and stops them one after the other.
func TestPoolsExample(t *testing.T) {
	text, err := os.ReadFile("../../deploy/examples/lbd-pools/lbd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	moves := []string{"0.0.0.0:80", "127.0.0.1:0", "interval: 1s\n", "interval: 200ms\n      timeout: 200ms\n"}
	servers := map[string]*named{}
	for name, addr := range map[string]string{
		"one": "192.168.0.100:8080", "two": "192.168.0.101:8080", "three": "192.168.0.102:8080", "spare": "192.168.9.100:8080",
		"left": "192.168.0.110:8080", "right": "192.168.0.111:8080",
	} {
		servers[name] = backend(t, name)
		moves = append(moves, `"`+addr+`"`, `"`+servers[name].addr+`"`)
	}
	moved := strings.NewReplacer(moves...).Replace(string(text))
	b := start(t, moved)
	for _, s := range servers {
		b.waitMember(s.addr, "up")
	}
	c := browser(t)
	_, mine := get(t, c, b.url("/"))
	if servers[mine] == nil || mine == "spare" {
		t.Fatalf("a customer is at %q", mine)
	}
	for range 10 {
		if _, body := get(t, c, b.url("/checkout/")); body != mine {
			t.Errorf("the customer of %s is at %s", mine, body)
		}
	}
	spread := map[string]bool{}
	for i := range 40 {
		path := b.url("/images/" + strings.Repeat("x", i))
		_, first := get(t, c, path)
		if _, again := get(t, c, path); again != first {
			t.Errorf("%s is at %s, then at %s", path, first, again)
		}
		spread[first] = true
	}
	if !spread["left"] || !spread["right"] || len(spread) != 2 {
		t.Errorf("images are at %v", spread)
	}
	at := mine
	for range 3 { // each time the server that has the customer
		servers[at].Close()
		code, next := get(t, c, b.url("/"))
		if code != 200 || next == at {
			t.Fatalf("%s is closed: %d %s", at, code, next)
		}
		b.waitMember(servers[at].addr, "down")
		at = next
	}
	if at != "spare" {
		t.Errorf("all three are closed, and %s answers", at)
	}
	b.wantEvents("pool-failover")
	for range 5 {
		if _, body := get(t, c, b.url("/")); body != "spare" {
			t.Errorf("%s answers", body)
		}
	}
}
