package viptest

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/everup/everup/shared/labtest"
)

// EchoPort is the UDP port of a data plane: it sends back what comes to the virtual address.
const EchoPort = 7777

// planeName is what the data plane's process is called: keepalived's script finds it by its name, and all hosts of a lab share the
// machine's processes.
func planeName(h *labtest.Host) string { return "plane-" + h.Name }

// StartPlane starts a data plane that nothing belongs to, beside keepalived.
func (r *Rig) StartPlane(h *labtest.Host) *labtest.Proc {
	r.T.Helper()
	program := filepath.Join(r.dir, planeName(h))
	if _, err := os.Stat(program); err != nil {
		data, err := os.ReadFile(labtest.BuildBinary(r.T, vipd))
		if err == nil {
			err = os.WriteFile(program, data, 0o755)
		}
		if err != nil {
			r.T.Fatalf("viptest: data plane: %v", err)
		}
	}
	p := h.Start("plane", program, "echo", r.echoAddr())
	p.WaitLine(`^ready$`, 10*time.Second)
	return p
}

// echoAddr returns where a data plane listens.
func (r *Rig) echoAddr() string {
	if r.addr.Is6() {
		return fmt.Sprintf("[%s]:%d", r.addr, EchoPort)
	}
	return fmt.Sprintf("%s:%d", r.addr, EchoPort)
}
