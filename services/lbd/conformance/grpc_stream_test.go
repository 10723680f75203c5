package conformance

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestGRPCStreamOutlivesReloads: a call in both directions goes on while its route and its pool are replaced, and ends as it should.
func TestGRPCStreamOutlivesReloads(t *testing.T) {
	t.Parallel()
	tool := labtest.Tool(t, "github.com/everup/everup/tools/grpcinterop")
	member := startGRPC(t, tool)
	certs := labtest.NewCerts(t)
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	config := func(n int) string {
		return fmt.Sprintf("listen: [{addr: %q, http2: true}, {addr: %q, http2: true, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{name: r%d, pool: p%d}]\n"+
			"pools: {p%d: %s}\n", plain, secure, certificate(certs), n, n, n, poolYAML("http2: true,", member))
	}
	p := startProgram(t, plain, config(0))
	calls := []*call{startCall(t, tool, plain), startCall(t, tool, secure, certs.CAFile)}
	for n := range 5 {
		if n > 0 {
			p.reload(config(n))
		}
		for i, c := range calls {
			for _, size := range []int{1, 100_000} {
				if err := c.ask(size); err != nil {
					t.Fatalf("call %d after %d reloads: %v", i, n, err)
				}
			}
		}
	}
	for i, c := range calls {
		if err := c.end(); err != nil {
			t.Errorf("the end of call %d: %v", i, err)
		}
	}
}

// call is a call by gRPC's own client in a process of its own.
type call struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	errs strings.Builder
}

func startCall(t *testing.T, tool string, to ...string) *call {
	t.Helper()
	c := &call{cmd: exec.Command(tool, append([]string{"talk"}, to...)...)}
	c.cmd.Stderr = &c.errs
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill() // fails only where it has ended
		c.cmd.Wait()
	})
	return c
}

// ask has so many bytes sent by the server.
func (c *call) ask(size int) error {
	if _, err := fmt.Fprintln(c.in, size); err != nil {
		return err
	}
	got, err := c.out.ReadString('\n')
	if err == nil && got != fmt.Sprintln(size) {
		err = fmt.Errorf("%q, want %d", got, size)
	}
	return err
}

// end ends the call, which is to go well.
func (c *call) end() error {
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, &c.errs)
	}
	return nil
}
