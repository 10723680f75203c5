package conformance

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
	"github.com/google/go-cmp/cmp"
)

// startGRPC runs gRPC's test server and returns its address.
func startGRPC(t *testing.T, tool string) string {
	t.Helper()
	cmd := exec.Command(tool, "serve")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // it ends by itself in no other way
		cmd.Wait()
	})
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(addr)
}

// TestGRPC has gRPC's own client run its cases with its own server, which speaks HTTP/2 without TLS.
func TestGRPC(t *testing.T) {
	t.Parallel()
	tool := labtest.Tool(t, "github.com/everup/everup/tools/grpcinterop")
	member := startGRPC(t, tool)
	certs := labtest.NewCerts(t)
	plain, secure := labtest.FreeAddr(t), labtest.FreeAddr(t)
	startProgram(t, plain, fmt.Sprintf("listen: [{addr: %q, http2: true}, {addr: %q, http2: true, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{pool: web}]\n"+
		"pools: {web: %s}\n", plain, secure, certificate(certs), poolYAML("http2: true,", member)))
	want := []string{
		"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "status_code_and_message",
		"special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service", "cancel_after_begin",
		"cancel_after_first_response", "timeout_on_sleeping_server",
	}
	f := func(args ...string) {
		t.Helper()
		out, err := exec.Command(tool, append([]string{"ask"}, args...)...).CombinedOutput()
		if diff := cmp.Diff(want, strings.Fields(string(out))); diff != "" || err != nil {
			t.Errorf("%v: %v (-want +got):\n%s", args, err, diff)
		}
	}
	f(member) // as it is without lbd
	f(plain)
	f(secure, certs.CAFile)
}
