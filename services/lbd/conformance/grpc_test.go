package conformance

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
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
	startProgram(t, plain, fmt.Sprintf("listen: [{addr: %q, http2: true}, {addr: %q, tls: web}]\ntls: {web: {certificates: [%s]}}\nroutes: [{pool: web}]\n"+
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

// TestGRPCErrors has gRPC's own client read what lbd itself answers, and the access log tell of it.
func TestGRPCErrors(t *testing.T) {
	t.Parallel()
	tool := labtest.Tool(t, "github.com/everup/everup/tools/grpcinterop")
	addr, log := labtest.FreeAddr(t), filepath.Join(t.TempDir(), "log")
	startProgram(t, addr, fmt.Sprintf(`listen: [{addr: %[1]q, http2: true}]
access_log: {file: %[2]q, format: template, template: "$path $status $grpc_status $reason"}
routes:
  - {path: /deny, deny: true}
  - {path: /login, answer: {status: 401, body: "log in: 100%% safe\n"}}
  - {path: /busy, limit: {requests: 1, per: 1h}, pool: gone}
  - {path: /gone, pool: gone}
  - {path: /slow, pool: slow}
  - {path: /shut, name: shut, maintenance: true, pool: gone}
  - {path: /small, pool: small}
  - {path: /grpc.testing.TestService/EmptyCall, pool: rpc}
pools:
  gone: {members: [{addr: %[3]q}], retries: {max: 0}}
  slow: {members: [{addr: %[4]q}], timeout: 100ms, retries: {max: 0}}
  small: {members: [{addr: %[4]q}], max_body: 1KiB}
  rpc: {http2: true, members: [{addr: %[5]q}]}
`, addr, log, labtest.FreeAddr(t), startSilent(t), startGRPC(t, tool)))
	methods := []string{"/deny/x", "/login/x", "/busy/x", "/busy/x", "/gone/x", "/slow/x", "/shut/x", "/small/x", "/none/x", "/grpc.testing.TestService/EmptyCall"}
	out, err := exec.Command(tool, append([]string{"call", addr, "2000"}, methods...)...).CombinedOutput()
	want := `/deny/x PermissionDenied "403 Forbidden"
/login/x Unauthenticated "log in: 100% safe"
/busy/x Unavailable "503 Service Unavailable"
/busy/x Unavailable "429 Too Many Requests"
/gone/x Unavailable "503 Service Unavailable"
/slow/x DeadlineExceeded "504 Gateway Timeout"
/shut/x Unavailable "503 Service Unavailable"
/small/x ResourceExhausted "413 Content Too Large"
/none/x Unimplemented "404 Not Found"
/grpc.testing.TestService/EmptyCall OK ""
`
	if diff := cmp.Diff(want, string(out)); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	wantLog := `/deny/x 403 7 deny
/login/x 401 16 answer
/busy/x 503 14 no-member
/busy/x 429 14 limit
/gone/x 503 14 no-member
/slow/x 504 4 timeout
/shut/x 503 14 maintenance
/small/x 413 8 body-too-large
/none/x 404 12 no-route
/grpc.testing.TestService/EmptyCall 200 0 -
`
	labtest.Eventually(t, patience, "the log tells of all", func() error {
		if diff := cmp.Diff(wantLog, read(t, log)); diff != "" {
			return fmt.Errorf("-want +got:\n%s", diff)
		}
		return nil
	})
}

// startSilent runs a member that takes connections and says nothing.
func startSilent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // the kernel accepts
	return l.Addr().String()
}
