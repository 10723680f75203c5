package conformance

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestUpgradeUnderLoad puts a new process in the place of the one that serves, twice: 500 WebSockets live on in the one that has them, and of a
// thousand requests a second, on connections that are idle between them, none fails.
func TestUpgradeUnderLoad(t *testing.T) {
	t.Parallel()
	a, addr := startOrigin(t).named("a"), labtest.FreeAddr(t)
	p := startProgram(t, addr, fmt.Sprintf("listen: [%q]\nroutes: [{pool: web}]\npools: {web: %s}\n", addr, poolYAML("", a.addr)))
	sockets := openSockets(t, addr, 500)
	load := startCrowd(t, addr, "/who", 20, 1000)
	load.more(t, 200)
	for n := range 2 {
		before := p.pid()
		if out, err := p.verb("upgrade"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		after := p.pid()
		t.Cleanup(func() { syscall.Kill(after, syscall.SIGKILL) }) // nobody waits for it but init
		if after == before {
			t.Fatalf("process %d serves on", before)
		}
		load.more(t, 500)
		for i := n; i < len(sockets); i += 2 { // the rest is silent meanwhile
			if err := sockets[i].echo(fmt.Sprint("upgrade ", n)); err != nil {
				t.Fatalf("socket %d after upgrade %d: %v", i, n, err)
			}
		}
	}
	load.judge(t)
	echoAll(t, sockets)
}

// pid returns the process that serves.
func (p *program) pid() int {
	p.t.Helper()
	out, err := p.verb("status", "-o", "json")
	var s struct {
		PID int `json:"pid"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &s)
	}
	if err != nil {
		p.t.Fatalf("%v\n%s", err, out)
	}
	return s.PID
}
