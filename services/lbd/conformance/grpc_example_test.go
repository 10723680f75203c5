package conformance

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestGRPCExample runs the example of gRPC beside a site: calls reach the services, what else is asked the site.
func TestGRPCExample(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "curl")
	tool := labtest.Tool(t, "github.com/everup/everup/tools/grpcinterop")
	o, certs := startOrigin(t), labtest.NewCerts(t, "api.example.com", "127.0.0.1")
	text := read(t, "../../../deploy/examples/lbd-grpc/lbd.yaml")
	secure := labtest.FreeAddr(t)
	pem := write(t, filepath.Join(t.TempDir(), "api.example.com.pem"), read(t, certs.CertFile)+read(t, certs.KeyFile))
	_, config, _ := strings.Cut(text, "lbd.sock\n")
	p := startProgram(t, secure, strings.NewReplacer("0.0.0.0:443", secure, "/etc/everup/tls/api.example.com.pem", pem, "10.0.0.2:50051", startGRPC(t, tool),
		"10.0.0.3:50051", startGRPC(t, tool), "10.0.0.4:8080", o.addr).Replace(config))

	out, err := exec.Command(tool, "ask", secure, certs.CAFile).CombinedOutput()
	if cases := len(strings.Fields(string(out))); err != nil || cases < 10 {
		t.Errorf("%d cases of gRPC go well: %v\n%s", cases, err, out)
	}
	_, port, _ := net.SplitHostPort(secure)
	host := "api.example.com:" + port
	trust := []string{"--resolve", host + ":127.0.0.1", "--cacert", certs.CAFile}
	ask := asker(t)
	ask(string(prose())+"|200 2 zstd", " %header{content-encoding}", append(trust, "--compressed", "https://"+host+"/text")...)
	ask(echo("GET", noContent, "https", host)+"|200 1.1", "", append(trust, "--http1.1", "https://"+host+"/echo")...)
	if out, err := p.verb("pool", "list"); err != nil || strings.Count(out, " up") < 3 {
		t.Errorf("the members' checks: %v\n%s", err, out)
	}
}
